"""Networks from files: they answer as the same network called from Python, and nothing unsafe is opened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fesbench.context.build import open_store
from fesbench.context.folded import requests_of as requests_table
from fesbench.context.folded import tables_of
from fesbench.errors import DataError, UsageError
from fesbench.external.adapter import Adapter, load_adapter
from fesbench.external.archive import checked_archive
from fesbench.external.evaluate import evaluate
from fesbench.external.exported import ExportedNetwork, exported_images
from fesbench.external.programs import Program, open_program
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import Problem
from fesbench.progress import Reporter
from fesbench.protocol.protocol import load_protocol
from fesbench.reports.site import build
from tests.end_to_end import PIXELS, PROTOCOLS, figures
from tests.tiny_networks import LABELS, Tinter, save_onnx, save_pt2, tinter_inputs

SIZE = 32
PROBLEM = Problem(size=SIZE, labels=("neutral", *LABELS), action_units=(1, 4, 12), seed=0)
MARKS = {"x": "source", "p": "target_landmarks"}
ADAPTER = f"""
labels = {json.dumps(LABELS)}
[inputs]
image = "source"
label = "target_label_one_hot"
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny network as tint.pt2 and tint.onnx, each with its adapter."""
    folder = tmp_path_factory.mktemp("networks")
    network, inputs = Tinter(), tinter_inputs(SIZE)
    made = {"pt2": save_pt2(network, inputs, folder / "tint.pt2")}
    if _has("onnxruntime") and _has("onnxscript"):
        made["onnx"] = save_onnx(network, inputs, ("image", "label"), folder / "tint.onnx")
    (folder / "tint.toml").write_text(ADAPTER)
    return made


def _has(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def requests(count: int = 3) -> RequestBatch:
    draw = torch.Generator().manual_seed(1)
    codes = torch.arange(count) % len(LABELS) + 1
    return RequestBatch(
        source=(torch.randint(0, 256, (count, 3, SIZE, SIZE), generator=draw) / 127.5 - 1).float(),
        source_label=torch.zeros(count, dtype=torch.int64),
        source_landmarks=torch.zeros(count, 68, 2),
        source_action_units=torch.zeros(count, 3),
        target_label=codes,
        second_label=torch.full((count,), -1),
        target_action_units=torch.rand(count, 3, generator=draw),
        target_landmarks=torch.rand(count, 68, 2, generator=draw) * SIZE,
        intensity=torch.ones(count),
        noise_seed=torch.arange(count) + 5,
    )


class Echo(Program):
    """Keeps what it is given and returns its image."""

    def __init__(self, shapes: dict[str, tuple[int | None, ...]], made: np.ndarray) -> None:
        super().__init__(Path("echo.onnx"), "0" * 64, "echo 1")
        self.shapes, self.outputs, self.made = shapes, ("made",), made
        self.dtypes = dict.fromkeys(shapes, np.dtype(np.float32))
        self.seen: dict[str, np.ndarray] = {}

    def run(self, inputs):
        self.seen = dict(inputs)
        return {"made": np.repeat(self.made[None], len(next(iter(inputs.values()))), axis=0)}


def fitted(shapes, made=None, **adapter) -> tuple[ExportedNetwork, Echo]:
    program = Echo(shapes, np.zeros((3, SIZE, SIZE), np.float32) if made is None else made)
    return ExportedNetwork(program, Adapter.model_validate(adapter), SIZE), program


@pytest.mark.slow
def test_a_file_gives_the_same_scores_as_the_function(files, tmp_path: Path) -> None:
    network = Tinter().eval()

    def tint(sources: np.ndarray, asked: list[dict[str, object]]) -> np.ndarray:
        image = torch.from_numpy(sources).permute(0, 3, 1, 2) / 127.5 - 1
        label = torch.eye(len(LABELS))[[LABELS.index(str(row["target_expression"])) for row in asked]]
        with torch.inference_mode():
            made = network(image, label)
        return (made * 127.5 + 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()

    options = {"protocol": PIXELS, "size": SIZE, "out": tmp_path}
    wanted = evaluate(tint, name="function", **options)
    assert any(score.value for score in wanted.scores)
    for kind, path in files.items():
        record = evaluate(path, name=f"from-{kind}", **options)
        assert figures(record) == figures(wanted)
        assert record.parameters["program"] == path.name
        assert record.parameters["runtime"].startswith(("torch ", "onnxruntime "))
        assert record.parameters["adapter"]["labels"] == list(LABELS)
    page = build(tmp_path, tmp_path / "report").read_text(encoding="utf-8")
    assert all(f"from-{kind}" in page for kind in files)


def test_pictures_do_not_depend_on_the_batch(files) -> None:
    for path in files.values():
        network = ExportedNetwork(open_program(path), load_adapter(path.with_suffix(".toml")), SIZE)
        batch = requests(5)
        whole = network.answer(batch, PROBLEM)
        one = network.answer(requests_of(batch, slice(3, 4)), PROBLEM)
        assert np.array_equal(whole[3:4], one)


def requests_of(batch: RequestBatch, rows: slice) -> RequestBatch:
    from dataclasses import fields, replace

    held = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return replace(batch, **{name: value[rows] for name, value in held.items() if isinstance(value, Tensor)})


def test_a_network_with_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    path = save_pt2(Tinter(), tinter_inputs(SIZE), tmp_path / "two.pt2", dynamic=False)
    (tmp_path / "two.toml").write_text(ADAPTER)
    network = ExportedNetwork(open_program(path), load_adapter(tmp_path / "two.toml"), SIZE)
    assert network.batch == 2
    assert network.answer(requests(1), PROBLEM).shape == (1, SIZE, SIZE, 3)


def test_every_input_arrives_as_the_adapter_says() -> None:
    shapes = {
        "x": (None, SIZE, SIZE, 3),
        "l": (None,),
        "u": (None, 2),
        "p": (None, 68, 2),
        "z": (None, 4),
    }
    network, program = fitted(
        shapes,
        labels=["surprised", "angry", "happiness"],
        action_units=[12, 1],
        source_pixels={"channels": "bgr", "range": [0, 255], "layout": "nhwc"},
        inputs={
            "x": "source",
            "l": "target_label_index",
            "u": "target_action_units",
            "p": "target_landmarks",
            "z": "noise",
        },
    )
    batch = requests(2)
    network.answer(batch, PROBLEM)
    rgb = ((batch.source.permute(0, 2, 3, 1) + 1) * 127.5).numpy()
    assert np.allclose(program.seen["x"][:2], rgb[..., ::-1], atol=1e-3)
    assert program.seen["l"][:2].tolist() == [2, 1]
    assert np.array_equal(program.seen["u"][:2], batch.target_action_units.numpy()[:, [2, 0]])
    assert np.allclose(program.seen["p"][:2], batch.target_landmarks.numpy(), atol=1e-4)
    first = program.seen["z"][:2]
    assert np.array_equal(first[1], np.random.default_rng(6).standard_normal(4).astype(np.float32))
    network.answer(requests_of(batch, slice(1, 2)), PROBLEM)
    assert np.array_equal(program.seen["z"][0], first[1])


def test_another_size_and_gray_come_back_as_the_protocols() -> None:
    made = np.full((1, 16, 16), 51.0, np.float32)
    network, program = fitted(
        {"x": (None, 1, 16, 16), "p": (None, 68, 2)},
        made,
        size=16,
        source_pixels={"channels": "gray", "range": [0, 1]},
        output_pixels={"channels": "gray", "range": [0, 255]},
        inputs={"x": "source", "p": "target_landmarks"},
    )
    batch = requests(1)
    assert (network.answer(batch, PROBLEM) == 51).all()
    # a pixel's center stays where it is in the image
    assert np.allclose(program.seen["p"][0], (batch.target_landmarks[0].numpy() + 0.5) / 2 - 0.5, atol=1e-4)
    gray = ((batch.source[0].permute(1, 2, 0).numpy() + 1) / 2) @ [0.299, 0.587, 0.114]
    assert program.seen["x"][0].mean() == pytest.approx(gray.mean(), abs=0.01)
    assert network.card()["resize"] == "32-16-32:bilinear-antialias"


@pytest.mark.parametrize(
    ("value", "told"), [(np.nan, "not finite"), (1.1, "outside of output_pixels.range"), (-2.0, "outside")]
)
def test_pixels_that_are_no_pixels_are_refused(value: float, told: str) -> None:
    network, _ = fitted(
        {"x": (None, 3, SIZE, SIZE)}, np.full((3, SIZE, SIZE), value, np.float32), inputs={"x": "source"}
    )
    with pytest.raises(DataError, match=told):
        network.answer(requests(1), PROBLEM)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"inputs": {"y": "source"}}, "takes x; the adapter's .inputs. name y"),
        ({"inputs": {"x": "target_label_one_hot"}}, "give the order as 'labels'"),
        ({"inputs": {"x": "target_action_units"}}, "give 'action_units'"),
        ({"output": "other"}, "gives made; name one as 'output'"),
        ({"size": 16}, "input 'x' has shape"),
    ],
)
def test_a_program_that_the_adapter_does_not_fit_is_refused(changes: dict[str, object], told: str) -> None:
    def answer() -> None:
        network, _ = fitted({"x": (None, 3, SIZE, SIZE)}, **({"inputs": {"x": "source"}} | changes))
        network.answer(requests(1), PROBLEM)

    with pytest.raises(UsageError, match=told):
        answer()


def test_a_label_that_the_network_does_not_know_is_named() -> None:
    network, _ = fitted({"x": (None, 2)}, labels=["neutral", "sad"], inputs={"x": "target_label_one_hot"})
    with pytest.raises(UsageError, match="asks for happiness"):
        network.answer(requests(1), PROBLEM)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[inputs]\nx = "sauce"', "'inputs.x'"),
        ('labels = ["happy", "joy"]\n[inputs]\nx = "source"', "'labels': names an expression twice"),
        ('labels = ["mirth"]\n[inputs]\nx = "source"', "unknown expression 'mirth'"),
        ('action_units = [3]\n[inputs]\nx = "source"', "'action_units'"),
        ('[inputs]\nx = "source"\n[source_pixels]\nrange = [1, 0]', "two rising numbers"),
        ('sizes = 3\n[inputs]\nx = "source"', "'sizes'"),
        ("inputs = ", "cannot be read as TOML"),
    ],
)
def test_a_slip_in_the_adapter_is_named(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=told):
        load_adapter(path)


def test_a_task_is_answered_where_the_inputs_carry_what_it_asks() -> None:
    label = Adapter.model_validate({"inputs": {"x": "source", "l": "target_label_index"}})
    assert label.answers("expression", "label", with_source=True)
    assert not label.answers("intensity", "label", with_source=True)
    assert not label.answers("transfer", "landmarks", with_source=True)
    assert not label.answers("random", "label", with_source=False)
    units = Adapter.model_validate({"inputs": {"x": "source", "u": "target_action_units"}})
    assert units.answers("action-unit", "label", with_source=True)
    assert units.answers("transfer", "action_units", with_source=True)


def test_folds_are_asked_one_by_one() -> None:
    rules = load_protocol(str(PROTOCOLS / "folded@1.toml")).with_overrides(size=SIZE, data=None)
    store = open_store(rules, None, Reporter())
    network, program = fitted({"x": (None, 3, SIZE, SIZE), "p": (None, 68, 2)}, inputs=MARKS)
    parts = tables_of(rules, store, "standard")
    assert len(parts) > 1
    made, means = [], set()
    for part, table, _ in parts:
        made += [name for name, _ in exported_images(network, part, store, table.drop(columns="target"))]
        means.add(program.seen["p"].tobytes())
    whole = requests_table(rules, store, "standard")[0]
    assert sorted(made) == sorted(whole["request"])
    assert len(means) == len(parts)


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.ckpt", "net.pkl"])
def test_a_pickle_is_never_opened(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(UsageError, match=r"a pickle runs code.*\.pt2"):
        evaluate(path, protocol=PIXELS, out=tmp_path)


def changed(path: Path, out: Path, record: str, change) -> bytes:
    """An archive with one record changed, added or, where ``change`` gives None, as it is."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        records = {item.filename: old.read(item) for item in old.infolist()}
        key = next((name for name in records if name.endswith(record)), f"tint/{record}")
        records[key] = change(records.get(key, b""))
        for name, content in records.items():
            new.writestr(name, content)
    return out.read_bytes()


