"""StarGAN, US-GAN and GANimation take the very steps of their authors' code, in float64.

The networks, losses and updates are written down here a second time, apart from the project's blocks; after
some steps on the same batches and random draws every weight must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.baselines.ganimation import GANimation
from fesbench.baselines.stargan import StarGAN
from fesbench.baselines.usgan import USGAN
from fesbench.methods.batches import ImageBatch
from fesbench.methods.card import Problem
from fesbench.vocabulary import EXPRESSIONS

BATCH, SIZE, WIDTH, STEPS = 3, 64, 4, 11
PROBLEM = Problem(SIZE, EXPRESSIONS, (1, 2, 12, 26), 0)


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        conv = lambda: nn.Conv2d(width, width, kernel_size=3, stride=1, padding=1, bias=False)  # noqa: E731
        norm = lambda: nn.InstanceNorm2d(width, affine=True, track_running_stats=True)  # noqa: E731
        self.main = nn.Sequential(conv(), norm(), nn.ReLU(), conv(), norm())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)


class AuthorsGenerator(nn.Module):
    """Running statistics are tracked, as there, and never used, since nobody calls ``eval``."""

    def __init__(self, condition: int, blocks: int, heads: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []

        def add(conv: nn.Module, width: int) -> None:
            layers.extend([conv, nn.InstanceNorm2d(width, affine=True, track_running_stats=True), nn.ReLU()])

        width = WIDTH
        add(nn.Conv2d(3 + condition, width, 7, 1, 3, bias=False), width)
        for _ in range(2):
            add(nn.Conv2d(width, width * 2, 4, 2, 1, bias=False), width * 2)
            width *= 2
        layers.extend(Block(width) for _ in range(blocks))
        for _ in range(2):
            add(nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False), width // 2)
            width //= 2
        self.main = nn.Sequential(*layers)
        self.heads = nn.ModuleList(nn.Conv2d(width, channels, 7, 1, 3, bias=False) for channels in heads)

    def forward(self, image: Tensor, condition: Tensor) -> list[Tensor]:
        planes = condition.view(*condition.shape, 1, 1).repeat(1, 1, SIZE, SIZE)
        hidden = self.main(torch.cat([image, planes], dim=1))
        return [head(hidden) for head in self.heads]


class AuthorsCritic(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for level in range(6):
            layers += [nn.Conv2d(before, WIDTH * 2**level, 4, 2, 1), nn.LeakyReLU(0.01)]
            before = WIDTH * 2**level
        self.main = nn.Sequential(*layers)
        self.source = nn.Conv2d(before, 1, 3, 1, 1, bias=False)
        self.classes = nn.Conv2d(before, outputs, SIZE // 64, bias=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.main(image)
        return self.source(hidden), self.classes(hidden).view(len(image), -1)


def penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    share = torch.rand(len(real), 1, 1, 1)
    between = (share * real + (1 - share) * fake.detach()).requires_grad_(True)
    score = critic(between)[0]
    gradient = torch.autograd.grad(score, between, torch.ones_like(score), create_graph=True)[0]
    return torch.mean((torch.sqrt(torch.sum(gradient.reshape(len(real), -1) ** 2, dim=1)) - 1) ** 2)


class Authors:
    """Two networks, two Adams, and one iteration of the published code."""

    def __init__(self, condition: int, blocks: int, heads: tuple[int, ...] = (3,)) -> None:
        self.g, self.d = AuthorsGenerator(condition, blocks, heads), AuthorsCritic(condition)

    def take(self, method: StarGAN | GANimation) -> None:
        pairs = ((self.g, method.generator), (self.d, method.critic))
        for mine, theirs in pairs:
            values = list(theirs.parameters())
            with torch.no_grad():
                for own, value in zip(mine.parameters(), values, strict=True):
                    own.copy_(value)
        self.g_optimizer = torch.optim.Adam(self.g.parameters(), 1e-4, (0.5, 0.999))
        self.d_optimizer = torch.optim.Adam(self.d.parameters(), 1e-4, (0.5, 0.999))

    def update(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        self.g_optimizer.zero_grad()
        self.d_optimizer.zero_grad()
        loss.backward()
        optimizer.step()


class LabelAuthors(Authors):
    """StarGAN's iteration; US-GAN's is the same with a skip and another weight of the cycle."""

    def __init__(self, blocks: int, cycle: float, *, skip: bool) -> None:
        super().__init__(len(EXPRESSIONS), blocks)
        self.cycle, self.skip = cycle, skip

    def make(self, image: Tensor, condition: Tensor) -> Tensor:
        made = torch.tanh(self.g(image, condition)[0])
        return image + made if self.skip else made

    def step(self, batch: ImageBatch, number: int) -> None:
        real, own = batch.image, batch.label
        wanted = own[torch.randperm(len(own))]
        c_own, c_wanted = (torch.eye(len(EXPRESSIONS))[labels] for labels in (own, wanted))

        score, logits = self.d(real)
        d_loss = -torch.mean(score) + F.cross_entropy(logits, own)
        fake = self.make(real, c_wanted)
        d_loss = d_loss + torch.mean(self.d(fake.detach())[0])
        self.update(self.d_optimizer, d_loss + 10 * penalty(self.d, real, fake))
        if (number + 1) % 5 == 0:
            fake = self.make(real, c_wanted)
            score, logits = self.d(fake)
            back = self.make(fake, c_own)
            cycle = torch.mean(torch.abs(real - back))
            g_loss = -torch.mean(score) + self.cycle * cycle + F.cross_entropy(logits, wanted)
            self.update(self.g_optimizer, g_loss)


class UnitAuthors(Authors):
    """GANimation's iteration: score and penalty are two steps, the condition loss is divided by the batch."""

    def __init__(self, blocks: int) -> None:
        super().__init__(len(PROBLEM.action_units), blocks, (3, 1))

    def make(self, image: Tensor, units: Tensor) -> tuple[Tensor, Tensor]:
        color, attention = self.g(image, units)
        attention = torch.sigmoid(attention)
        return attention * image + (1 - attention) * torch.tanh(color), attention

    def step(self, batch: ImageBatch, number: int) -> None:
        real, own = batch.image, batch.action_units
        wanted = own[torch.randperm(len(own))]
        wanted = wanted + (torch.rand(wanted.shape) * 0.2 - 0.1)

        score, units = self.d(real)
        fake = self.make(real, wanted)[0].detach()
        d_loss = -torch.mean(score) + torch.mean(self.d(fake)[0])
        self.update(self.d_optimizer, d_loss + 4000 * F.mse_loss(units, own) / len(own))
        self.update(self.d_optimizer, 10 * penalty(self.d, real, fake))
        if (number + 1) % 5 == 0:
            fake, first = self.make(real, wanted)
            score, units = self.d(fake)
            back, second = self.make(fake, own)
            g_loss = -torch.mean(score) + 4000 * F.mse_loss(units, wanted) / len(own)
            g_loss = g_loss + 10 * torch.mean(torch.abs(back - real))
            for mask in (first, second):
                across = torch.sum(torch.abs(mask[:, :, :, :-1] - mask[:, :, :, 1:]))
                down = torch.sum(torch.abs(mask[:, :, :-1, :] - mask[:, :, 1:, :]))
                g_loss = g_loss + 0.1 * torch.mean(mask) + 1e-5 * (across + down)
            self.update(self.g_optimizer, g_loss)


