"""The generated images of a request table, checked and decoded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fesbench.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def load_images(folder: Path, requests: pd.DataFrame, size: int) -> np.ndarray:
    """The images of a request table, uint8 (N, size, size, 3).

    Raises:
        DataError: an image is missing, unreadable or of another size; lists the first ten.
    """
    from fesbench.data.images import read_image

    images = np.zeros((len(requests), size, size, 3), dtype=np.uint8)
    faults = []
    for number, name in enumerate(requests["request"]):
        path = folder / f"{name}.png"
        if not path.exists():
            faults.append(f"{path.name} is missing")
            continue
        try:
            image = read_image(path)
        except DataError as error:
            faults.append(str(error))
            continue
        if image.shape != (size, size, 3):
            found = f"{image.shape[1]}x{image.shape[0]}"
            faults.append(f"{path.name} is {found}, the protocol wants {size}x{size}")
            continue
        images[number] = image
    if faults:
        shown = "; ".join(faults[:10]) + (f"; and {len(faults) - 10} more" if len(faults) > 10 else "")
        raise DataError(f"{len(faults)} of {len(requests)} images in {folder} cannot be scored: {shown}")
    return images