def _first_target(target: str):
    def change(content: bytes) -> bytes:
        graph = json.loads(content)
        graph["graph_module"]["graph"]["nodes"][0]["target"] = target
        return json.dumps(graph).encode()

    return change


def _replace(old: str, new: str):
    def change(content: bytes) -> bytes:
        assert old.encode() in content
        return content.replace(old.encode(), new.encode())

    return change


@pytest.mark.parametrize(
    ("record", "change", "told"),
    [
        ("models/model.json", _first_target("torch.os.system"), "calls 'torch.os.system'"),
        ("models/model.json", _first_target("torch.load"), "calls 'torch.load'"),
        ("models/model.json", _first_target("torch.ops.aten.from_file.default"), "from_file"),
        ("models/model.json", _first_target("_operator.methodcaller"), "methodcaller"),
        (
            "models/model.json",
            _replace('"expr_str": "Symbol(', '"expr_str": "__import__(\'os\').system('),
            "no formula",
        ),
        (
            "model_weights_config.json",
            _replace('"use_pickle": false', '"use_pickle": true'),
            "holds a pickle",
        ),
        ("data/constants/custom_obj_0", lambda _: b"cos\nsystem\n", "could run code"),
        ("data/aotinductor/model/x.so", lambda _: b"\x7fELF", "could run code"),
        ("data/weights/model.pt", lambda _: b"PK", "could run code"),
        ("models/other.json", lambda _: b"{}", "holds no exported program"),
    ],
)
def test_what_could_run_code_is_refused_unopened(
    files, record: str, change, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(files["pt2"], tmp_path / "bad.pt2", record, change)
    monkeypatch.setattr(torch.export, "load", lambda *_: pytest.fail("was loaded"))
    with pytest.raises(DataError, match=told):
        open_program(tmp_path / "bad.pt2")


def test_a_class_named_in_a_nested_specification_is_refused(files, tmp_path: Path) -> None:
    def change(content: bytes) -> bytes:
        graph = json.loads(content)
        held = graph["graph_module"]["module_call_graph"][0]["signature"]
        inner = json.dumps({"\u005f_enum__": True, "fqn": "os:system", "name": "x"}).replace("_", "\\u005f")
        held["in_spec"] = json.dumps([1, {"context": inner}])
        return json.dumps(graph).encode()

    with pytest.raises(DataError, match="names a Python class"):
        checked_archive(changed(files["pt2"], tmp_path / "bad.pt2", "models/model.json", change), "bad.pt2")


def test_example_inputs_are_not_unpickled(files, tmp_path: Path) -> None:
    flag = tmp_path / "ran"
    pickle = f"cos\nsystem\n(S'touch {flag}'\ntR.".encode()
    changed(files["pt2"], tmp_path / "ok.pt2", "data/sample_inputs/model.pt", lambda _: pickle)
    assert open_program(tmp_path / "ok.pt2").outputs
    assert not flag.exists()


@pytest.mark.parametrize("suffix", ["pt2", "onnx"])
@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04"])
def test_a_damaged_file_is_told_in_a_sentence(suffix: str, content: bytes, tmp_path: Path) -> None:
    if suffix == "onnx":
        pytest.importorskip("onnxruntime")
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match="export it again"):
        open_program(path)


