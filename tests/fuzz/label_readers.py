"""Readers of the files in which data sets keep their labels, as their adapters plan from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fesbench.data.datasets import dataset
from fesbench.data.images import write_png
from fesbench.data.layouts.workbooks import Tables, xls_bytes, xlsx_bytes
from fesbench.data.store.aligned import AlignedStore
from fesbench.data.store.manifest import Manifest
from fesbench.vocabulary import ACTION_UNITS
from tests.fuzz.reader import Reader
from tests.stores import shot, tiny_store

_CFEE = {
    "summary": [["ID", "Category"], [1.0, "Neutral"], [2.0, "Happy"], ["20", "Sadly_Angry"]],
    "126": [["", 1.0, 2.0, 12.0], ["01", None, 1.0, None], ["02", 1.0, None, 1.0]],
}
_LINK = "http://host/Images/N_0000000356/N_0000000356_00190.jpg"
_UNITS = "\t".join(["999"] * 11 + ["1"] + ["0"] * 48)
_PIXELS = " ".join(["7"] * (48 * 48))
_VOTES = (
    "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
    "Training,fer0000000.png,0,8,2,0,0,0,0,0,0,0\nPublicTest,,0,0,0,0,0,0,0,0,0,10\n"
)
_MANIFEST = (
    "image,expression,identity,intensity,take,part,publishable,age,AU12,sha256\n"
    "a.png,Happy,anna,1,0,train,yes,31,0.5,\nb.png,neutral,anna,0,1,,no,nan,,\n"
)


def _plans(name: str, **options: Any) -> Callable[[Path], object]:
    """Everything that is read before an image of a data set is; the first images too."""
    adapter = dataset(name)

    def read(path: Path) -> None:
        root = next(parent for parent in path.parents if parent.name == "data")
        plan = adapter.plan(root, adapter.check_options(options), 32)
        assert len(plan.fingerprint) == 64
        plan.read(0, min(2, len(plan)))

    return read


def _among(images: Sequence[str], *contents: bytes) -> Callable[[Path], list[bytes]]:
    """The contents, and images below the folder of data."""

    def seeds(folder: Path) -> list[bytes]:
        rng = np.random.default_rng(0)
        for name in images:
            path = folder / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".png":
                write_png(path, rng.integers(0, 256, (48, 48, 3), np.uint8))
            else:
                from PIL import Image

                Image.fromarray(rng.integers(0, 256, (48, 48, 3), np.uint8)).save(path)
        return list(contents)

    return seeds


_FACES = ("CFEE/01-04/Images1/01_126_3963.jpg", "CFEE/01-04/Images1/02_126_3470.jpg")
_FER = ("FER2013Train/fer0000000.png",)
_SEQUENCE = tuple(f"cohn-kanade-images/S005/001/S005_001_{frame:08d}.png" for frame in range(1, 5))
_EMOTION, _FACS = b"   3.0000000e+00\n", b"   9.0000000e+00   2.0000000e+00\n  17.0  0.0\n"
_POINTS = "".join(f"   {x}.5e+00   {x}.25e+00\n" for x in range(68)).encode()


def _ck(kind: str, content: bytes) -> Reader:
    name = "data/{0}/S005/001/S005_001_00000004_{1}.txt"

    def seeds(folder: Path) -> list[bytes]:
        label = folder / name.format("Emotion", "emotion")
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_bytes(_EMOTION)
        return _among(_SEQUENCE, content)(folder)

    return Reader(f"ck+-{kind}", name.format(kind, kind.lower()), seeds, _plans("ck+"))


def _list(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _books(tables: Tables) -> dict[str, bytes]:
    return {"xls": xls_bytes(tables), "xlsx": xlsx_bytes(tables)}


def _book(tables: Tables) -> bytes:
    """A workbook as text that is spoiled field by field; see `_bound`."""
    return "\n\n".join(
        "\n".join([name, *("\t".join("" if c is None else str(c) for c in row) for row in rows)])
        for name, rows in tables.items()
    ).encode()


def _bound(text: bytes) -> bytes:
    """A workbook of spoiled cells: blank lines part its sheets, tabs its cells."""
    tables: dict[str, list[list[str | float | None]]] = {}
    for sheet in text.decode("utf-8", "replace").split("\n\n"):
        name, *rows = sheet.split("\n")
        kept = "".join(c for c in name if c.isalnum())[:30] or "sheet"
        tables[kept] = [[_cell(cell) for cell in row.split("\t")[:200]] for row in rows]
    return xlsx_bytes(tables)


def _cell(text: str) -> str | float | None:
    try:
        value = float(text)
    except ValueError:
        return "".join(c for c in text if c.isprintable())[:1000] or None
    return value if np.isfinite(value) else text[:100]


def _store(folder: Path) -> None:
    rows = [shot(who, what) for who in "abc" for what in ("neutral", "fear")]
    tiny_store(folder / "store", rows, units={12: 0.5})


def _of_store(name: str) -> Callable[[Path], list[bytes]]:
    def seeds(folder: Path) -> list[bytes]:
        if not (folder / "store" / "store.json").exists():
            (folder / "store").rmdir()
            _store(folder)
        return [(folder / "store" / name).read_bytes()]

    return seeds


def _opened(path: Path) -> None:
    store = AlignedStore.open(path.parent)
    assert store.images[0].shape == (store.size, store.size, 3)


def _manifest(path: Path) -> None:
    assert Manifest.load(path).action_units.shape[1] == len(ACTION_UNITS)


LABELS = (
    Reader("manifest", "data/manifest.csv", _among(("a.png", "b.png"), _MANIFEST.encode()), _plans("folder")),
    *(
        Reader(
            f"cfee-{kind}",
            f"data/CFEE/AU_annotation_all_subjects.{kind}",
            _among(_FACES, content),
            _plans("cfee"),
        )
        for kind, content in _books(_CFEE).items()
    ),
    Reader(
        "cfee-cells",
        "data/CFEE/AU_annotation_all_subjects.xlsx",
        _among(_FACES, _book(_CFEE)),
        _plans("cfee"),
        packed=_bound,
    ),
    _ck("Emotion", _EMOTION),
    _ck("FACS", _FACS),
    _ck("Landmarks", _POINTS),
    Reader(
        "emotionet-list",
        "data/URLs/dataFile_1000.txt",
        _among(("Images/N_0000000356/N_0000000356_00190.jpg",), _list(f"{_LINK}\t{_LINK}\t{_UNITS}")),
        _plans("emotionet"),
    ),
    Reader(
        "fer2013",
        "data/fer2013.csv",
        _among((), _list("emotion,pixels,Usage", f"0,{_PIXELS},Training", f"3,{_PIXELS},PrivateTest")),
        _plans("fer2013"),
    ),
    Reader("fer2013-votes", "data/fer2013new.csv", _among(_FER, _VOTES.encode()), _plans("fer2013")),
    Reader("store", "store/store.json", _of_store("store.json"), _opened, tree=True),
    Reader("store-manifest", "store/manifest.parquet", _of_store("manifest.parquet"), _manifest),
    Reader("store-images", "store/images.npy", _of_store("images.npy"), _opened),
)
