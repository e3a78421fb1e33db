"""FOMM: published sizes, key points that follow the image, relative motion, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fesbench.baselines.fomm import (
    LENGTH,
    Bend,
    DenseMotion,
    FOMMHyper,
    KeyPoints,
    Levels,
    Motion,
    between,
    places,
    relative,
    smaller,
    two_frames,
    warp,
)
from fesbench.methods.card import Problem
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.clip_learning import clip_view, learned_clips


@pytest.mark.parametrize(
    ("preset", "sizes"),
    [("paper", [14_215_368, 37_730_268, 7_845_123]), ("tiny", [80_928, 90_420, 199_491])],
)
def test_its_networks_have_the_published_sizes(preset, sizes, build, count) -> None:
    with torch.device("meta"):
        method = build("fomm", preset, Problem(256, EXPRESSIONS, (), 0))
    assert [count(part) for part in (method.key_points, method.flow, method.generator)] == sizes
    assert smaller(torch.zeros(1, 3, 256, 256, device="meta")).shape[-1] == 64, "a quarter, as released"


def motion_of(count: int, points: torch.Tensor | None = None) -> Motion:
    where = torch.rand(count, 10, 2) - 0.5 if points is None else points
    return Motion(where, torch.eye(2).expand(count, 10, 2, 2))


def test_a_key_point_is_where_its_heat_is_and_its_map_begins_as_the_identity() -> None:
    torch.manual_seed(0)
    net = KeyPoints(FOMMHyper(width=4, levels=2, most=16)).eval()
    found = net(torch.rand(2, 3, 32, 32))
    assert found.points.shape == (2, 10, 2)
    torch.testing.assert_close(found.maps, torch.eye(2).expand(2, 10, 2, 2), atol=1e-5, rtol=0)
    # one bright place in a plane of heat
    torch.nn.init.zeros_(net.heat.weight)
    heat = torch.zeros(1, 10, 26, 26)
    heat[:, :, 5, 20] = 10.0
    net.heat.forward = lambda x: heat
    expected = torch.tensor([20 / 25 * 2 - 1, 5 / 25 * 2 - 1])
    torch.testing.assert_close(net(torch.rand(1, 3, 32, 32)).points[0, 0], expected, atol=1e-3, rtol=0)


def test_key_points_move_with_a_shifted_image() -> None:
    """The detector is convolutional; what is gone at the border and the pooling leave 0.02."""
    torch.manual_seed(0)
    net = KeyPoints(FOMMHyper(width=4, levels=1, most=16, temperature=0.01)).eval()
    torch.nn.init.normal_(net.heat.weight, 0.0, 0.5)
    image = torch.zeros(1, 3, 64, 64)
    image[:, :, 24:32, 24:32] = torch.rand(1, 3, 8, 8)
    before, after = net(image).points, net(image.roll((4, 8), dims=(2, 3))).points
    inside = (before.abs() < 0.3).all(-1) & (after.abs() < 0.6).all(-1)
    assert int(inside.sum()) >= 3
    shift = (after - before)[inside]
    wanted = torch.tensor([8 / 57 * 2, 4 / 57 * 2]).expand_as(shift)  # 58 places without padding
    torch.testing.assert_close(shift, wanted, atol=0.02, rtol=0)


def test_the_same_key_points_leave_every_place_where_it_is() -> None:
    torch.manual_seed(0)
    net = DenseMotion(FOMMHyper(flow_width=4, levels=2, most=16)).eval()
    own = motion_of(2)
    flow, seen = net(torch.rand(2, 3, 32, 32), own, own)
    torch.testing.assert_close(flow, places(32, flow).expand_as(flow), atol=1e-5, rtol=0)
    assert 0 < seen.min() <= seen.max() < 1


def test_near_a_key_point_the_flow_follows_its_affine_map() -> None:
    """z -> source point + J_source J_driving^-1 (z - driving point), where its mask is 1."""
    net = DenseMotion(FOMMHyper(points=1, flow_width=4, levels=2, most=16)).eval()
    net.mask.forward = lambda x: torch.tensor([-50.0, 50.0])[None, :, None, None].expand(1, 2, 32, 32)
    turn, half = torch.tensor([[0.0, -1.0], [1.0, 0.0]]), 0.5 * torch.eye(2)
    own = Motion(torch.tensor([[[0.2, -0.1]]]), turn[None, None])
    driving = Motion(torch.tensor([[[-0.3, 0.4]]]), half[None, None])
    flow, _ = net(torch.rand(1, 3, 32, 32), own, driving)
    z = places(32, flow)
    wanted = torch.tensor([0.2, -0.1]) + (z - torch.tensor([-0.3, 0.4])) @ (turn @ (2 * torch.eye(2))).T
    torch.testing.assert_close(flow[0], wanted, atol=1e-5, rtol=0)


def test_an_image_read_at_its_own_places_is_itself() -> None:
    image = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(warp(image, places(16, image).expand(2, -1, -1, -1)), image)


def test_the_slope_of_a_bend_is_its_derivative() -> None:
    torch.manual_seed(0)
    bend = Bend.drawn(2, 0.05, 0.05, torch.zeros(1, dtype=torch.float64))
    bend = Bend(*(part.double() for part in bend))
    points = torch.rand(2, 5, 2, dtype=torch.float64).requires_grad_(True)
    out = bend.points(points)
    rows = [torch.autograd.grad(out[..., k].sum(), points, retain_graph=True)[0] for k in range(2)]
    torch.testing.assert_close(bend.slope(points), torch.stack(rows, dim=2))
    still = Bend.drawn(1, 0.0, 0.0, torch.zeros(1))
    image = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(still.image(image), image, atol=1e-5, rtol=0)


def test_what_moves_with_the_bend_costs_nothing() -> None:
    """Points and maps that a bend really carries satisfy both equivariance terms."""
    torch.manual_seed(0)
    bend = Bend.drawn(3, 0.05, 0.005, torch.zeros(1))
    bent = motion_of(3)
    led = Motion(bend.points(bent.points), bend.slope(bent.points) @ bent.maps)
    back = torch.linalg.inv(led.maps) @ bend.slope(bent.points) @ bent.maps
    torch.testing.assert_close(back, torch.eye(2).expand_as(back), atol=1e-5, rtol=0)


def test_motion_is_relative_to_the_driver_s_first_frame() -> None:
    torch.manual_seed(0)
    own = motion_of(1)
    points = torch.rand(1, 3, 10, 2)
    maps = torch.eye(2).repeat(1, 3, 10, 1, 1)
    maps[:, 2] = 2 * torch.eye(2)
    driver, whole = Motion(points, maps), torch.ones(1)
    first, last = (relative(own, driver, frame, whole) for frame in (0, 2))
    torch.testing.assert_close(first.points, own.points)
    torch.testing.assert_close(last.points, own.points + points[:, 2] - points[:, 0])
    torch.testing.assert_close(last.maps, 2 * own.maps)
    half = relative(own, driver, 2, torch.tensor([0.5]))
    torch.testing.assert_close(half.points, (first.points + last.points) / 2)
    torch.testing.assert_close(half.maps, 1.5 * own.maps)


def square(x: int, y: int) -> torch.Tensor:
    """A bright square of 8 px in a dark image (3, 64, 64)."""
    image = -torch.ones(3, 64, 64)
    image[:, y : y + 8, x : x + 8] = 1
    return image


def test_a_clip_goes_the_driver_s_way_from_where_the_source_stands(build, requests) -> None:
    """With the middle of what is bright as key point, and no network but the flow's arithmetic.

    Key points of the driver as they are, a motion from another frame or backward, or a flow that leads from
    the source to the driver would all put the square elsewhere.
    """
    method = build("fomm", problem=Problem(64, EXPRESSIONS, (), 0), points=1)

    def middle(images: torch.Tensor) -> Motion:
        bright = images.mean(1) / images.mean(1).sum((1, 2), keepdim=True)
        points = (bright[..., None] * places(64, images)).sum((1, 2))[:, None]
        return Motion(points, torch.eye(2).expand(len(images), 1, 2, 2))

    method.key_points.forward = middle
    method.flow.mask.forward = lambda x: torch.tensor([-50.0, 50.0])[None, :, None, None].expand(
        len(x), 2, 64, 64
    )
    method.generator.forward = lambda source, flow, seen: warp(source, flow)
    driver = torch.stack([square(36 - 4 * frame, 8 + 3 * frame) for frame in range(4)])
    asked = replace(
        requests[:1],
        source=square(30, 40)[None],
        driver=driver[None],
        given="driver",
        task="motion-transfer",
        length=4,
    )
    made = (method.answer(asked)[0].mean(1) > 0).nonzero()
    corners = [made[made[:, 0] == frame, 1:].amin(0).tolist() for frame in range(4)]
    assert corners == [[40 + 3 * frame, 30 - 4 * frame] for frame in range(4)]


def test_frames_are_drawn_at_least_three_apart_in_both_orders() -> None:
    torch.manual_seed(0)
    clips = torch.arange(16.0).expand(400, 16)
    first, second = two_frames(clips)
    apart = second - first
    assert apart.abs().min() == 3
    assert (apart > 0).any()
    assert (apart < 0).any()
    assert set(second.tolist()) == set(range(16))


def test_times_between_frames_lie_between_them() -> None:
    motion = torch.arange(4.0)[None, :, None].expand(1, 4, 3)
    assert between(motion, 7)[0, :, 0].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    assert between(motion, 1)[0, :, 0].tolist() == [0, 3]


def test_the_driver_of_a_label_is_the_clip_nearest_to_the_mean_way(build) -> None:
    view = clip_view(32, 3)
    method = build("fomm", problem=view.problem)
    ways = {1: [0.1, 0.5, 0.4], 2: [0.9, 0.0, 0.3]}  # means 1/3 and .4: the last is nearest in both
    frames = {k: iter(torch.linspace(0, way, LENGTH) for way in found) for k, found in ways.items()}
    clips = [view.batch("clip", 1, step, flip=False, length=LENGTH) for step in range(6)]
    labels = iter([int(clip.label) for clip in clips])

    def found(images: torch.Tensor) -> Motion:
        assert not method.training, "key points are those of eval mode"
        line = next(frames[next(labels)])
        return Motion(line[:, None, None].expand(-1, 10, 2), torch.eye(2).expand(LENGTH, 10, 2, 2))

    method._found = found
    method.fit(method.phases()[1], view)
    assert method.driving_points[:, -1, 0, 0].tolist() == pytest.approx([0, 0.4, 0.3])
    assert method.training


def test_a_driver_that_stands_still_gives_back_one_image(build, requests) -> None:
    method = build("fomm", problem=Problem(64, EXPRESSIONS, (), 0))
    still = requests.source[[1, 2, 3, 4, 5, 0], None].expand(-1, 4, -1, -1, -1)
    clips = method.answer(replace(requests, driver=still, given="driver", task="motion-transfer", length=4))
    assert clips.shape == (6, 4, 3, 64, 64)
    torch.testing.assert_close(clips, clips[:, :1].expand_as(clips), atol=1e-4, rtol=0)
    # labels have no driver before the last phase, so they move nothing either
    unled = method.answer(replace(requests, task="sequence", length=4))
    torch.testing.assert_close(unled, clips, atol=1e-4, rtol=0)


def test_five_levels_of_vgg_are_compared_where_it_is_used(build) -> None:
    with torch.device("meta"):
        found = Levels()(torch.zeros(1, 3, 64, 64, device="meta"))
    assert [tuple(x.shape[1:]) for x in found] == [
        (64, 64, 64),
        (128, 32, 32),
        (256, 16, 16),
        (512, 8, 8),
        (512, 4, 4),
    ]
    assert build("fomm").helpers.names == ()
    assert type(build("fomm")).helpers_of(FOMMHyper()) == ("vgg19",)


@pytest.mark.learn
def test_fomm_learns() -> None:
    """Few steps leave faces blurred, and a still copy as near; but they move, and each label its way."""
    found = learned_clips("fomm", steps={"reconstruction": 300})
    assert found.cosine > 0.2
    assert found.label_cosine > 0.2
    assert found.motion == sorted(found.motion)
    assert found.motion[-1] > 0.3
