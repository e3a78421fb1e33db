"""What fuzzing found, one case each: a crash, a hang, a value that is none, or an error without a name."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fesbench.data.datasets.folder_table import read_manifest
from fesbench.data.datasets.tables import Line
from fesbench.data.datasets.workbook import sheets
from fesbench.data.layouts.workbooks import xls_bytes
from fesbench.data.store.aligned import AlignedStore, read_info
from fesbench.errors import DataError, FesbenchError, ProtocolError, RecordError, UsageError, WeightsError
from fesbench.external.adapter import load_adapter
from fesbench.external.archive import _checked, checked_archive
from fesbench.extractors.dlib_resnet import read_layers
from fesbench.extractors.face_api import read_shards
from fesbench.gate.baselines import load_rows
from fesbench.gate.claims import parse_claims
from fesbench.protocol.protocol import load_protocol
from fesbench.records.parquet import read_table
from fesbench.records.record import Record, load_record
from fesbench.reports.published import parse_published
from fesbench.runs.convert_weights import read_authors
from fesbench.runs.method_sets import parse_sets
from fesbench.weights.state_dict import tensors_of
from tests.fuzz.binary_readers import BINARIES
from tests.records.test_record import make_cell
from tests.stores import shot, tiny_store

DEEP = "[" * 100_000


def test_a_split_of_two_folds_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("identity,subset\na,0\nb,1\n")
    with pytest.raises(DataError, match=r"mine\.csv has 2 folds"):
        load_protocol("avatars").with_overrides(split=path)


@pytest.mark.parametrize("method", ["\\ud800", DEEP])
def test_half_a_character_and_endless_nesting_are_no_record(method: str, tmp_path: Path) -> None:
    text = Record(cell=make_cell()).model_dump_json().replace('"mr"', f'"{method}"')
    (tmp_path / "record.json").write_text(DEEP if method == DEEP else text)
    with pytest.raises(RecordError, match=r"record\.json cannot be read"):
        load_record(tmp_path)


@pytest.mark.parametrize("text", [DEEP, '{"kind": "fesbench-baseline", "\\ud800": 1}'])
def test_nor_are_they_a_baseline(text: str, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(RecordError, match=r"b\.json cannot be read"):
        load_rows(tmp_path / "b.json")


@pytest.mark.parametrize("size", ['"big"', "-1", "16.5", "true"])
def test_a_store_whose_size_is_none_is_damaged(size: str, tmp_path: Path) -> None:
    tiny_store(tmp_path / "store", [shot("a", "fear")])
    path = tmp_path / "store" / "store.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "size": json.loads(size)}))
    with pytest.raises(DataError, match="no whole number"):
        AlignedStore.open(tmp_path / "store")


def test_an_array_whose_head_is_no_python_is_damaged(tmp_path: Path) -> None:
    tiny_store(tmp_path / "store", [shot("a", "fear")])
    path = tmp_path / "store" / "images.npy"
    path.write_bytes(path.read_bytes().replace(b"(1, 16, 16, 3)", b"(1, 16, 16, 3 "))
    with pytest.raises(DataError, match=r"images\.npy is truncated or unreadable"):
        AlignedStore.open(tmp_path / "store")


def test_a_workbook_that_points_at_itself_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.xls").write_bytes(xls_bytes({"one": [[1.0]]}))

    def round_and_round(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr("xlrd.open_workbook", round_and_round)
    with pytest.raises(DataError, match=r"a\.xls is no workbook"):
        list(sheets(tmp_path / "a.xls"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("G.safetensors", b""),
        ("G.pth", b"uE\x01"),
        ("G.pth", b"\x80"),
        ("G.pth", b"GA\xb9\x96\xbd"),
        ("G.pth", b"\x80\x02X\xff\xff\xff\x7f."),
        ("fear/fear_N.npz", b""),
        ("fear/fear_N.npz", b"PK\x03\x04 and no more"),
    ],
)
def test_no_weights_of_authors(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(DataError, match=path.name):
        read_authors(path if path.suffix != ".npz" else tmp_path)
    if path.suffix == ".pth":
        with pytest.raises(RuntimeError, match="no file of tensors"):
            tensors_of(content)


def test_a_network_of_dlib_that_never_begins_is_read_in_one_go() -> None:
    head = b"\x01\x01\x01\x0eloss_metric_2\x02"
    with pytest.raises(WeightsError, match="not dlib's"):
        read_layers(head[:17] + b"\x01\x01" * 500_000)


def test_an_archive_whose_directory_lies_before_its_beginning_is_refused() -> None:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a/models/model.json", "{}")
    content = bytearray(stream.getvalue())
    at = content.rindex(b"PK\x01\x02") + 42  # where the directory says that the file lies
    content[at : at + 4] = (2**31).to_bytes(4, "little")
    with pytest.raises(DataError, match=r"net\.pt2"):
        checked_archive(bytes(content), "net.pt2")


def test_a_range_of_pixels_is_two_finite_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    for black in ("nan", "-inf"):
        path.write_text(f'[inputs]\nx = "source"\n[source_pixels]\nrange = [{black}, 1.0]\n')
        with pytest.raises(UsageError, match="two rising numbers"):
            load_adapter(path)


@pytest.mark.parametrize("text", ["[a", "a = 1", "[a]\ntitle = 1", f"a = {'9' * 5000}", "\x00"])
def test_tables_beside_the_protocols_are_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text)
    for parse in (parse_claims, parse_sets):
        with pytest.raises(ProtocolError, match=r"odd\.toml is no table"):
            parse(path)


@pytest.mark.parametrize("value", ["x", "nan", ""])
def test_a_published_value_is_a_number(value: str, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    head = "row,preset,protocol,task,score,offset,scale,value,source,table,setting,verified,differs"
    path.write_text(f"{head}\nmr,paper,cfee,expression,ECS,0,1,{value},a,b,c,d,e\n")
    with pytest.raises(FesbenchError, match=r"p\.csv is no table of published values"):
        parse_published(path)


def test_a_whole_number_has_an_end() -> None:
    line = Line(Path("votes.csv"), 3, {"neutral": "9" * 5000})
    with pytest.raises(DataError, match=r"votes\.csv, line 3, column 'neutral'.*18 digits at most"):
        line.whole("neutral")


def test_a_clip_with_half_a_character_in_its_head_is_named(tmp_path: Path) -> None:
    pytest.importorskip("av")
    (reader,) = (one for one in BINARIES if one.name == "clip-mp4")
    (whole, *_) = reader.seeds(tmp_path)
    assert b"ftypisom" in whole
    path = tmp_path / "clip.mp4"
    path.write_bytes(whole.replace(b"ftypisom", b"ftyp\xe9som", 1))
    with pytest.raises(DataError, match=r"clip\.mp4 is truncated or damaged"):
        reader.read(path)


def test_an_image_of_an_endless_name_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(f"image,expression,identity\n{'9' * 5000}.png,happiness,a\n")
    with pytest.raises(DataError, match=r"labels\.csv, line 2, column 'image'"):
        read_manifest(tmp_path / "labels.csv")


def test_a_tensor_without_end_does_not_fit() -> None:
    entry = {"name": "a", "shape": [1e999, 2], "dtype": "float32"}
    with pytest.raises(ValueError, match="cannot be of shape"):
        read_shards(json.dumps([{"weights": [entry]}]).encode(), b"")


def test_a_program_of_endless_nesting_is_named() -> None:
    with pytest.raises(DataError, match=r"p\.pt2: 'models/model\.json' is damaged"):
        _checked("models/model.json", DEEP.encode(), "p.pt2")


def test_a_manifest_of_endless_nesting_does_not_fit() -> None:
    with pytest.raises(ValueError, match="without end"):
        read_shards(DEEP.encode(), b"")


def test_a_store_of_endless_nesting_is_named(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text(DEEP)
    with pytest.raises(DataError, match=r"store\.json is not readable"):
        read_info(tmp_path)


def test_a_table_whose_notes_on_itself_are_spoiled_is_named(tmp_path: Path) -> None:
    table = pa.table({"request": ["a"]}).replace_schema_metadata({b"pandas": b'{"columns": [{}]}'})
    pq.write_table(table, tmp_path / "samples.parquet")
    with pytest.raises(RecordError, match=r"samples\.parquet cannot be read"):
        read_table(tmp_path / "samples.parquet", ["request"])


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"", b"\x93NUMPY"])
def test_images_of_a_store_that_are_no_array_are_named(content: bytes, tmp_path: Path) -> None:
    store = tiny_store(tmp_path / "store", [shot("anna", "happiness")])
    path = store.path / "images.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is truncated or unreadable"):
        AlignedStore.open(store.path)
