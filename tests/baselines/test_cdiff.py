"""Conditional diffusion: sizes, the way from noise to image, its guidances, and what it is conditioned on."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fesbench.baselines._average import Average
from fesbench.baselines.cdiff import TIMES, Diffusion
from fesbench.errors import MethodError
from fesbench.methods.batches import ImageBatch, PairBatch
from fesbench.methods.card import Problem
from fesbench.methods.conditions import label_requests
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.conftest import UNITS
from tests.baselines.learning import learned
from tests.factories import steps

AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)


@pytest.fixture
def build(build):
    """A method by id that works on images as they are."""

    def make(name: str, preset: str = "tiny", problem: Problem | None = None, **changes):
        return build(name, preset, problem, native="", **changes)

    return make


@pytest.fixture
def requests(requests):
    """Those of every method's tests, at 16 px."""
    return replace(requests, source=torch.nn.functional.avg_pool2d(requests.source, 4))


@pytest.fixture
def alive(build):
    """A method at 16 px, as it synthesizes, whose averaged weights are not 0 as many are at the start."""

    def make(name: str = "cdiff", **changes):
        method = build(name, "tiny", Problem(16, EXPRESSIONS, UNITS, 0), **changes).eval()
        draw = torch.Generator().manual_seed(0)
        for value in method.average.buffers():
            value += 0.1 * torch.randn(value.shape, generator=draw)
        return method

    return make


def truth(diffusion: Diffusion, image: torch.Tensor):
    """What a network that knows the image would say."""

    def predict(noisy: torch.Tensor, time: int) -> torch.Tensor:
        at = torch.full((len(image),), time)
        noise = (noisy - diffusion.alpha[time] * image) / diffusion.sigma[time]
        return diffusion.goal(image, noise, at)

    return predict


def pairs(count: int, size: int = 2) -> PairBatch:
    """Gray sources of label 0 without units, white targets of label 1 with all of them."""

    def batch(value: float, label: int) -> ImageBatch:
        each = torch.full((count,), float(label))
        return ImageBatch(
            image=torch.full((count, 3, size, size), value),
            label=each.long(),
            action_units=each[:, None].expand(-1, 10),
            landmarks=torch.zeros(count, 68, 2),
            identity=each.long(),
            intensity=each,
            frame=each.long(),
        )

    return PairBatch(batch(0.5, 0), batch(1.0, 1))


@pytest.mark.parametrize(("labels", "expected"), [(7, 26_006_275), (5, 26_005_763), (8, 26_006_531)])
def test_the_network_has_the_size_of_its_parts(labels, expected, build, count) -> None:
    method = build("cdiff", "paper", Problem(128, EXPRESSIONS[:labels], (), 0))
    assert count(method) == expected, "the average is counted with the network, not beside it"


def test_the_network_by_action_units_and_the_tiny_one_have_their_sizes(build, count) -> None:
    assert count(build("cdiff-au", "paper", Problem(128, EXPRESSIONS[:7], AUS, 0))) == 26_074_627
    assert count(build("cdiff", "tiny", Problem(64, EXPRESSIONS[:7], (), 0))) == 346_531


def test_a_size_that_cannot_be_halved_so_often_is_refused(build) -> None:
    with pytest.raises(MethodError, match="multiple of 16, not 40"):
        build("cdiff", "paper", Problem(40, EXPRESSIONS, (), 0))


@pytest.mark.parametrize(("objective", "number"), [("v", 50), ("v", 10), ("flow", 20)])
def test_a_network_that_knows_the_image_leads_back_to_it(objective, number) -> None:
    diffusion, draw = Diffusion(objective), torch.Generator().manual_seed(0)
    image = 2 * torch.rand(4, 3, 8, 8, generator=draw) - 1
    noise = torch.randn(4, 3, 8, 8, generator=draw)
    found = diffusion.sample(truth(diffusion, image), noise, number)
    torch.testing.assert_close(found, image, atol=1e-3, rtol=0)


def test_steps_fall_from_the_noisiest_time_at_equal_distances() -> None:
    asked: list[int] = []

    def predict(noisy: torch.Tensor, time: int) -> torch.Tensor:
        asked.append(time)
        return torch.zeros_like(noisy)

    Diffusion("v").sample(predict, torch.randn(1, 3, 2, 2), 50)
    assert asked == list(range(999, 0, -20))


