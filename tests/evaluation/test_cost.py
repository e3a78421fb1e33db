import json
import resource
import time
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fesbench.errors import MethodError
from fesbench.evaluation.cost import COST_CARDS, Cost, measure_cost


@dataclass
class Batch:
    source: torch.Tensor

    def to(self, device):
        return Batch(self.source.to(device))


def requests(n):
    return Batch(torch.zeros(n, 3, 16, 16))


class Generator(nn.Module):
    def __init__(self, delay=0.0, extra=0):
        super().__init__()
        self.net = nn.Conv2d(3, 3, 3, padding=1)
        self.discriminator = nn.Linear(10, 1)
        self.delay, self.extra, self.sizes = delay, extra, []

    def synthesize(self, batch):
        self.sizes.append(len(batch.source))
        assert not torch.is_grad_enabled()
        time.sleep(self.delay * len(batch.source))
        return self.net(batch.source).repeat(1 + self.extra, 1, 1, 1)


def test_counts_by_hand():
    found = measure_cost(Generator(), requests, time_limit=5.0)
    assert found.parameters == 3 * 3 * 9 + 3 + 11
    assert found.parameters_synthesis == 3 * 3 * 9 + 3
    assert found.flops == 2 * 16 * 16 * 3 * 3 * 9  # one image, two operations a multiply-add
    assert sorted(found.images_per_second) == [1, 8, 32]
    assert 0 < found.latency_p50_ms <= found.latency_p95_ms
    assert found.images_per_second[1] == pytest.approx(1e3 / found.latency_p50_ms)
    assert (found.device, found.memory_kind) == ("cpu", "rss-peak-growth")
    assert found.memory_mb >= 0


def test_a_frame_of_a_clip_is_an_image_and_a_clip_one_request():
    class Clips(Generator):
        def synthesize(self, batch):
            frames = batch.source.repeat_interleave(5, dim=0)
            return super().synthesize(Batch(frames)).unflatten(0, (-1, 5))

    found = measure_cost(Clips(), requests, batch_sizes=(1, 4), time_limit=2.0, frames=5)
    assert found.flops == 2 * 16 * 16 * 3 * 3 * 9
    assert found.frames == 5
    assert found.images_per_second[1] == pytest.approx(5e3 / found.latency_p50_ms)
    slow, fast = found.quartiles[1]
    assert slow <= found.images_per_second[1] <= fast


def test_speed_is_that_of_the_method():
    found = measure_cost(Generator(delay=0.004), requests, batch_sizes=(1, 4), time_limit=2.0)
    assert 25 < found.images_per_second[4] <= 250
    assert 4 <= found.latency_p50_ms < 40


def test_max_batch_caps_the_sizes():
    method = Generator()
    method.max_batch = 4
    found = measure_cost(method, requests, time_limit=2.0)
    assert sorted(found.images_per_second) == [1, 4]
    assert max(method.sizes) == 4


def test_a_slow_method_stays_within_the_limit_and_large_batches_are_left_out():
    start = time.perf_counter()
    found = measure_cost(Generator(delay=0.1), requests, time_limit=0.8)
    assert time.perf_counter() - start < 5
    assert sorted(found.images_per_second) == [1]
    assert found.latency_repeats >= 1


def test_wrong_number_of_images_is_an_error():
    with pytest.raises(MethodError, match="returned 2 images for 1 requests"):
        measure_cost(Generator(extra=1), requests)


def test_no_parameters_at_all():
    class Copy(nn.Module):
        def synthesize(self, batch):
            return batch.source

    found = measure_cost(Copy(), requests, time_limit=0.1)
    assert (found.parameters, found.parameters_synthesis, found.flops) == (0, 0, 0)


def test_hooks_are_taken_off_even_when_synthesis_fails():
    class Broken(Generator):
        def synthesize(self, batch):
            raise MethodError("no")

    method = Broken()
    with pytest.raises(MethodError):
        measure_cost(method, requests)
    assert not method.net._forward_pre_hooks


def test_resident_growth_is_in_mebibytes(monkeypatch):
    peaks = iter((100_000, 102_048))
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=next(peaks)))
    monkeypatch.setattr("sys.platform", "linux")
    assert measure_cost(Generator(), requests, time_limit=0.1).memory_mb == 2.0


def test_cost_travels_as_json_and_every_figure_has_a_card():
    found = measure_cost(Generator(), requests, time_limit=0.1).as_dict()
    assert json.loads(json.dumps(found)) == found
    assert set(COST_CARDS) <= set(Cost.__dataclass_fields__)


@pytest.mark.gpu
def test_on_a_gpu():
    found = measure_cost(Generator().cuda(), requests, time_limit=1.0)
    assert found.memory_kind == "cuda-allocated-peak"
    assert found.memory_mb > 0
    assert found.device == torch.cuda.get_device_name()
    assert sorted(found.images_per_second) == [1, 8, 32]
