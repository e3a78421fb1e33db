"""LSRF: what is chosen and solved, against the definition written out, and on maps that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fesbench.baselines.lsrf import LSRFHyper, fit_sparse
from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from fesbench.methods.training_set import TrainingSet
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.learning import learned


def pairs(seed: int, count: int, size: int, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    shape = (count, size, size, channels)
    return tuple(draw.integers(0, 256, shape, dtype=np.uint8) for _ in range(2))  # type: ignore[return-value]


def written_out(source, target, hyper: LSRFHyper, k: int) -> tuple[list[int], np.ndarray]:
    """The card's algorithm for one output pixel, loop by loop: support, and weights with the bias last."""
    size = source.shape[1]
    at = [divmod(j, size) for j in range(size * size)]
    inputs = [source[..., c].reshape(len(source), -1) / 255 for c in range(3)]
    wanted = [target[..., c].reshape(len(target), -1)[:, k] / 255 for c in range(3)]
    centered = [x - x.mean(0) for x in inputs]
    unit = [x / np.linalg.norm(x, axis=0) for x in centered]

    def window(m: int) -> list[int]:
        (y, x) = at[m]
        return [j for j, (v, u) in enumerate(at) if max(abs(v - y), abs(u - x)) <= 1]

    def first(m: int) -> list[int]:
        if hyper.pixels == 1:
            return [m]
        near = window(m)
        if hyper.pixels == 9 or len(near) == 4:
            return near
        return [j for j in near if j == m or abs(at[j][0] - at[m][0]) == abs(at[j][1] - at[m][1])]

    around = [k] if hyper.pixels == 1 else window(k)
    far = [
        sum(min(np.hypot(*np.subtract(at[p], at[j])) for p in first(m)) for m in around)
        for j in range(len(at))
    ]
    support: list[int] = []
    rest = wanted
    for _ in range(hyper.pixels):
        score = np.abs(sum(u.T @ r for u, r in zip(unit, rest, strict=True)))
        score = score + hyper.locality / np.maximum(far, 0.01)
        score[support] = -np.inf
        support.append(int(score.argmax()))
        seen = [np.column_stack([x[:, support], np.ones(len(x))]) for x in inputs]
        products = sum(s.T @ s for s in seen) + hyper.penalty * np.eye(len(support) + 1)
        weights = np.linalg.solve(products, sum(s.T @ w for s, w in zip(seen, wanted, strict=True)))
        rest = [w - s @ weights for s, w in zip(seen, wanted, strict=True)]
    return support, weights


@pytest.mark.parametrize("pixels", [1, 5, 9])
@pytest.mark.parametrize("locality", [0.0, 2.0, 60.0])
def test_every_pixel_is_fitted_as_defined(pixels: int, locality: float) -> None:
    hyper = LSRFHyper(pixels, locality, 0.4)
    source, target = pairs(3, 9, 6)
    support, weights, bias = fit_sparse(source, target, hyper)
    for k in (0, 3, 5, 12, 14, 21, 33, 35):
        expected, solved = written_out(source, target, hyper, k)
        assert support[:, k].tolist() == expected
        np.testing.assert_allclose(weights[:, k], solved[:-1], atol=1e-10)
        assert bias[k].item() == pytest.approx(solved[-1], abs=1e-10)


def test_blocks_of_pixels_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = pairs(4, 6, 7)
    whole = fit_sparse(source, target, LSRFHyper())
    monkeypatch.setattr("fesbench.baselines.lsrf._NUMBERS", 15_000)
    for one, other in zip(whole, fit_sparse(source, target, LSRFHyper()), strict=True):
        torch.testing.assert_close(one, other)


