"""MotionGAN: sizes, the sphere's maps, motions that stay on it and keep their length, and that it learns."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fesbench.baselines import _srvf as sphere
from fesbench.baselines.motiongan import POINTS, MotionCritic, ShiftNorm, centered, encoded, moved
from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.clip_learning import clip_view, learned_clips

SEVEN = tuple(name for name in EXPRESSIONS if name != "contempt")


def smooth(count: int = 5, dimensions: int = 136) -> torch.Tensor:
    """Curves (count, 30, D) of two slow sines a coordinate."""
    torch.manual_seed(0)
    time = torch.linspace(0, 1, POINTS, dtype=torch.float64)[None, :, None]
    size, shift = torch.randn(2, count, 1, dimensions, dtype=torch.float64)
    return size * time + 0.3 * (math.pi * time + shift).sin()


def units(count: int = 6) -> torch.Tensor:
    return sphere.to_sphere(smooth(count))[0]


def test_its_networks_have_the_published_sizes(build, count) -> None:
    with torch.device("meta"):
        method = build("motiongan", "paper", Problem(64, SEVEN, (), 0))
    assert count(method.motion) == 46_552_098
    assert count(method.critic) == 2_486_803
    noise, code = torch.zeros(2, 128, device="meta"), torch.zeros(2, 18, device="meta")
    motion = method.motion(noise, code)
    assert motion.shape == (2, 30, 136)
    assert method.critic(motion, code).shape == (2,)


def test_exp_and_log_are_inverse_and_exp_stays_on_the_sphere() -> None:
    q = units()
    at = q[0]
    torch.testing.assert_close(sphere.exp(sphere.log(q, at), at), q, atol=1e-9, rtol=0)
    w = 0.1 * sphere.tangent(torch.randn_like(q), at)
    torch.testing.assert_close(sphere.inner(w, at.expand_as(w)).flatten(), torch.zeros(6).double())
    out = sphere.exp(w, at)
    torch.testing.assert_close(sphere.inner(out, out).flatten(), torch.ones(6).double())
    # what is no tangent leaves the sphere, which is why the generator's answers are projected
    gone = sphere.exp(w + 0.5 * at, at)
    assert (sphere.inner(gone, gone) - 1).abs().min() > 0.05
    still = torch.zeros_like(w)
    torch.testing.assert_close(sphere.exp(still, at), at.expand_as(w))
    torch.testing.assert_close(sphere.log(at.expand_as(w), at), still, atol=1e-6, rtol=0)


def test_the_length_of_a_tangent_is_the_arc_it_goes() -> None:
    q = units()
    w = sphere.tangent(torch.randn_like(q), q)
    w = 0.8 * w / sphere.inner(w, w).sqrt()
    torch.testing.assert_close(sphere.distance(sphere.exp(w, q), q), torch.full((6,), 0.8).double())
    # the release's clip at .98 would call both of these 0.2
    near = sphere.distance(sphere.exp(0.1 / 0.8 * w, q), q)
    torch.testing.assert_close(near, torch.full((6,), 0.1).double())


def test_gradients_are_finite_where_nothing_moves() -> None:
    at = units()[0]
    w = torch.zeros(2, POINTS, 136, dtype=torch.float64, requires_grad=True)
    out = sphere.exp(sphere.tangent(w, at), at)
    (sphere.log(out, at).square().sum() + sphere.distance(out, at.expand_as(out)).sum()).backward()
    assert bool(torch.isfinite(w.grad).all())


def test_a_curve_comes_back_from_the_sphere() -> None:
    curve = sphere.at_equal_lengths(smooth(), POINTS)
    q, length = sphere.to_sphere(curve)
    torch.testing.assert_close(sphere.inner(q, q).flatten(), torch.ones(5).double())
    back = sphere.from_sphere(q, curve[:, 0], length)
    assert ((back - curve).norm(dim=2).amax(1) < 0.01 * length).all()
    # twice as large a motion is the same point of the sphere
    twice, longer = sphere.to_sphere(2 * curve + 1)
    torch.testing.assert_close(twice, q)
    torch.testing.assert_close(longer, 2 * length)


def test_points_lie_at_equal_lengths_whatever_the_pace() -> None:
    time = torch.linspace(0, 1, 20) ** 3
    curve = torch.stack([time, 2 * time], dim=1)[None]
    found = sphere.at_equal_lengths(curve, POINTS)[0]
    torch.testing.assert_close(found[:, 0], torch.linspace(0, 1, POINTS), atol=1e-4, rtol=0)
    held = torch.cat([curve, curve[:, -1:].expand(-1, 9, -1)], dim=1)
    torch.testing.assert_close(sphere.at_equal_lengths(held, POINTS)[0], found, atol=1e-3, rtol=0)
    still = torch.ones(1, 5, 4)
    q, length = sphere.to_sphere(sphere.at_equal_lengths(still, POINTS))
    assert bool(torch.isfinite(q).all())
    assert length.item() == 0


def test_the_karcher_mean_is_nearest_to_all() -> None:
    a, b = units(2)
    mean = sphere.karcher_mean(torch.stack([a, b]), near=1e-6)
    halves = sphere.distance(torch.stack([a, b]), mean.expand(2, -1, -1))
    whole = sphere.distance(a[None], b[None])
    torch.testing.assert_close(halves, (whole / 2).expand(2), atol=1e-5, rtol=0)


def test_a_motion_given_back_to_its_own_face_ends_where_it_ended() -> None:
    """To within a tenth of the way: thirty points cut the corners of a path that hardly moves at first."""
    view = clip_view(32, 2)
    marks = torch.from_numpy(np.asarray(view.store.manifest.landmarks).reshape(4, 9, 68, 2))
    motion, length = encoded(marks)
    found = moved(marks[:, 0], motion, length, 9)
    torch.testing.assert_close(found[:, 0], marks[:, 0], atol=1e-3, rtol=0)
    shape, made = (centered(faces[:, -1])[0] for faces in (marks, found))
    way = (shape - centered(marks[:, 0])[0]).flatten(1).norm(dim=1)
    assert ((made - shape).flatten(1).norm(dim=1) < 0.1 * way).all()
    assert moved(marks[:, 0], motion, length, 1).shape == (4, 1, 68, 2)
    torch.testing.assert_close(moved(marks[:, 0], motion, length, 1)[:, 0], found[:, -1])
    half = moved(marks[:, 0], motion, length / 2, 9)[:, -1]
    assert ((half - marks[:, 0]).norm(dim=(1, 2)) < 0.7 * (found[:, -1] - marks[:, 0]).norm(dim=(1, 2))).all()


def test_generated_motions_lie_on_the_sphere(build) -> None:
    method = build("motiongan", problem=Problem(32, SEVEN, (), 0))
    method.reference.copy_(units()[0])
    q = method._point(torch.randn(4, 128), method.code(torch.tensor([1, 2, 3, 6]), torch.rand(4, 3)))
    torch.testing.assert_close(sphere.inner(q, q).flatten(), torch.ones(4), atol=1e-5, rtol=0)


def test_a_label_is_told_by_the_sign_of_three_numbers(build) -> None:
    method = build("motiongan", problem=Problem(32, SEVEN, (), 0))
    code = method.code(torch.tensor([2, 0]), torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])).reshape(
        2, 6, 3
    )
    torch.testing.assert_close(code[0, 1], torch.tensor([0.1, 0.2, 0.3]))
    torch.testing.assert_close(code[0, [0, 2, 3, 4, 5]], torch.tensor([[-0.1, -0.2, -0.3]]).expand(5, 3))
    assert (code[1] < 0).all(), "a neutral face is none of the six"


def test_the_critic_s_samples_are_coupled_by_batch_norm_alone() -> None:
    torch.manual_seed(0)
    motion, code = torch.randn(4, 30, 136), torch.rand(4, 6)
    for batch_norm in (False, True):
        critic = MotionCritic(6, 16, batch_norm)
        whole, part = critic(motion, code), critic(motion[:2], code[:2])
        assert torch.allclose(whole[:2], part, atol=1e-5) != batch_norm
    norm = ShiftNorm(3, batch=True)
    x = torch.randn(5, 3, 4, 4) * 7 + 2
    plain = torch.nn.functional.batch_norm(x, None, None, training=True)
    torch.testing.assert_close(norm(x), plain, atol=1e-5, rtol=0)


def test_fitting_takes_the_training_clips_motions(build) -> None:
    view = clip_view(32, 2)
    method = build("motiongan", problem=view.problem)
    method.fit(method.phases()[0], view)
    marks = torch.from_numpy(np.asarray(view.store.manifest.landmarks).reshape(4, 9, 68, 2))
    _, length = encoded(marks)
    # clips of happiness and surprise take turns; thirty points of nine frames repeat some
    torch.testing.assert_close(
        method.lengths, torch.tensor([0, length[::2].mean(), length[1::2].mean()]), atol=1e-3, rtol=1e-3
    )
    at = method.reference
    torch.testing.assert_close(sphere.inner(at, at).flatten(), torch.ones(1))


def test_what_is_asked_for_moves_by_its_label_s_length_and_its_intensity(build, requests) -> None:
    method = build("motiongan", problem=Problem(64, EXPRESSIONS, (), 0))
    method.lengths.copy_(torch.linspace(0, 0.2, 8))
    clips = replace(requests, length=4, task="sequence")
    full = method._moved(clips)
    half = method._moved(replace(clips, intensity=0.5 * clips.intensity))
    assert full.shape == (6, 4, 68, 2)
    torch.testing.assert_close(full[:, 0], requests.source_landmarks, atol=1e-4, rtol=0)
    way, less = (marks[:, -1] - marks[:, 0] for marks in (full, half))
    torch.testing.assert_close(less, way / 2, atol=1e-4, rtol=0)
    unknown = replace(clips, source_landmarks=torch.full_like(clips.source_landmarks, torch.nan))
    with pytest.raises(MethodError, match="landmarks are not known"):
        method.answer(unknown)


def test_a_driver_s_motion_is_painted_as_it_is(build, requests) -> None:
    method = build("motiongan", problem=Problem(64, EXPRESSIONS, (), 0))
    marks = requests.source_landmarks[:, None] + torch.linspace(0, 3, 4)[None, :, None, None]
    driven = replace(requests, length=4, given="driver", task="motion-transfer", clip_landmarks=marks)
    found = method.answer(driven)
    with torch.no_grad():
        last = method._painted(requests.source, marks[:, -1])
    torch.testing.assert_close(found[:, -1], last, atol=1e-5, rtol=0)


@pytest.mark.learn
def test_motiongan_learns() -> None:
    found = learned_clips("motiongan", steps={"motion": 150, "texture": 500})
    assert found.cosine > 0.3
    assert found.label_cosine > 0.3
    assert found.psnr > found.copy_psnr + 1
    # a still copy stays at 0; the true clips come to 1
    assert found.motion == sorted(found.motion)
    assert 0.4 < found.motion[-1] < 1.2
