import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesbench import __version__
from fesbench.errors import UsageError
from fesbench.records.signature import Signature


def make(**changes):
    given = {
        "n_valid": 98,
        "n_requested": 100,
        "protocol": "ck+@1:8c1f",
        "extractor": "inception-tf-2015:6726825d",
        "resize": "bilinear-299-tf",
        "reference": "test-real",
        "alignment": "dlib68-128-gray",
        "settings": {"cov": "n-1"},
    }
    return Signature.of("FID", **(given | changes))


def test_written_out():
    assert str(make(settings={}, version="0.3.0")) == (
        "FID|x:inception-tf-2015:6726825d|r:bilinear-299-tf|ref:test-real|n:98/100|p:ck+@1:8c1f|a:dlib68-128-gray|v:0.3.0"
    )
    assert str(make()).endswith(f"|v:{__version__}")


def test_empty_parts_are_left_out_and_settings_are_sorted():
    made = Signature.of(
        "S", n_valid=2, n_requested=2, protocol="p", settings={"win": "2", "far": "1"}, version="1"
    )
    assert str(made) == "S|far:1|win:2|n:2/2|p:p|v:1"


def test_key_leaves_out_version_and_valid_n_alone():
    assert make().key() == make(n_valid=50, version="9.9").key()
    assert "n:100" in make().key()
    assert Signature.difference(make(), make(n_valid=1, version="9")) == ()


def test_an_expectation_at_n_is_compared_at_one_n_alone():
    target = {"cov": "n-1", "target": "E[FD_n]"}
    assert Signature.difference(make(settings=target), make(settings=target, n_valid=97)) == ("n",)
    assert make(settings=target).key() == make(settings=target, version="9.9").key()
    assert "n:98/100" in make(settings=target).key()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"n_requested": 99}, "n"),
        ({"protocol": "ck+@2:8c1f"}, "p"),
        ({"extractor": "inception-tf-2015:00000000"}, "x"),
        ({"resize": "bicubic"}, "r"),
        ({"reference": "test-real-other-take"}, "ref"),
        ({"alignment": ""}, "a"),
        ({"settings": {"cov": "n"}}, "cov"),
        ({"settings": {}}, "cov"),
    ],
)
def test_every_other_change_is_named(change, field):
    assert make(**change).key() != make().key()
    assert Signature.difference(make(**change), make()) == (field,)
    assert Signature.difference(str(make()), str(make(**change))) == (field,)


def test_another_metric_differs():
    assert Signature.difference("A|n:1/1|p:x", "B|n:1/1|p:x") == ("metric",)


text = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)


@given(text, text, text, text)
def test_parse_reads_back_any_text(name, extractor, reference, setting):
    made = Signature.of(
        name,
        n_valid=1,
        n_requested=2,
        protocol="p",
        extractor=extractor,
        reference=reference,
        settings={"k": setting},
    )
    assert Signature.parse(str(made)) == made
    assert str(made).count("\n") == 0


@pytest.mark.parametrize("bad", ["", "FID", "FID|x", "|n:1/1", "FID|n:1/1|n:1/1"])
def test_parse_refuses(bad):
    with pytest.raises(UsageError, match="not a score signature"):
        Signature.parse(bad)


@pytest.mark.parametrize("key", ["x", "n", "v", "a b", ""])
def test_reserved_settings_are_refused(key):
    with pytest.raises(UsageError):
        make(settings={key: "1"})
