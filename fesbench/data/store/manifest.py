"""The manifest: one row an image, the only form in which the rest of fesbench sees data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.errors import DataError
from fesbench.files import atomic_write
from fesbench.vocabulary import ACTION_UNITS, COMPOUNDS, EXPRESSIONS, N_LANDMARKS, UNKNOWN_IDENTITY

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: dict[str, str] = {
    "image": "str",
    "sha256": "str",
    "identity": "str",
    "expression": "str",
    "intensity": "float64",
    "sequence": "str",
    "frame": "int64",
    "take": "int64",
    "pose": "str",
    "gaze": "str",
    "lighting": "str",
    "domain": "str",
    "part": "str",
    "sex": "str",
    "age": "float64",
    "skin": "str",
    "glasses": "str",
    "publishable": "bool",
}
"""Column -> pandas dtype. Unknown is "" for text and NaN for ``age``.

``image`` is unique and names the image inside its data set; ``sha256`` is that of the distributed file (of
the RGB bytes where an image is rendered, not distributed); ``expression`` is a vocabulary name, a compound's
name or "" (unlabelled); ``intensity`` is 0 for neutral and in (0, 1] else; ``domain`` is "in" or a style;
``part`` is the subset that the data set's owner puts the image in ("train", "validation", "test"), "" where
there is none; ``identity`` begins with "?" where nobody knows who it is (see `UNKNOWN_IDENTITY`);
``publishable`` says whether the image may be shown in a report.
"""

DEFAULTS: dict[str, Any] = {
    **{name: "" for name, kind in COLUMNS.items() if kind == "str"},
    "intensity": 1.0,
    "frame": 0,
    "take": 0,
    "domain": "in",
    "age": float("nan"),
    "publishable": False,
}


@dataclass(frozen=True)
class Manifest:
    """A table of images with their action units and landmarks.

    Attributes:
        table: the columns of `COLUMNS`, RangeIndex.
        action_units: float32 (N, len(ACTION_UNITS)) in [0, 1]; NaN = not coded.
        landmarks: float32 (N, 68, 2), x and y in pixels of the aligned image, 0 = center of the first pixel;
            NaN = unknown.

    Raises:
        DataError: a column is missing or unknown, shapes differ, an image is listed twice, an expression
            is unknown, or a value is out of its range.
    """

    table: pd.DataFrame
    action_units: np.ndarray
    landmarks: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.table)
        if list(self.table.columns) != list(COLUMNS):
            odd = sorted(set(self.table.columns) ^ set(COLUMNS)) or ["their order"]
            raise DataError(f"a manifest has the columns {', '.join(COLUMNS)}; differing: {', '.join(odd)}")
        for name, array, shape in (
            ("action_units", self.action_units, (n, len(ACTION_UNITS))),
            ("landmarks", self.landmarks, (n, N_LANDMARKS, 2)),
        ):
            if array.shape != shape or array.dtype != np.float32:
                raise DataError(f"{name} must be float32 {shape}, found {array.dtype} {array.shape}")
        twice = self.table["image"][self.table["image"].duplicated()]
        if len(twice):
            raise DataError(f"image '{twice.iloc[0]}' is listed twice in the manifest; keep one row an image")
        if n and (self.table["identity"] == "").any():
            row = int(np.flatnonzero(self.table["identity"] == "")[0])
            raise DataError(f"image '{self.table['image'].iloc[row]}' has no identity; splits go by identity")
        _check_expressions(set(self.table["expression"]))
        intensity = self.table["intensity"].to_numpy()
        if not bool(np.all((intensity >= 0) & (intensity <= 1))):
            raise DataError("a manifest's intensities must lie in [0, 1]")
        units = self.action_units[~np.isnan(self.action_units)]
        if units.size and (units.min() < 0 or units.max() > 1):
            raise DataError("a manifest's action units must lie in [0, 1], or be NaN where unknown")

    def __len__(self) -> int:
        return len(self.table)

    @property
    def identities_known(self) -> bool:
        """Whether somebody knows, of every image, who is shown."""
        return not any(who.startswith(UNKNOWN_IDENTITY) for who in self.table["identity"])

    def select(self, rows: np.ndarray) -> Manifest:
        """The manifest of these rows (integers or a boolean mask), in that order."""
        rows = np.asarray(rows)
        index = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        table = self.table.iloc[index].reset_index(drop=True)
        return Manifest(table, self.action_units[index], self.landmarks[index])

    def save(self, path: Path) -> None:
        """Write one parquet file, atomically.

        Raises:
            DataError: the file cannot be written.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {name: pa.array(self.table[name].tolist(), type=_arrow(name)) for name in COLUMNS}
        columns["action_units"] = _vectors(self.action_units)
        columns["landmarks"] = _vectors(self.landmarks.reshape(len(self), 2 * N_LANDMARKS))
        # the table goes through memory: pyarrow closes a stream that it is handed
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns), sink)
        atomic_write(Path(path), lambda stream: stream.write(sink.getvalue().to_pybytes()))

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read a file written by `save`.

        Raises:
            DataError: the file is missing, damaged or not a manifest.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            stored = pq.read_table(Path(path))
            table = frame_of({name: stored[name].to_pylist() for name in COLUMNS})
            units = _array(stored["action_units"], (len(ACTION_UNITS),))
            landmarks = _array(stored["landmarks"], (N_LANDMARKS, 2))
        except FileNotFoundError:
            raise DataError(f"{path} does not exist; prepare the data again") from None
        except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
            raise DataError(
                f"{path} is damaged or no manifest ({error}); delete its folder and prepare again"
            ) from None
        return cls(table, units, landmarks)


