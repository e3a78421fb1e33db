"""Tables that a cell keeps beside its record, as parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fesbench.errors import RecordError

if TYPE_CHECKING:
    import pandas as pd


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame | None:
    """A table; None where there is no such file.

    Raises:
        RecordError: the file is damaged, or lacks one of ``columns``.
    """
    import pandas as pd

    if not path.is_file():
        return None
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise RecordError(
            f"{path} cannot be read ({error}); delete it and run the cell again, it is made anew"
        ) from None
    missing = [name for name in columns if name not in table]
    if missing:
        raise RecordError(f"{path} lacks the columns {', '.join(missing)}; run the cell's scoring again")
    return table
