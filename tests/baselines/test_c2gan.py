"""C2GAN: published sizes, what its landmark cycles reach, pools, drawings."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fesbench.baselines.c2gan import Pool, drawing
from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.learning import learned
from tests.factories import steps


@pytest.mark.parametrize(
    ("size", "image", "keypoints", "all_four"),
    [(128, 41_832_067, 41_828_995, 89_201_544), (256, 54_417_027, 54_413_955, 114_371_464)],
)
def test_its_networks_have_the_published_sizes(size, image, keypoints, all_four, build, count) -> None:
    with torch.device("meta"):
        method = build("c2gan", "paper", Problem(size, EXPRESSIONS, (), 0))
    assert (count(method.generator), count(method.keypoint_generator)) == (image, keypoints)
    assert (count(method.critic), count(method.keypoint_critic)) == (2_771_777, 2_768_705)
    assert count(method) == all_four
    assert list(method.generator.dropped) == ([4, 5] if size == 128 else [4, 5, 6])


def test_a_drawing_has_one_dot_a_landmark() -> None:
    marks = torch.full((1, 68, 2), 100.0)
    marks[0, 48], marks[0, 54] = torch.tensor([30.0, 90.0]), torch.tensor([80.0, 70.0])
    plane = drawing(marks, 256)
    assert plane.shape == (1, 3, 256, 256)
    assert torch.equal(plane[0, 0], plane[0, 2])
    ink = (1 - plane[0, 0]) / 2
    assert ink[90, 30] == ink[70, 80] == ink[100, 100] == 1
    assert ink[90, 33] == ink[75, 80] == 0
    assert ink.sum().item() == pytest.approx(3 * torch.pi * 2**2, rel=0.1)
    assert ((1 - drawing(marks / 8, 32)[0, 0]) / 2).sum() > 1.5


def test_with_he_weights_the_outermost_skip_is_as_large_as_the_normed_maps_beside_it(build, requests) -> None:
    def spread(**changes) -> float:
        method = build("c2gan", **changes)
        planes = drawing(requests.target_landmarks, 64)
        return float(method.generator.encoders[0](torch.cat([requests.source, planes], 1)).detach().std())

    assert 0.5 < spread() < 2
    assert spread(he=False) < 0.2


def gradient_of_the_landmark_cycles(method, batch) -> float:
    terms = method._generator_terms(*method._ways(batch))
    cycles = terms["keypoints"] + terms["keypoint_realism"]
    wanted = list(method.generator.parameters())
    found = torch.autograd.grad(cycles, wanted, allow_unused=True)
    return sum(float(g.abs().sum()) for g in found if g is not None)


def test_the_landmark_cycles_reach_the_image_generator_in_the_papers_wiring_alone(build, view) -> None:
    batch = view.batch("take-pair", 2, 0)
    assert gradient_of_the_landmark_cycles(build("c2gan"), batch) > 0
    assert gradient_of_the_landmark_cycles(build("c2gan", keypoint_to_image=False), batch) == 0


def test_the_losses_are_those_of_the_card(build, view) -> None:
    method = build("c2gan", "paper", width=16, dropout=0.0, pool=0)
    method.generator.eval()
    method.keypoint_generator.eval()
    batch = view.batch("take-pair", 3, 0)
    sent = {}
    method.descend = lambda name, loss: sent.update({name: loss.detach()})
    method.training_step(method.phases()[0], batch, 0)
    a, b = batch.source.image, batch.target.image
    c, d = drawing(batch.target.landmarks, 64), drawing(batch.source.landmarks, 64)
    with torch.no_grad():
        made_b = method.generator(torch.cat([a, c], 1))
        made_a = method.generator(torch.cat([made_b, d], 1))
        made_c, made_d = method.keypoint_generator(made_b), method.keypoint_generator(made_a)

        def squares(critic, *planes, truth):
            return (critic(torch.cat(planes[:-1], 1), planes[-1]) - truth).square().mean()

        def apart(x, y):
            return (x - y).abs().mean()

        image, trace = method.critic, method.keypoint_critic
        generators = 10 * (apart(made_b, b) + apart(made_a, a) + apart(made_c, c) + apart(made_d, d))
        critics = torch.zeros(())
        for start, wanted, true, made, drawn in ((a, c, b, made_b, made_c), (b, d, a, made_a, made_d)):
            generators += squares(image, start, wanted, made, truth=1) + squares(trace, made, drawn, truth=1)
            critics += squares(image, start, wanted, true, truth=1) / 2
            critics += squares(image, start, wanted, made, truth=0) / 2
            critics += squares(trace, made, wanted, truth=1) / 2 + squares(trace, made, drawn, truth=0) / 2
    torch.testing.assert_close(sent["generators"], generators)
    torch.testing.assert_close(sent["critics"], critics)


def test_a_pool_gives_old_images_for_half_of_the_new_once_it_is_full() -> None:
    pool = Pool(50)
    first = torch.arange(50.0)[:, None, None, None]
    assert torch.equal(pool.exchange(first), first)
    torch.manual_seed(0)
    new = torch.arange(50.0, 1050.0)[:, None, None, None]
    given = pool.exchange(new)
    old = given != new
    assert 0.4 < old.float().mean() < 0.6
    assert (given[old] < new[old]).all()
    kept = torch.stack(pool.kept)
    assert len(kept) == 50
    # Nothing is lost and nothing is doubled: what came in is still here or was given out.
    assert len(torch.cat([kept, given]).unique()) == 1050
    assert torch.equal(Pool(0).exchange(new), new)


def test_the_pools_are_part_of_the_training_state(build, view) -> None:
    method, other = build("c2gan"), build("c2gan")
    assert method.extra_state() == {}
    steps(method, view, 3)
    state = method.extra_state()
    assert {name: tuple(kept.shape) for name, kept in state.items()} == {
        "image": (24, 9, 64, 64),
        "keypoint": (24, 6, 64, 64),
    }
    other.load_extra_state(state)
    assert all(torch.equal(value, other.extra_state()[name]) for name, value in state.items())
    other.load_extra_state({})
    assert other.extra_state() == {}


def test_landmarks_steer_the_output_and_must_be_known(build, requests) -> None:
    method = build("c2gan").eval()
    moved = replace(requests, target_landmarks=requests.target_landmarks + 3)
    assert (method.synthesize(requests) - method.synthesize(moved)).abs().max() > 1e-3
    unknown = replace(requests, target_landmarks=torch.full_like(requests.target_landmarks, torch.nan))
    with pytest.raises(MethodError, match="landmarks are not known"):
        method.synthesize(unknown)


@pytest.mark.learn
def test_c2gan_learns() -> None:
    found = learned("c2gan", steps={"adversarial": 800})
    assert found.cosine > 0.5
    assert found.psnr > found.copy_psnr