def test_onnxruntime_that_is_missing_is_told_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.onnx").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"fesbench\[onnx\]"):
        open_program(tmp_path / "a.onnx")


def test_onnxruntime_writes_nothing_below_the_home_folder(files, tmp_path: Path) -> None:
    if "onnx" not in files:
        pytest.skip("onnxruntime or onnxscript is not installed")
    script = (
        "import sys\nfrom pathlib import Path\nfrom fesbench.external.programs import open_program\n"
        "open_program(Path(sys.argv[1]))"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    command = [sys.executable, "-c", script, str(files["onnx"])]
    subprocess.run(command, env=environment, check=True, timeout=120)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_two_outputs_want_a_name(tmp_path: Path) -> None:
    class Two(nn.Module):
        def forward(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
            return image * 0.5, label * 2

    path = save_pt2(Two(), tinter_inputs(SIZE), tmp_path / "two.pt2")
    program = open_program(path)
    spec = {"labels": LABELS, "inputs": {"image": "source", "label": "target_label_one_hot"}}
    with pytest.raises(UsageError, match="name one as 'output'"):
        ExportedNetwork(program, Adapter.model_validate(spec), SIZE)
    first = program.outputs[0]
    network = ExportedNetwork(program, Adapter.model_validate({**spec, "output": first}), SIZE)
    batch = requests(2)
    halved = ((batch.source * 0.5 + 1) * 127.5).round().permute(0, 2, 3, 1).numpy()
    assert np.abs(network.answer(batch, PROBLEM) - halved).max() <= 1


def test_half_precision_is_told_at_the_input_and_read_at_the_output(tmp_path: Path) -> None:
    class Half(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * 0.5).to(torch.bfloat16)

    sources = torch.ones(2, 3, 8, 8)
    program = open_program(save_pt2(Half(), (sources,), tmp_path / "half.pt2"))
    (made,) = program.run({"x": sources.numpy()}).values()
    assert (made.dtype, float(made.max())) == (np.float32, 0.5)
    path = save_pt2(Half(), (sources.to(torch.bfloat16),), tmp_path / "inputs.pt2")
    with pytest.raises(DataError, match=r"input 'x' is torch.bfloat16; export it in float32"):
        open_program(path)