def test_the_cosine_schedule_goes_from_image_to_noise_and_keeps_the_power() -> None:
    diffusion = Diffusion("v")
    torch.testing.assert_close(diffusion.alpha.square() + diffusion.sigma.square(), torch.ones(TIMES))
    assert bool((diffusion.alpha.diff() < 0).all())
    assert diffusion.alpha[0] > 0.9999
    assert diffusion.alpha[499] == pytest.approx(0.5**0.5, abs=0.01)
    left = (diffusion.alpha[-1] / diffusion.alpha[-2]).square()
    assert left == pytest.approx(1e-3, rel=1e-3), "the last step keeps a thousandth of the signal"


def test_guidance_weighs_three_answers_and_asks_only_for_those_that_count(alive, requests) -> None:
    method = alive(guidance=2.0, source_guidance=1.5)
    noisy = torch.randn(len(requests), 3, 16, 16, generator=torch.Generator().manual_seed(0))
    wanted = method.wanted(requests)

    def answer(shown: float, kept: float) -> torch.Tensor:
        time, flag = torch.full((len(noisy),), 300), torch.full((len(noisy), 1), kept)
        return method.average(method.network, noisy, shown * requests.source, time, wanted, flag)

    with torch.no_grad():
        none, source, both = answer(0, 0), answer(1, 0), answer(1, 1)
        assert (both - source).abs().max() > 1e-3
        expected = none + 1.5 * (source - none) + 2 * (both - source)
        torch.testing.assert_close(
            method.guided(noisy, requests.source, 300, wanted), expected, atol=2e-5, rtol=1e-5
        )
        for by_condition, expected in ((1.0, both), (0.0, source)):
            method.hyper = replace(method.hyper, guidance=by_condition, source_guidance=1.0)
            torch.testing.assert_close(
                method.guided(noisy, requests.source, 300, wanted), expected, atol=1e-6, rtol=1e-5
            )


def test_guidance_does_not_move_a_condition_that_says_nothing(alive, requests) -> None:
    method = alive()
    table = method.average.condition.table.weight
    table[:-1] = table[-1].clone()
    images = []
    for guidance in (1.0, 3.0):
        method.hyper = replace(method.hyper, guidance=guidance)
        images.append(method.synthesize(requests[:2]))
    torch.testing.assert_close(*images, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("preset", "passes"), [("paper", 100), ("unguided", 50), ("flow", 40)])
def test_the_cost_of_an_image_in_network_passes(preset, passes, build, requests) -> None:
    method, seen = build("cdiff", preset, Problem(16, EXPRESSIONS, (), 0)), []

    class Counter(torch.nn.Module):
        def forward(self, network, noisy, *others):
            seen.append(len(noisy))
            return torch.zeros_like(noisy)

    method.average = Counter()
    method.synthesize(requests[:3])
    assert sum(seen) == 3 * passes


def test_the_noise_follows_each_request_s_seed(alive, requests) -> None:
    method = alive(sampling_steps=2)
    first = method.synthesize(requests)
    assert torch.equal(first, method.synthesize(requests))
    alone = torch.cat([method.synthesize(requests[k : k + 1]) for k in range(len(requests))])
    torch.testing.assert_close(first, alone, atol=2e-5, rtol=0)
    other = method.synthesize(replace(requests, noise_seed=requests.noise_seed + 1))
    assert (first - other).abs().mean() > 0.01


def test_only_the_averaged_weights_synthesize(alive, requests) -> None:
    method = alive(sampling_steps=2)
    before = method.synthesize(requests[:2])
    for parameter in method.network.parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.equal(before, method.synthesize(requests[:2]))
    method.average.exit.weight += 0.1
    assert not torch.equal(before, method.synthesize(requests[:2]))


def test_an_average_keeps_its_share_and_the_network_s_names() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Conv2d(1, 1, 1))
    average = Average(network)
    assert list(average.state_dict()) == list(network.state_dict())
    assert list(average.parameters()) == []
    start = average.get_buffer("0.weight").clone()
    with torch.no_grad():
        network[0].weight += 1.0
    assert torch.equal(average.get_buffer("0.weight"), start), "it shares no memory with the network"
    average.follow(network, 0.9)
    torch.testing.assert_close(average.get_buffer("0.weight"), start + 0.1)
    average.follow(network, 0.0)
    assert torch.equal(average.get_buffer("0.weight"), network[0].weight)


def test_the_average_copies_until_the_rate_has_risen(build, view) -> None:
    method = build("cdiff", warm_up=2, batch_size=2)
    steps(method, view, 2)
    assert torch.equal(method.average.exit.weight, method.network.exit.weight)
    steps(method, view, 3)
    assert not torch.equal(method.average.exit.weight, method.network.exit.weight)