CASES: dict[str, tuple[type[StarGAN] | type[GANimation], Callable[[], Authors]]] = {
    "stargan": (StarGAN, lambda: LabelAuthors(6, 10.0, skip=False)),
    "usgan": (USGAN, lambda: LabelAuthors(1, 1.0, skip=True)),
    "ganimation": (GANimation, lambda: UnitAuthors(6)),
}


def batch_of(number: int) -> ImageBatch:
    draw = torch.Generator().manual_seed(number)
    image = torch.rand(BATCH, 3, SIZE, SIZE, generator=draw) * 2 - 1
    units = torch.rand(BATCH, len(PROBLEM.action_units), generator=draw)
    return ImageBatch(
        image=image,
        label=torch.randint(len(EXPRESSIONS), (BATCH,), generator=draw),
        action_units=units,
        landmarks=torch.zeros(BATCH, 68, 2),
        identity=torch.zeros(BATCH, dtype=torch.long),
        intensity=torch.ones(BATCH),
        frame=torch.zeros(BATCH, dtype=torch.long),
    )


@pytest.mark.parametrize("name", CASES)
def test_steps_are_those_of_the_authors(name: str) -> None:
    kind, other = CASES[name]
    paper = kind.presets["paper"]
    method = kind(PROBLEM, replace(paper, width=WIDTH)).double()
    authors = other()
    authors.take(method)
    phase = method.phases()[-1]
    method.bind(method.optimizers(phase), Tensor.backward)
    before = [value.detach().clone() for value in method.parameters()]
    for number in range(STEPS):
        torch.manual_seed(number)
        method.training_step(phase, batch_of(number), number)
        torch.manual_seed(number)
        authors.step(batch_of(number), number)
    moved = [not torch.equal(a, b) for a, b in zip(before, method.parameters(), strict=True)]
    assert all(moved)
    for theirs, ours in ((authors.g, method.generator), (authors.d, method.critic)):
        for expected, found in zip(theirs.parameters(), ours.parameters(), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