def test_a_window_is_enough_only_where_nothing_beyond_it_can_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many images of much contrast against little locality: some pixels choose far away, and are found."""
    source, target = pairs(8, 40, 12)
    target[:, 0, 0], target[:, 6, 6] = source[:, 11, 11], source[:, 11, 0]
    hyper = LSRFHyper(5, 6.0, 0.4)
    support, weights, _ = fit_sparse(source, target, hyper)
    assert 143 in support[:, 0].tolist()
    assert 132 in support[:, 78].tolist()
    monkeypatch.setattr("fesbench.baselines.lsrf._WINDOW", 0)
    whole = fit_sparse(source, target, hyper)
    assert torch.equal(support, whole[0])
    torch.testing.assert_close(weights, whole[1])


def test_plain_pursuit_recovers_a_sparse_map() -> None:
    """Each output pixel is one input pixel, far away, of half its brightness and a bias."""
    source, _ = pairs(5, 60, 8)
    source = source // 2 * 2
    order = np.random.default_rng(0).permutation(64)
    target = (source.reshape(60, 64, 3)[:, order] // 2 + 51).astype(np.uint8).reshape(source.shape)
    support, weights, bias = fit_sparse(source, target, LSRFHyper(5, 0.0, 1e-9))
    assert support[0].tolist() == order.tolist()
    np.testing.assert_allclose(weights[0], 0.5, atol=1e-6)
    np.testing.assert_allclose(weights[1:], 0.0, atol=1e-6)
    np.testing.assert_allclose(bias, 0.2, atol=1e-6)


def test_locality_alone_keeps_pixels_near_and_leaves_one_pixel_its_own_place() -> None:
    source, target = pairs(6, 20, 9)
    own = fit_sparse(source, target, LSRFHyper(1, 60.0, 0.4))[0]
    assert own[0].tolist() == list(range(81))
    near = fit_sparse(source, target, LSRFHyper(5, 1e9, 0.4))[0]
    for k in (y * 9 + x for y in range(2, 7) for x in range(2, 7)):
        offsets = {(int(j) // 9 - k // 9, int(j) % 9 - k % 9) for j in near[:, k]}
        assert offsets == {(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)}
    anywhere = fit_sparse(source, target, LSRFHyper(5, 0.0, 0.4))[0]
    assert (anywhere[0] - torch.arange(81)).abs().float().mean() > 10


def test_a_target_equal_to_its_input_gives_the_identity_up_to_shrinkage() -> None:
    source, _ = pairs(7, 200, 8)
    support, weights, _ = fit_sparse(source, source, LSRFHyper())
    own = torch.where(support == torch.arange(64), weights, 0.0).sum(0)
    # Independent uniform pixels have variance 1/12: the shrinkage is about lambda / (3 M / 12).
    assert (own - 1).abs().max() < 2 * 0.4 / (3 * 200 / 12)


@pytest.mark.parametrize(
    ("size", "pixels", "expected"), [(128, 1, 32_768), (128, 5, 98_304), (80, 9, 64_000)]
)
def test_a_map_has_the_published_number_of_coefficients(size, pixels, expected, build, count) -> None:
    problem = Problem(size, ("neutral", "happiness", "fear"), (), 0)
    assert count(build("lsrf", "paper", problem, pixels=pixels)) == 2 * expected


def test_presets_are_those_of_the_paper(build) -> None:
    found = {
        name: build("lsrf", name, Problem(32, EXPRESSIONS, (), 0)).hyper for name in ("paper", "omp", "f1")
    }
    assert (found["paper"].pixels, found["paper"].locality, found["paper"].penalty) == (5, 60.0, 0.4)
    assert (found["omp"].locality, found["f1"].pixels) == (0.0, 1)


def test_the_method_applies_what_was_fitted(build, view, requests) -> None:
    method = build("lsrf")
    source, target = view.all_pairs(5)
    support, weights, bias = fit_sparse(source, target, method.hyper)
    image = (requests.source[1].double() + 1) / 2  # of label 5
    expected = (image.flatten(1)[:, support] * weights).sum(1) + bias
    made = method.answer(requests)[1].double().flatten(1)
    torch.testing.assert_close(made, 2 * expected.clamp(0, 1) - 1, atol=1e-5, rtol=0)


def test_neutral_stays_and_a_label_without_pairs_is_named(build, view, requests) -> None:
    method = build("lsrf")
    neutral = torch.zeros(len(requests), dtype=torch.int64)
    assert torch.equal(method.layer(requests.source, neutral), requests.source)
    part = TrainingSet(view.store, view.rows[view.labels != EXPRESSIONS.index("fear")], view.problem, 0)
    with pytest.raises(MethodError, match="neutral -> fear"):
        method.fit(method.phases()[0], part)
    with pytest.raises(MethodError, match="1, 5 or 9 pixels, not 4"):
        fit_sparse(*pairs(0, 3, 4), LSRFHyper(4, 60.0, 0.4))


def test_lsrf_learns() -> None:
    found = learned("lsrf", steps={"pursuit": 1})
    assert found.cosine > 0.5
    assert found.psnr > found.copy_psnr + 2
    free = learned("lsrf", steps={"pursuit": 1}, preset="omp")
    assert free.psnr > found.psnr, "the training faces themselves: more freedom fits them closer"
