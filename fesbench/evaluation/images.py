"""The generated images of a request table, checked, and decoded when they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fesbench.data.views import ImageRows, OnDemand, on_threads
from fesbench.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def load_images(folder: Path, requests: pd.DataFrame, size: int) -> ImageRows:
    """The images of a request table, uint8 (N, size, size, 3), each read once here and found good.

    Raises:
        DataError: an image is missing, unreadable or of another size; lists the first ten.
    """
    from fesbench.data.images import read_image

    images = OnDemand(lambda name: read_image(folder / f"{name}.png"))

    def fault(name: str) -> str:
        path = folder / f"{name}.png"
        if not path.exists():
            return f"{path.name} is missing"
        try:
            image = read_image(path)
        except DataError as error:
            return str(error)
        if image.shape != (size, size, 3):
            found = f"{image.shape[1]}x{image.shape[0]}"
            return f"{path.name} is {found}, the protocol wants {size}x{size}"
        images.add(name, image)
        return ""

    names = requests["request"].tolist()
    faults = [found for found in on_threads(fault, names) if found]
    if faults:
        shown = "; ".join(faults[:10]) + (f"; and {len(faults) - 10} more" if len(faults) > 10 else "")
        raise DataError(f"{len(faults)} of {len(requests)} images in {folder} cannot be scored: {shown}")
    return ImageRows(images, names, size)
