import numpy as np
import pytest
import torch

from fesbench.errors import DataError
from fesbench.metrics.fidelity.ssim_psnr import PSNR, SSIM, LuminanceSSIM, MultiScaleSSIM, PooledPSNR


@pytest.fixture
def pair(make_inputs):
    """Target, and outputs that are it plus more and more noise; the first is the target itself."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(40, 216, (6, 4, 4, 3))
    target = coarse.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)
    noise = rng.normal(size=target.shape) * np.array([0, 2, 5, 10, 20, 40])[:, None, None, None]
    generated = (target + noise).round().clip(0, 255).astype(np.uint8)
    return make_inputs([0, 0, 1, 1, 2, 2], generated=generated, target=target)


def skimage_value(metric, x, y):
    from skimage.metrics import mean_squared_error, structural_similarity

    if metric.card.name == "PSNR":
        return 10 * np.log10(1 / (mean_squared_error(x / 255, y / 255) + 1e-8))
    _, full = structural_similarity(
        x,
        y,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        full=True,
    )
    return full[5:-5, 5:-5].mean()  # the 11 x 11 window's valid pixels


@pytest.mark.parametrize("metric", [SSIM(), PSNR()], ids=lambda m: m.card.name)
class TestBoth:
    def test_equals_scikit_image(self, metric, pair, all_rows):
        found = metric.measure(pair, all_rows(pair)).per_sample
        expected = [skimage_value(metric, x, y) for x, y in zip(pair.target, pair.generated, strict=True)]
        assert found == pytest.approx(expected, abs=2e-4)

    def test_equals_piq_on_a_batch(self, metric, pair, all_rows):
        import piq

        x, y = (torch.from_numpy(a).permute(0, 3, 1, 2).float() / 255 for a in (pair.generated, pair.target))
        keep = {"reduction": "none", "data_range": 1.0}
        expected = (
            piq.psnr(x, y, **keep) if metric.card.name == "PSNR" else piq.ssim(x, y, downsample=False, **keep)
        )
        assert metric.measure(pair, all_rows(pair)).per_sample == pytest.approx(expected.numpy(), abs=1e-5)

    def test_best_on_identical_images_and_falls_with_noise(self, metric, pair, all_rows):
        found = metric.measure(pair, all_rows(pair)).per_sample
        assert found[0] == pytest.approx(metric.card.high if metric.card.name == "PSNR" else 1.0, abs=1e-4)
        assert (np.diff(found) < 0).all()

    def test_order_and_grouping_do_not_matter(self, metric, pair, make_inputs, all_rows):
        whole = metric.measure(pair, all_rows(pair))
        rows = np.array([3, 0, 5])
        part = metric.measure(
            make_inputs([0] * 3, generated=pair.generated[rows], target=pair.target[rows]), np.arange(3)
        )
        assert (part.per_sample == whole.per_sample[rows]).all()
        assert metric.measure(pair, all_rows(pair)[::-1]).value == whole.value

    def test_mean_interval_and_signature(self, metric, pair, all_rows):
        found = metric.measure(pair, all_rows(pair))
        assert found.value == pytest.approx(found.per_sample.mean())
        assert found.low < found.value < found.high
        assert "|r:none|ref:truth|" in str(found.signature)

    def test_without_target(self, metric, pair, all_rows):
        pair.target = None
        found = metric.measure(pair, all_rows(pair))
        assert (found.value, found.n_valid, found.n_requested) == (None, 0, 6)
        assert found.reason == "no target image exists for these requests"

    def test_some_requests_without_truth_are_counted(self, metric, pair, all_rows):
        pair.requests.loc[[1, 4], "target"] = -1
        found = metric.measure(pair, all_rows(pair))
        assert (found.n_valid, found.n_requested) == (4, 6)
        assert np.isnan(found.per_sample[[1, 4]]).all()
        assert found.value == pytest.approx(np.nanmean(found.per_sample))

    def test_refuses_other_shapes_and_types(self, metric, pair, all_rows):
        pair.target = pair.target[:, :16]
        with pytest.raises(DataError, match="one shape"):
            metric.measure(pair, all_rows(pair))


def test_psnr_by_hand(make_inputs):
    target = np.full((1, 12, 12, 3), 100, dtype=np.uint8)
    inputs = make_inputs([0], generated=target + np.uint8(51), target=target)  # error 0.2: 1 / 0.04 = 25
    assert PSNR().measure(inputs, np.arange(1)).value == pytest.approx(10 * np.log10(25), abs=1e-5)


def test_ssim_of_flat_images_by_hand(make_inputs):
    target = np.full((1, 12, 12, 3), 51, dtype=np.uint8)
    inputs = make_inputs([0], generated=target * np.uint8(2), target=target)
    # No variance: (2 * 0.2 * 0.4 + C1) / (0.2^2 + 0.4^2 + C1) with C1 = 1e-4
    assert SSIM().measure(inputs, np.arange(1)).value == pytest.approx(0.1601 / 0.2001, abs=1e-5)


def test_two_subjects_bounds_stay_in_the_metrics_range(make_inputs):
    rng = np.random.default_rng(0)
    target = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    made = target.copy()
    made[1] = rng.integers(0, 256, (32, 32, 3))
    inputs = make_inputs(np.arange(2), generated=made, target=target)
    for metric in (SSIM(), PSNR()):
        found = metric.measure(inputs, np.arange(2))
        assert metric.low <= found.low <= found.value <= found.high == metric.high


def test_psnr_averages_decibels(make_inputs):
    target = np.full((2, 12, 12, 3), 100, dtype=np.uint8)
    generated = target.copy()
    generated[1] += 51
    found = PSNR().measure(make_inputs([0, 1], generated=generated, target=target), np.arange(2))
    assert found.value == pytest.approx((80 + 10 * np.log10(25)) / 2, abs=1e-4)


# --- variants under their own names ---


def reference_scales(x, y, channel):
    """MS-SSIM of one channel as its paper writes it, on scikit-image's local means of scipy's filter."""
    from scipy.ndimage import correlate1d

    offsets = np.arange(11) - 5
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()

    def blur(a):
        return correlate1d(correlate1d(a, window, axis=0), window, axis=1)[5:-5, 5:-5]

    x, y, factors = x[..., channel] / 255, y[..., channel] / 255, []
    for scale in range(5):
        m1, m2 = blur(x), blur(y)
        v1, v2, v12 = blur(x * x) - m1**2, blur(y * y) - m2**2, blur(x * y) - m1 * m2
        contrast = (2 * v12 + 0.03**2) / (v1 + v2 + 0.03**2)
        luminance = (2 * m1 * m2 + 0.01**2) / (m1**2 + m2**2 + 0.01**2)
        factors.append((contrast * luminance if scale == 4 else contrast).mean())
        half = [side // 2 * 2 for side in x.shape]
        x, y = (
            a[: half[0], : half[1]].reshape(half[0] // 2, 2, half[1] // 2, 2).mean((1, 3)) for a in (x, y)
        )
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    return np.prod([max(f, 0) ** w for f, w in zip(factors, weights, strict=True)])


@pytest.fixture
def large(make_inputs):
    rng = np.random.default_rng(4)
    target = rng.integers(40, 216, (4, 11, 11, 3)).repeat(16, axis=1).repeat(16, axis=2).astype(np.uint8)
    noise = rng.normal(size=target.shape) * np.array([0, 5, 15, 40])[:, None, None, None]
    return make_inputs(
        [0, 1, 2, 3], target=target, generated=(target + noise).round().clip(0, 255).astype(np.uint8)
    )


def test_multi_scale_ssim_is_its_papers(large):
    found = MultiScaleSSIM().measure(large, np.arange(4)).per_sample
    expected = [
        np.mean([reference_scales(x, y, c) for c in range(3)])
        for x, y in zip(large.generated, large.target, strict=True)
    ]
    assert found == pytest.approx(expected, abs=1e-4)
    assert found[0] == pytest.approx(1, abs=1e-6)
    assert (np.diff(found) < 0).all()


def test_multi_scale_ssim_refuses_small_pictures(pair, all_rows):
    found = MultiScaleSSIM().measure(pair, all_rows(pair))
    assert (found.value, found.n_valid, found.n_requested) == (None, 0, 6)
    assert found.reason == "needs images of 161 px, has 32 px"


def test_luma_ssim_equals_scikit_image(pair, all_rows):
    found = LuminanceSSIM().measure(pair, all_rows(pair)).per_sample
    luma = np.array([0.299, 0.587, 0.114])
    gray = [(x @ luma)[..., None].repeat(3, axis=2) for x in (*pair.target, *pair.generated)]
    expected = [skimage_value(SSIM(), gray[i], gray[6 + i]) for i in range(6)]
    assert found == pytest.approx(expected, abs=2e-4)
    assert not np.allclose(found[1:], SSIM().measure(pair, all_rows(pair)).per_sample[1:], atol=1e-3)


def test_luma_ssim_of_gray_pictures_is_ssim(pair, all_rows):
    pair.target = pair.target[..., :1].repeat(3, axis=3)
    pair.generated = pair.generated[..., :1].repeat(3, axis=3)
    colored, luma = (m.measure(pair, all_rows(pair)).per_sample for m in (SSIM(), LuminanceSSIM()))
    assert luma == pytest.approx(colored, abs=1e-5)


def test_pooled_psnr_pools_errors(pair, all_rows):
    from skimage.metrics import peak_signal_noise_ratio

    found = PooledPSNR().measure(pair, all_rows(pair))
    assert found.value == pytest.approx(
        peak_signal_noise_ratio(pair.target, pair.generated, data_range=255), abs=1e-3
    )
    assert found.value < PSNR().measure(pair, all_rows(pair)).value
    assert found.per_sample is None
    assert found.low < found.value < found.high


def test_pooled_psnr_of_identical_pictures_is_capped(pair, all_rows):
    pair.generated = pair.target
    assert PooledPSNR().measure(pair, all_rows(pair)).value == pytest.approx(80, abs=1e-4)
    pair.target = None
    assert PooledPSNR().measure(pair, all_rows(pair)).value is None
