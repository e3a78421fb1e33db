"""Keep the training images that a cell's outputs are nearest to, for whoever looks at single requests."""

from __future__ import annotations

import shutil
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fesbench.files import atomic_write_bytes
from fesbench.records.nearest import FOLDER, nearest_path

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.store.aligned import AlignedStore


def keep_nearest(store: AlignedStore, training: np.ndarray, samples: pd.DataFrame, folder: Path) -> None:
    """Write those that may be shown, each once; those of an earlier scoring are removed.

    Args:
        store: with the images.
        training: rows of the store.
        samples: with ``nearest_training``, names of the manifest, where it was looked for.
        folder: the cell's.

    Raises:
        DataError: the folder cannot be written or the disk is full.
    """
    from PIL import Image

    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    wanted = set(samples["nearest_training"]) if "nearest_training" in samples else set()
    table = store.manifest.table
    names, shown = table["image"].to_numpy(dtype=object), table["publishable"].to_numpy()
    for row in training:
        if shown[row] and names[row] in wanted:
            buffer = BytesIO()
            Image.fromarray(store.images[row]).save(buffer, "PNG")
            atomic_write_bytes(nearest_path(folder, names[row]), buffer.getvalue())