def _check_expressions(names: set[str]) -> None:
    """Refuse what is neither in the vocabulary nor a compound nor "" (unlabelled)."""
    odd = sorted(names - {"", *EXPRESSIONS, *COMPOUNDS})
    if odd:
        raise DataError(
            f"unknown expression '{odd[0]}' in a manifest; known are {', '.join(EXPRESSIONS)}, the "
            "compounds, and '' for an image without a label (map other spellings with canonical_label)"
        )


def frame_of(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """A table with exactly the manifest's columns and dtypes."""
    import pandas as pd

    return pd.DataFrame({name: pd.Series(columns[name], dtype=kind) for name, kind in COLUMNS.items()})


def manifest_of(
    rows: Sequence[Mapping[str, Any]], action_units: np.ndarray, landmarks: np.ndarray
) -> Manifest:
    """A manifest from dictionaries; what a row leaves out takes `DEFAULTS`.

    Raises:
        DataError: a row has a column that manifests do not have, or the result is not valid.

    >>> row = {"image": "a.png", "identity": "a", "expression": "fear", "sha256": "00", "intensity": 1.0}
    >>> made = manifest_of([row], np.full((1, len(ACTION_UNITS)), np.nan), np.zeros((1, 68, 2)))
    >>> made.table["domain"][0], made.identities_known
    ('in', True)
    """
    for row in rows:
        if not row.keys() <= COLUMNS.keys():
            raise DataError(f"unknown manifest column(s) {', '.join(sorted(row.keys() - COLUMNS.keys()))}")
    table = frame_of({name: [row.get(name, DEFAULTS.get(name)) for row in rows] for name in COLUMNS})
    n = len(table)
    return Manifest(
        table,
        np.asarray(action_units, np.float32).reshape(n, len(ACTION_UNITS)),
        np.asarray(landmarks, np.float32).reshape(n, N_LANDMARKS, 2),
    )


def _arrow(name: str) -> Any:
    import pyarrow as pa

    kinds = {"str": pa.string(), "float64": pa.float64(), "int64": pa.int64(), "bool": pa.bool_()}
    return kinds[COLUMNS[name]]


def _vectors(array: np.ndarray) -> Any:
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(array, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, array.shape[1])


def _array(column: Any, shape: tuple[int, ...]) -> np.ndarray:
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.array(flat, np.float32).reshape(len(column), *shape)
