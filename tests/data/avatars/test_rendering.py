from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fesbench.data.avatars import attributes, source_sha256
from fesbench.data.avatars.expressions import COMPOUNDS
from fesbench.data.avatars.rendering import STYLES, AvatarSpec, render
from fesbench.errors import UsageError
from fesbench.vocabulary import ACTION_UNITS, EXPRESSIONS

SPECS = [
    AvatarSpec(identity, expression, take=take, style=style)
    for style in STYLES
    for identity, expression, take in (
        (0, "neutral", 0),
        (1, "fear", 1),
        (2, "happiness", 0),
        (5, "contempt", 2),
    )
]


@pytest.mark.parametrize("size", [33, 64])
@pytest.mark.parametrize("chunk", [1, 3, 16])
def test_bytes_do_not_depend_on_batch_order_or_chunk(size, chunk):
    reference = render(SPECS, size, chunk=8)
    order = np.random.default_rng(0).permutation(len(SPECS))
    shuffled = render([SPECS[i] for i in order], size, chunk=chunk)
    np.testing.assert_array_equal(shuffled.images, reference.images[order])
    np.testing.assert_array_equal(shuffled.landmarks, reference.landmarks[order])
    np.testing.assert_array_equal(shuffled.action_units, reference.action_units[order])


def test_a_picture_alone_equals_the_same_in_a_batch():
    batch = render(SPECS, 48)
    for i in (0, 7, 13):
        np.testing.assert_array_equal(render([SPECS[i]], 48).images[0], batch.images[i])


def test_shapes_types_and_ranges():
    batch = render(SPECS, 40)
    assert batch.images.shape == (len(SPECS), 40, 40, 3)
    assert batch.images.dtype == np.uint8
    assert batch.landmarks.shape == (len(SPECS), 68, 2)
    assert batch.landmarks.dtype == np.float32
    assert batch.action_units.shape == (len(SPECS), len(ACTION_UNITS))
    assert batch.action_units.dtype == np.float32
    assert np.isfinite(batch.landmarks).all()
    assert (batch.action_units >= 0).all()
    assert (batch.action_units <= 1).all()


def test_no_specs_give_an_empty_batch():
    batch = render([], 32)
    assert batch.images.shape == (0, 32, 32, 3)
    assert batch.action_units.shape == (0, len(ACTION_UNITS))


def test_pairs_of_one_take_are_aligned():
    batch = render([AvatarSpec(4, expression) for expression in EXPRESSIONS], 96)
    # The upper corners show background only: no hair reaches them, nothing of the face.
    corners = np.concatenate([batch.images[:, :12, :10], batch.images[:, :12, -10:]], axis=2)
    assert (corners == corners[:1]).all()
    # The upper jaw points do not move with the face.
    assert np.abs(batch.landmarks[:, [0, 16]] - batch.landmarks[:1, [0, 16]]).max() < 0.6


def test_takes_differ_and_keep_person_and_expression():
    first, second = (render([AvatarSpec(4, "fear", take=t)], 96) for t in (0, 1))
    assert np.abs(first.images.astype(int) - second.images.astype(int)).mean() > 8
    np.testing.assert_array_equal(first.action_units, second.action_units)
    # Same subject: the same shape up to a small pose.
    assert 0.1 < np.abs(first.landmarks - second.landmarks).max() < 10


def test_relit_changes_the_light_with_the_expression():
    plain = render([AvatarSpec(4, e) for e in ("anger", "fear")], 64).images[:, 0, 0].astype(int)
    relit = render([AvatarSpec(4, e, relit=True) for e in ("anger", "fear")], 64).images[:, 0, 0].astype(int)
    assert np.abs(plain[0] - plain[1]).max() == 0
    assert np.abs(relit[0] - relit[1]).max() > 2