def test_the_rate_rises_for_a_thousand_steps(build) -> None:
    (phase,) = build("cdiff", "paper").phases()
    assert [phase.learning_rate(step, 0.0) for step in (0, 499, 999, 5000)] == [0.001, 0.5, 1.0, 1.0]


def test_gradients_are_cut_to_norm_one(build) -> None:
    method = build("cdiff")
    optimizer = torch.optim.SGD(method.network.parameters(), 1.0)
    method.bind({"network": optimizer}, torch.Tensor.backward)
    before = method.network.exit.bias.detach().clone()
    method.descend("network", 1000 * method.network.exit.bias.sum(), clip=1.0)
    assert (method.network.exit.bias - before).norm().item() == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("name", ["cdiff", "cdiff-au"])
def test_one_pair_in_twenty_each_loses_label_source_or_both(name, build) -> None:
    method, seen = build(name, same_share=0.25), SimpleNamespace()
    (phase,) = method.phases()

    class Recorder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def forward(self, noisy, source, time, condition, kept):
            seen.source, seen.condition, seen.kept, seen.time = source, condition, kept, time
            return noisy * self.weight

    method.network = Recorder()
    method.average = Average(torch.nn.Identity())
    method.bind({"network": torch.optim.SGD(method.network.parameters(), 0.0)}, torch.Tensor.backward)
    torch.manual_seed(0)
    method.training_step(phase, pairs(20_000), 0)
    shown, kept = seen.source[:, 0, 0, 0] != 0, seen.kept[:, 0] > 0
    for a, b in ((False, False), (True, False), (False, True)):
        assert ((shown == a) & (kept == b)).float().mean() == pytest.approx(0.05, abs=0.006)
    same = seen.source[:, 0, 0, 0] == 1.0
    assert same[shown].float().mean() == pytest.approx(0.25, abs=0.02)
    assert (seen.time.min(), seen.time.max()) == (0, TIMES - 1)
    if name == "cdiff":
        assert bool((seen.condition == torch.eye(8)[1]).all())
    else:
        assert bool((seen.condition[same] == 0).all())
        assert bool((seen.condition[shown & ~same] == 1).all())


def test_intensity_and_compounds_lie_between_the_labels_embeddings(build, requests) -> None:
    method, one = build("cdiff"), requests[:1]
    half = method.wanted(replace(one, intensity=torch.tensor([0.5])))
    assert half.tolist() == [[0.5, 0.5, 0, 0, 0, 0, 0, 0]]
    mixed = method.wanted(replace(one, second_label=torch.tensor([5])))
    assert mixed.tolist() == [[0, 0.5, 0, 0, 0, 0.5, 0, 0]]
    table = method.network.condition.table.weight
    found = method.network.condition(mixed.expand(2, -1), torch.tensor([[1.0], [0.0]]))
    torch.testing.assert_close(found, torch.stack([(table[1] + table[5]) / 2, table[8]]))


def test_action_units_count_by_their_difference(alive, requests) -> None:
    method = alive("cdiff-au", sampling_steps=2)
    wanted = requests.target_action_units - requests.source_action_units
    assert torch.equal(method.wanted(requests), wanted)
    uncoded = replace(requests, source_action_units=torch.full_like(wanted, torch.nan))
    assert torch.equal(method.wanted(uncoded), requests.target_action_units)
    none = method.network.condition(wanted, torch.zeros(len(wanted), 1))
    assert not none.any()
    same = replace(requests, target_label=requests.target_label.flip(0))
    assert torch.equal(method.synthesize(requests), method.synthesize(same))


@pytest.mark.learn
def test_cdiff_learns() -> None:
    found = learned("cdiff", steps={"denoising": 1500})
    assert found.cosine > 0.15
    assert found.psnr > found.mean_psnr + 2


@pytest.mark.learn
def test_cdiff_by_action_units_learns() -> None:
    found = learned("cdiff-au", steps={"denoising": 1500})
    assert found.psnr > found.mean_psnr + 2
    # So few steps move a face less than its noise does, so the two expressions of a face get the same noise.
    neutral = sorted({source for source, _ in found.view.pair_rows.tolist()})
    asked = label_requests(found.view, np.array(neutral), [1, 2])
    made = found.method.answer(replace(asked, noise_seed=asked.noise_seed // 2))
    assert replace(found, made=made.reshape(found.made.shape)).cosine > 0.1
