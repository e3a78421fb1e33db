from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.data.datasets import dataset
from fesbench.data.datasets.base import Item
from fesbench.data.datasets.jaffe import CODES
from fesbench.data.layouts import layout
from fesbench.data.layouts.jaffe import SUBJECTS, cast_of, names, write
from fesbench.data.prepare import prepare
from fesbench.errors import DataError
from fesbench.protocol.protocol import load_protocol
from fesbench.protocol.requests import build_requests
from fesbench.protocol.split import build_splits
from tests.listings import counted, lay, plan, rows

REAL = """
KA.AN1.39 KA.AN2.40 KA.AN3.41 KA.DI1.42 KA.DI2.43 KA.DI3.44 KA.FE1.45 KA.FE2.46 KA.FE3.47 KA.FE4.48
KA.HA1.29 KA.HA2.30 KA.HA3.31 KA.HA4.32 KA.NE1.26 KA.NE2.27 KA.NE3.28 KA.SA1.33 KA.SA2.34 KA.SA3.35
KA.SU1.36 KA.SU2.37 KA.SU3.38
KL.AN1.167 KL.AN2.168 KL.AN3.169 KL.DI1.170 KL.DI2.171 KL.DI3.172 KL.DI4.173 KL.FE1.174 KL.FE2.175
KL.FE3.176 KL.HA1.158 KL.HA2.159 KL.HA3.160 KL.NE1.155 KL.NE2.156 KL.NE3.157 KL.SA1.161 KL.SA2.162
KL.SA3.163 KL.SU1.164 KL.SU2.165 KL.SU3.166
KM.AN1.17 KM.AN2.18 KM.AN3.19 KM.DI1.20 KM.DI3.22 KM.FE1.23 KM.FE2.24 KM.FE3.25 KM.HA1.4 KM.HA2.5 KM.HA3.6
KM.HA4.7 KM.NE1.1 KM.NE2.2 KM.NE3.3 KM.SA1.9 KM.SA2.10 KM.SA3.11 KM.SA5.13 KM.SU1.14 KM.SU2.15 KM.SU3.16
KR.AN1.83 KR.AN2.84 KR.AN3.85 KR.DI1.86 KR.DI2.87 KR.DI3.88 KR.FE1.89 KR.FE2.90 KR.FE3.91 KR.HA1.74
KR.HA2.75 KR.NE1.71 KR.NE2.72 KR.NE3.73 KR.SA1.77 KR.SA2.78 KR.SA3.79 KR.SU1.80 KR.SU2.81 KR.SU3.82
MK.AN1.125 MK.AN2.126 MK.AN3.127 MK.DI1.128 MK.DI2.129 MK.DI3.130 MK.FE1.131 MK.FE2.132 MK.FE3.133
MK.HA1.116 MK.HA2.117 MK.HA3.118 MK.NE1.113 MK.NE2.114 MK.NE3.115 MK.SA1.119 MK.SA2.120 MK.SA3.121
MK.SU1.122 MK.SU2.123 MK.SU3.124
NA.AN1.211 NA.AN2.212 NA.AN3.213 NA.DI1.214 NA.DI2.215 NA.DI3.216 NA.FE1.217 NA.FE2.218 NA.FE3.219
NA.HA1.202 NA.HA2.203 NA.HA3.204 NA.NE1.199 NA.NE2.200 NA.NE3.201 NA.SA1.205 NA.SA2.206 NA.SA3.207
NA.SU1.208 NA.SU2.209 NA.SU3.210
NM.AN1.104 NM.AN2.105 NM.AN3.106 NM.DI1.107 NM.DI3.109 NM.FE1.110 NM.FE2.111 NM.FE3.112 NM.HA1.95
NM.HA2.96 NM.HA3.97 NM.NE1.92 NM.NE2.93 NM.NE3.94 NM.SA1.98 NM.SA2.99 NM.SA3.100 NM.SU1.101 NM.SU2.102
NM.SU3.103
TM.AN1.190 TM.AN2.191 TM.AN3.192 TM.DI1.193 TM.DI2.194 TM.DI3.195 TM.FE1.196 TM.FE2.197 TM.FE3.198
TM.HA1.180 TM.HA2.181 TM.HA3.182 TM.NE1.177 TM.NE2.178 TM.NE3.179 TM.SA1.184 TM.SA2.185 TM.SA3.186
TM.SU1.187 TM.SU2.188 TM.SU3.189
UY.AN1.146 UY.AN2.147 UY.AN3.148 UY.DI1.149 UY.DI2.150 UY.DI3.151 UY.FE1.152 UY.FE2.153 UY.FE3.154
UY.HA1.137 UY.HA2.138 UY.HA3.139 UY.NE1.134 UY.NE2.135 UY.NE3.136 UY.SA1.140 UY.SA2.141 UY.SA3.142
UY.SU1.143 UY.SU2.144 UY.SU3.145
YM.AN1.61 YM.AN2.62 YM.AN3.63 YM.DI1.64 YM.DI2.65 YM.DI3.66 YM.FE1.67 YM.FE2.68 YM.FE3.69 YM.FE4.70
YM.HA1.52 YM.HA2.53 YM.HA3.54 YM.NE1.49 YM.NE2.50 YM.NE3.51 YM.SA1.55 YM.SA2.56 YM.SA3.57 YM.SU1.58
YM.SU2.59 YM.SU3.60
"""
"""The files of the distribution, from the list of one copy, without their ending."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("made") / "jaffe", identities=3, size=64)


def test_the_list_of_a_real_copy_has_the_official_counts(tmp_path: Path) -> None:
    listed = sorted(f"{stem}.tiff" for stem in REAL.split())
    assert sorted(f"{who}.{code}{take}.{number}.tiff" for who, code, take, number in names()) == listed
    found = plan("jaffe", lay(tmp_path, *listed))
    assert {what: have for what, (have, _) in counted(found).items()} == dict(dataset("jaffe").expected)
    assert found.facts.notes == ()
    each = Counter(row["identity"] for row in rows(found))
    assert [each[who] for who in SUBJECTS] == [23, 22, 22, 20, 21, 21, 20, 21, 21, 22]
    # what the protocol asks for and compares with is there of everybody
    shown = {(row["identity"], row["expression"], row["take"]) for row in rows(found)}
    assert all((who, label, 0) in shown for who in SUBJECTS for label in CODES.values())
    assert all((who, "neutral", 1) in shown for who in SUBJECTS)


def test_the_adapter_reads_back_what_was_written(copy: Path) -> None:
    found = plan("jaffe", copy)
    assert len(found) == 23 + 22 + 22
    assert found.facts.not_understood.count == 0
    (place,) = [k for k, row in enumerate(rows(found)) if row["image"] == "KL.SU2.165.tiff"]
    (item,) = found.read(place, place + 1)
    assert isinstance(item, Item)
    avatar = {who: k for k, who in cast_of(3)}["KL"]
    shown = render([AvatarSpec(avatar, expression="surprise", take=1)], 64).images[0]
    luma = np.asarray(Image.fromarray(shown).convert("L"))
    assert np.array_equal(item.image, np.repeat(luma[..., None], 3, axis=2))
    with Image.open(found.images[place].path) as image:
        assert (image.format, image.mode, image.size) == ("TIFF", "P", (64, 64))
        assert image.info["compression"] == "raw"
        assert np.array_equal(np.asarray(image), 255 - luma)


def test_jaffe_leaves_one_subject_out_and_asks_for_all_six_expressions(copy: Path) -> None:
    store = prepare("jaffe", size=64, alignment="none@1", source=copy)
    rules = load_protocol("jaffe@1")
    assert list(rules.split.fold_names) == [(who,) for who in SUBJECTS]
    splits = build_splits(rules, store)
    assert [sorted(split.test) for split in splits] == [["KA"], ["KL"], ["KM"]]
    assert [sorted(split.validation) for split in splits] == [["KL"], ["KM"], ["KA"]]
    asked, left_out = build_requests(rules, store, splits[2], "smoke")
    assert sorted(asked["target_expression"]) == sorted(set(CODES.values()) - {"neutral"})
    assert [task.task for task in left_out] == ["transfer"]
    table = store.manifest.table
    assert set(table.loc[asked["source"], "image"]) == {"KM.NE1.1.tiff"}
    assert "KM.DI1.20.tiff" in set(table.loc[asked["target"], "image"])


def test_everybody_is_played_by_a_woman(tmp_path: Path) -> None:
    from fesbench.data.avatars import attributes

    cast = cast_of(10, seed=3)
    assert [name for _, name in cast] == list(SUBJECTS)
    assert {attributes(who, seed=3)["sex"] for who, _ in cast} == {"female"}
    assert len({who for who, _ in cast}) == 10
    # among the first ten avatars are men
    assert {attributes(who, seed=3)["sex"] for who in range(10)} == {"female", "male"}
    assert len(list(write(tmp_path / "all", size=32).rglob("*.tiff"))) == 213


def test_bad_requests(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 1 to 10 subjects, not 11"):
        layout("jaffe")(tmp_path / "x", identities=11)
    with pytest.raises(DataError, match="32 to 1024 pixels wide, not 16"):
        layout("jaffe")(tmp_path / "x", size=16)
    assert not (tmp_path / "x").exists()