def test_styles_share_landmarks_and_units():
    base = render([AvatarSpec(2, "disgust")], 64)
    for style in STYLES[1:]:
        other = render([AvatarSpec(2, "disgust", style=style)], 64)
        np.testing.assert_array_equal(other.action_units, base.action_units)
        assert np.abs(other.images.astype(int) - base.images.astype(int)).mean() > 5
        if style != "wild":
            np.testing.assert_array_equal(other.landmarks, base.landmarks)


def test_intensity_goes_from_neutral_to_peak():
    levels = [0.0, 0.25, 0.5, 0.75, 1.0]
    batch = render([AvatarSpec(6, "happiness", intensity=level) for level in levels], 96)
    neutral = render([AvatarSpec(6)], 96)
    np.testing.assert_array_equal(batch.images[0], neutral.images[0])
    distance = np.abs(batch.landmarks - neutral.landmarks).sum(axis=(1, 2))
    assert (np.diff(distance) > 1).all()


def test_identities_and_populations_differ():
    one, two = render([AvatarSpec(0), AvatarSpec(1)], 48).images
    assert np.abs(one.astype(int) - two.astype(int)).mean() > 5
    other = render([AvatarSpec(0)], 48, seed=1).images[0]
    assert np.abs(one.astype(int) - other.astype(int)).mean() > 5


def test_no_global_random_state_is_used():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    render(SPECS[:2], 32)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (AvatarSpec(0, "joyful"), "unknown expression 'joyful'"),
        (AvatarSpec(0, style="oil"), "oil"),
        (AvatarSpec(-1), "negative"),
        (AvatarSpec(0, take=-1), "negative"),
        (AvatarSpec(0, intensity=1.5), "outside"),
        (AvatarSpec(0, intensity=float("nan")), "outside"),
        (AvatarSpec(0, action_units=(("AU99", 1.0),)), "AU99"),
        (AvatarSpec(0, "fear", action_units=(("AU1", 1.0),)), "either"),
    ],
)
def test_bad_specs_are_refused(spec, message):
    with pytest.raises(UsageError, match=message):
        render([spec], 32)


@pytest.mark.parametrize(
    "wrong", [{"size": 8}, {"size": 4096}, {"size": 32, "chunk": 0}, {"size": 32, "seed": -1}]
)
def test_bad_arguments_are_refused(wrong):
    with pytest.raises(UsageError, match="size"):
        render([AvatarSpec(0)], **wrong)


def test_attributes():
    people = [attributes(i) for i in range(200)]
    assert {p["sex"] for p in people} == {"female", "male"}
    assert {p["skin"] for p in people} <= set(range(1, 7))
    assert len({p["skin"] for p in people}) >= 5
    assert all(18 <= p["age"] <= 75 for p in people)
    assert 0.05 < np.mean([p["glasses"] for p in people]) < 0.3
    with pytest.raises(UsageError):
        attributes(-1)


def test_source_hash_is_a_sha256():
    assert len(source_sha256()) == 64
    assert int(source_sha256(), 16) > 0


def test_compounds_render_both_parts():
    batch = render([AvatarSpec(1, name) for name in COMPOUNDS], 32)
    assert len(COMPOUNDS) >= 6
    column = ACTION_UNITS.index
    happily_surprised = batch.action_units[list(COMPOUNDS).index("happily_surprised")]
    # Du, Tao and Martinez (2014), table 1: AU 1, 2, 12, 25.
    assert {ACTION_UNITS[k] for k in np.flatnonzero(happily_surprised)} == {1, 2, 12, 25}
    assert happily_surprised[column(12)] > 0.4


def test_contempt_is_one_sided_on_either_side():
    specs = [spec for i in range(16) for spec in (AvatarSpec(i), AvatarSpec(i, "contempt"))]
    batch = render(specs, 48)
    moved = batch.landmarks[1::2] - batch.landmarks[::2]
    left, right = -moved[:, 48, 1], -moved[:, 54, 1]
    assert (np.abs(left - right) > 0.5).all()
    assert 3 <= int((left > right).sum()) <= 13


def test_replace_keeps_a_spec_hashable():
    assert len({SPECS[0], replace(SPECS[0]), replace(SPECS[0], take=9)}) == 2
