import numpy as np
import pytest
from scipy.linalg import eigh
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist, squareform

from fesbench.errors import DataError
from fesbench.metrics.motion.mds import classical_mds, euclidean


def cloud(n: int = 20, d: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def test_points_of_a_plane_are_found_again() -> None:
    points = cloud()
    found = classical_mds(euclidean(points))
    assert squareform(pdist(found.points)) == pytest.approx(euclidean(points))
    assert procrustes(points, found.points)[2] == pytest.approx(0, abs=1e-12)
    assert found.share == pytest.approx(1)
    assert found.negative == pytest.approx(0, abs=1e-9)


def test_three_points_by_hand() -> None:
    # On a line at 0, 1 and 3: the mean is 4/3.
    found = classical_mds([[0, 1, 3], [1, 0, 2], [3, 2, 0]])
    assert found.points[:, 0] == pytest.approx([-4 / 3, -1 / 3, 5 / 3])
    assert found.points[:, 1] == pytest.approx([0, 0, 0], abs=1e-7)


def test_agrees_with_the_eigen_form() -> None:
    d = euclidean(cloud(12, 5, seed=1))
    j = np.eye(12) - 1 / 12
    values, vectors = eigh(-0.5 * j @ d**2 @ j)
    expected = vectors[:, [-1, -2]] * np.sqrt(values[[-1, -2]])
    found = classical_mds(d)
    assert np.abs(found.points) == pytest.approx(np.abs(expected))
    assert found.share == pytest.approx(values[-2:].sum() / values[values > 0].sum())
    assert 0.4 < found.share < 1


def test_agrees_with_scikit_learn() -> None:
    manifold = pytest.importorskip("sklearn.manifold")
    if not hasattr(manifold, "ClassicalMDS"):
        from sklearn.decomposition import PCA

        # Of Euclidean distances the classical solution is that of principal components.
        points = cloud(15, 4, seed=2)
        expected = PCA(2, svd_solver="full").fit_transform(points)
    else:
        points = cloud(15, 4, seed=2)
        expected = manifold.ClassicalMDS(n_components=2, metric="precomputed").fit_transform(
            euclidean(points)
        )
    assert np.abs(classical_mds(euclidean(points)).points) == pytest.approx(np.abs(expected))


def test_distances_that_are_not_euclidean_are_told() -> None:
    rng = np.random.default_rng(3)
    d = rng.uniform(0.1, 1, (10, 10))
    d = d + d.T
    np.fill_diagonal(d, 0)
    found = classical_mds(d)
    assert found.negative > 0.05
    assert 0 < found.share < 1


def test_sign_and_order_do_not_depend_on_chance() -> None:
    d = euclidean(cloud(15, 3, seed=4))
    order = np.random.default_rng(5).permutation(15)
    plain, mixed = classical_mds(d), classical_mds(d[np.ix_(order, order)])
    assert mixed.points == pytest.approx(plain.points[order])
    for axis in plain.points.T:
        assert axis[np.abs(axis).argmax()] > 0


def test_equal_points_lie_together() -> None:
    found = classical_mds(np.zeros((4, 4)))
    assert not found.points.any()
    assert (found.share, found.negative) == (1, 0)


@pytest.mark.parametrize(
    ("distances", "words"),
    [
        (np.zeros((2, 2)), "more than 2 rows"),
        (np.zeros((3, 4)), "square matrix"),
        (np.full((3, 3), np.nan), "finite symmetric"),
        (np.ones((3, 3)), "zeros on the diagonal"),
        ([[0, 1, 2], [1, 0, 1], [3, 1, 0]], "symmetric"),
        ([[0, -1, 2], [-1, 0, 1], [2, 1, 0]], "finite symmetric"),
    ],
)
def test_what_is_no_distance_matrix_is_refused(distances: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        classical_mds(distances)  # type: ignore[arg-type]
