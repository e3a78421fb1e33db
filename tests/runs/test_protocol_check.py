"""What is shipped can be run, and a protocol that cannot is told every reason at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fesbench.cli.main import main
from fesbench.errors import ProtocolError
from fesbench.methods.registry import methods
from fesbench.protocol.describe import describe
from fesbench.protocol.protocol import Protocol, load_protocol, parse_protocol, protocol_files
from fesbench.runs.protocol_check import check_file, problems
from tests.end_to_end import MINI, PROTOCOLS
from tests.stores import protocol

SHIPPED = list(protocol_files())


def test_every_protocol_of_the_field_is_shipped() -> None:
    assert set(SHIPPED) >= {
        "avatars@1",
        "avatars@2",
        "avatars-adapt@1",
        "avatars-ood@1",
        "cfee@1",
        "cfee-to-ood@1",
        "ck+@1",
        "ck+/10fold@1",
        "ck+-to-oulu@1",
        "emotionet-au@1",
        "fer2013-28@1",
        "ferg@1",
        "folder@1",
        "folder/5fold@1",
        "folder/loso@1",
        "fuse-28@1",
        "jaffe@1",
        "mug@1",
        "mug/5fold@1",
        "oulu-casia@1",
        "oulu-casia/10fold@1",
        "rafd@1",
        "rafd/10fold@1",
    }


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_protocol_can_be_run(name: str) -> None:
    shipped = load_protocol(name)
    assert problems(shipped) == []
    assert shipped.tasks_under("smoke")[0]
    assert shipped.left_open or not shipped.paper
    told = describe(shipped)
    assert shipped.title in told
    assert shipped.hash in told


@pytest.mark.parametrize("name", [name for name in SHIPPED if "/" in name])
def test_a_k_fold_form_differs_from_its_plain_one_in_split_and_cost_alone(name: str) -> None:
    folded, plain = load_protocol(name), load_protocol(name.split("/")[0])
    assert folded.split.n_folds >= 5
    for part in ("labels", "metrics", "budget"):
        assert getattr(folded, part) == getattr(plain, part)
    assert folded.data.model_copy(update={"stand_ins": {}}) == plain.data.model_copy(update={"stand_ins": {}})
    assert set(folded.tasks) <= set(plain.tasks)


def data_of(**more: Any) -> dict[str, Any]:
    return {"set": "avatars", "size": 64, "alignment": "none@1", "pairing": "take", **more}


def told(**sections: Any) -> str:
    return "\n".join(problems(protocol(**{"data": data_of(), **sections})))


def metrics_of(**more: Any) -> dict[str, Any]:
    return {"required": ["ECS"], "gallery": "none", "reference": "halves", **more}


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"metrics": metrics_of(required=["ESC"])}, "no metric 'ESC'. Did you mean HES or ECS"),
        ({"metrics": metrics_of(required=["Rank-1"])}, "Rank-1 compares with a gallery"),
        ({"metrics": metrics_of(optional=["ECS"])}, "ECS stands twice"),
        ({"metrics": metrics_of(face="dlip")}, "metrics.face"),
        ({"metrics": metrics_of(judge="shipped")}, "only avatars and avatars-video have shipped"),
        ({"data": data_of(set="avatar")}, "data: no data set 'avatar'. Did you mean avatars"),
        ({"data": data_of(alignment="none@2")}, "data.alignment"),
        ({"data": data_of(options={"identites": [1, 2, 3]})}, "data.options: no option"),
        (
            {"data": data_of(stand_ins={"ck+": {"alignment": "none"}})},
            "data.stand_ins.ck+.alignment",
        ),
        ({"data": data_of(unlabelled=["fresco"])}, "data.unlabelled: 'avatars' has no domain 'fresco'"),
        (
            {"data": data_of(test_sets=[{"set": "oulu-casia", "alignment": "none@1"}])},
            "'oulu-casia' does not tell its domains apart",
        ),
        (
            {"data": data_of(test_sets=[{"set": "ood", "alignment": "none@1", "domain": "in"}])},
            "the domain 'in' is that of the training data",
        ),
        ({"tasks": [{"kind": "expression", "domains": ["fresco"]}]}, "the data has no domain 'fresco'"),
        ({"tasks": [{"kind": "expression", "from_budget": "paper"}]}, "none is run under --budget smoke"),
        (
            {"tasks": [{"kind": "expression", "labels": ["fear"], "smoke_labels": ["anger"]}]},
            "smoke_labels: 'anger' is none of the task's labels fear",
        ),
        (
            {"labels": ["neutral", "fear"], "tasks": [{"kind": "expression"}]},
            "'anger' is none of the protocol's labels neutral, fear",
        ),
        (
            {"tasks": [{"kind": "expression", "labels": ["neutral", "fear"]}]},
            "'neutral' asks for the source itself",
        ),
        (
            {"tasks": [{"kind": "expression"}, {"kind": "expression", "labels": ["fear"]}]},
            "two of them ask for fear in domain 'in'",
        ),
        (
            {
                "tasks": [
                    {"kind": "expression", "labels": ["anger"]},
                    {"kind": "expression", "labels": ["fear"], "given": "landmarks"},
                ]
            },
            "two of them share the domain 'in' and differ in given",
        ),
        (
            {"tasks": [{"kind": "random", "given": "landmarks"}]},
            "what is drawn at random has no driver",
        ),
        (
            {"tasks": [{"kind": "random"}], "metrics": metrics_of(required=["SSIM"])},
            "none of SSIM means anything for task 'random'",
        ),
        ({"split": {"rule": "names", "test_names": ["a"], "validation_names": ["a"]}}, "'a' stands in more"),
        ({"split": {"rule": "hash", "folds": 2}}, "needs three folds"),
        ({"split": {"by": "image", "rule": "hash", "test": 0.2}}, "'avatars' says who is shown"),
        ({"split": {"rule": "official"}}, "'official' belongs to by"),
        ({"split": {"rule": "file"}}, "a file is given with --split"),
        ({"data": data_of(set="emotionet")}, "nobody knows who is shown in 'emotionet'"),
    ],
)
def test_what_would_stop_a_run_is_told(sections: dict[str, Any], expected: str) -> None:
    assert expected in told(**sections)


def test_a_sound_protocol_has_no_problem() -> None:
    assert told() == ""


def test_a_task_that_nobody_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = methods()["copy"]
    monkeypatch.setattr("fesbench.methods.registry.methods", lambda: {"copy": copy})
    assert "tasks (random): no method and no reference row answers it" in told(tasks=[{"kind": "random"}])


def leave(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return int(caught.value.code or 0)


def test_validate_says_what_a_file_means(capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("protocols", "validate", MINI) == 0
    out = capsys.readouterr().out
    assert "subjects by fixed ranges, 10 train, 3 validate, 5 tested" in out
    assert f"{MINI} is valid" in out


def test_validate_lists_every_slip_and_leaves_with_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mini@1.toml"
    text = Path(MINI).read_text().replace('"ECS"', '"ESC"').replace('["cartoon"]', '["fresco"]')
    path.write_text(text)
    assert leave("protocols", "validate", str(path)) == 2
    told = capsys.readouterr().err
    assert "no metric 'ESC'" in told
    assert "no domain 'fresco'" in told
    path.write_text(text.replace("size = 64", "size = 5").replace("pairing", "paring"))
    assert leave("protocols", "validate", str(path)) == 2
    told = capsys.readouterr().err
    assert "data.paring" in told
    assert "data.size" in told
    assert leave("protocols", "validate", str(tmp_path / "none.toml")) == 2
    with pytest.raises(ProtocolError, match="does not exist"):
        check_file(tmp_path / "none.toml")


def test_a_rule_that_fesbench_learns_later_leaves_old_hashes_alone(tmp_path: Path) -> None:
    plain = parse_protocol(Path(MINI))
    path = tmp_path / "mini@1.toml"
    text = Path(MINI).read_text()
    spelt = text.replace("[split]\n", '[split]\nseed = 0\nby = "identity"\nduplicates = "together"\n')
    spelt = spelt.replace('kind = "expression"\n', 'kind = "expression"\ntakes = 1\nlevels = [1.0]\n')
    assert spelt != text
    path.write_text(spelt)
    assert parse_protocol(path).hash == plain.hash


def test_folds_have_names_and_hashes_of_their_own() -> None:
    folded = parse_protocol(PROTOCOLS / "folded@1.toml")
    parts: tuple[Protocol, ...] = folded.folds()
    assert [part.name for part in parts] == [f"folded@1+fold={k}" for k in range(3)]
    assert len({folded.hash, *(part.hash for part in parts)}) == 4
    assert all(part.split.n_folds == 0 for part in parts)


SMALL = ("--size", "32")


def test_a_split_is_written_and_given_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "split.csv"
    assert leave("protocols", "split", MINI, *SMALL, "--out", str(out)) == 0
    told = capsys.readouterr().out
    assert "subjects 10 train, 3 validation, 5 test" in told
    assert "happiness" in told
    table = pd.read_csv(out)
    assert table.groupby("subset")["identity"].nunique().to_dict() == {
        "test": 5,
        "train": 10,
        "validation": 3,
    }

    assert leave("protocols", "show", MINI, *SMALL, "--split", str(out), "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["name"].startswith("mini@1+size=32+split=")
    assert f"hash {shown['split_summary']['hash']}" in told

    requests = tmp_path / "requests.csv"
    subsets = table.copy()
    subsets.loc[subsets["identity"] == "a0017", "subset"] = "train"
    subsets.to_csv(out, index=False)
    assert leave("protocols", "requests", MINI, *SMALL, "--split", str(out), "--out", str(requests)) == 0
    asked = pd.read_csv(requests, keep_default_na=False)
    assert set(asked["identity"]) == {"a0013", "a0014", "a0015", "a0016"}


def test_a_k_fold_split_is_written_by_fold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, name = tmp_path / "folds.csv", str(PROTOCOLS / "folded@1.toml")
    assert leave("protocols", "split", name, *SMALL, "--out", str(out)) == 0
    assert "subjects by fold: 0: " in capsys.readouterr().out
    table = pd.read_csv(out)
    assert table["identity"].nunique() == 9
    assert set(table["subset"]) <= {0, 1, 2}
    assert leave("protocols", "show", name, *SMALL, "--split", str(out)) == 0
    assert "imported file" in capsys.readouterr().out
