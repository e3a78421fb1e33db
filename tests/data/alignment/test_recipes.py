from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fesbench.data.alignment.recipes import ALIGNMENTS, FaceError, alignment, similarity, warp
from fesbench.data.alignment.templates import ARCFACE, CELEBA, DLIB, FIVE, PADDING, TEMPLATE, five_points
from fesbench.errors import UnknownNameError, UsageError


def chip_transform(landmarks: np.ndarray, size: int) -> np.ndarray:
    return similarity(DLIB.source(landmarks), DLIB.target(size))


def points(scale: float = 60.0, angle: float = 0.0, shift: tuple[float, float] = (40.0, 50.0)) -> np.ndarray:
    """68 landmarks whose five alignment points are dlib's template, moved by a similarity."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = np.random.default_rng(0).uniform(0, 1, (68, 2))
    landmarks[list(FIVE)] = TEMPLATE
    return (landmarks - 0.5) @ turn.T * scale + 0.5 * scale + shift


@pytest.fixture(scope="module")
def face() -> tuple[np.ndarray, np.ndarray]:
    from fesbench.data.avatars.rendering import AvatarSpec, render

    batch = render([AvatarSpec(3, expression="happiness")], 256)
    return batch.images[0], batch.landmarks[0]


@given(st.floats(20, 200), st.floats(-3, 3), st.floats(-50, 400), st.floats(-50, 400))
def test_any_similarity_is_undone(scale: float, angle: float, x: float, y: float) -> None:
    landmarks = points(scale, angle, (x, y))
    matrix = chip_transform(landmarks, 128)
    moved = landmarks @ matrix[:, :2].T + matrix[:, 2]
    assert np.allclose(moved[list(FIVE)], (TEMPLATE + PADDING) / 1.5 * 128, atol=1e-6)
    assert np.allclose(matrix[:, :2] @ matrix[:, :2].T, np.eye(2) * (128 / 1.5 / scale) ** 2)


def test_the_fit_is_least_squares() -> None:
    rng = np.random.default_rng(1)
    landmarks = points() + rng.normal(0, 3, (68, 2))
    target = ((TEMPLATE + PADDING) / 1.5 * 128).reshape(-1)
    x, y = landmarks[list(FIVE)].T
    rows = np.stack(
        [np.stack([x, -y, np.ones(5), np.zeros(5)], 1), np.stack([y, x, np.zeros(5), np.ones(5)], 1)], 1
    ).reshape(10, 4)
    a, b, tx, ty = np.linalg.lstsq(rows, target, rcond=None)[0]
    assert np.allclose(chip_transform(landmarks, 128), [[a, -b, tx], [b, a, ty]])


def test_it_is_dlibs_face_chip(face: tuple[np.ndarray, np.ndarray]) -> None:
    dlib = pytest.importorskip("dlib")
    image, landmarks = face
    whole = np.rint(landmarks)
    parts = [dlib.point(int(x), int(y)) for x, y in whole]
    box = dlib.rectangle(int(whole[:, 0].min()), int(whole[:, 1].min()), int(whole[:, 0].max()), 220)
    # dlib's five-point shape: outer and inner corner of the subject's left eye, of the right eye, nose
    five = dlib.points([parts[k] for k in (45, 42, 36, 39, 33)])
    theirs = dlib.get_face_chip(image, dlib.full_object_detection(box, five), 128, PADDING)
    ours, _ = alignment("dlib68-128@1").apply(image, whole.astype(np.float32), 128)
    difference = np.abs(ours.astype(float) - theirs.astype(float))
    # dlib samples a pyramid, we take box means: the same place, slightly another filter
    assert difference.mean() < 4
    shifted = np.abs(np.roll(ours, 2, axis=1).astype(float) - theirs.astype(float))
    assert shifted.mean() > 1.5 * difference.mean()


def test_landmarks_move_with_the_image() -> None:
    landmarks = points(scale=130, angle=0.3, shift=(60, 40))
    yy, xx = np.mgrid[:300, :300]
    blobs = sum(np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 18) for x, y in landmarks[list(FIVE)])
    image = np.repeat(np.rint(255 * blobs).astype(np.uint8)[..., None], 3, 2)
    aligned, moved = alignment("dlib68-128@1").apply(image, landmarks.astype(np.float32), 128)
    assert moved is not None
    for x, y in moved[list(FIVE)]:
        window = aligned[round(y) - 5 : round(y) + 6, round(x) - 5 : round(x) + 6, 0].astype(float)
        grid = np.mgrid[-5:6, -5:6]
        center = (grid * window).sum(axis=(1, 2)) / window.sum()
        assert np.allclose(center, (y - round(y), x - round(x)), atol=0.03)


def test_shrinking_is_antialiased() -> None:
    checkers = np.where(np.indices((512, 512)).sum(0) % 2, 255, 0).astype(np.uint8)
    image = np.repeat(checkers[..., None], 3, 2)
    landmarks = points(scale=330, angle=0.2, shift=(90, 90)).astype(np.float32)
    aligned, _ = alignment("dlib68-128@1").apply(image, landmarks, 64)
    assert aligned.std() < 10
    assert abs(aligned.mean() - 127.5) < 2


def test_whole_shift_is_exact_and_borders_are_repeated() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    moved = warp(image, np.array([[1.0, 0, -5], [0, 1.0, 3]]), 40)
    assert np.array_equal(moved[3:, :35], image[:37, 5:])
    assert np.array_equal(moved[3:, 39], image[:37, 39])
    assert np.array_equal(moved[0, :35], image[0, 5:])


def test_gray_has_three_equal_channels(face: tuple[np.ndarray, np.ndarray]) -> None:
    gray, points_gray = alignment("dlib68-128-gray@1").apply(*face, 96)
    color, points_color = alignment("dlib68-128@1").apply(*face, 96)
    assert gray.shape == (96, 96, 3)
    assert (gray == gray[..., :1]).all()
    assert np.array_equal(points_gray, points_color)
    luma = color.astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(gray[..., 0] - luma).mean() < 1.5


def test_none_leaves_the_right_size_alone_and_scales_another() -> None:
    recipe = alignment("none@1")
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    landmarks = np.full((68, 2), -0.5, np.float32)
    landmarks[1] = 63.5
    same, points_same = recipe.apply(image, landmarks, 64)
    assert np.array_equal(same, image)
    assert points_same is landmarks
    small, points_small = recipe.apply(image, landmarks, 16)
    assert small.shape == (16, 16, 3)
    expected = np.asarray(Image.fromarray(image).resize((16, 16), Image.Resampling.LANCZOS))
    assert np.array_equal(small, expected)
    assert points_small is not None
    # the image's corners stay its corners
    assert points_small[:2].tolist() == [[-0.5, -0.5], [15.5, 15.5]]
    with pytest.raises(FaceError, match="not square"):
        recipe.apply(image[:32], None, 16)


def test_none_gray_is_none_on_the_luma() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    gray, _ = alignment("none-gray@1").apply(image, None, 64)
    luma = np.asarray(Image.fromarray(image).convert("L"))
    assert np.array_equal(gray, np.repeat(luma[..., None], 3, 2))
    small, _ = alignment("none-gray@1").apply(image, None, 16)
    assert np.array_equal(small, alignment("none@1").apply(gray, None, 16)[0])


def test_landmarks_that_cannot_be_are_refused() -> None:
    recipe, image = alignment("dlib68-128@1"), np.zeros((150, 150, 3), np.uint8)
    with pytest.raises(FaceError, match="no landmarks"):
        recipe.apply(image, None, 64)
    with pytest.raises(FaceError, match="landmarks outside the image"):
        recipe.apply(image, points(shift=(120, 50)), 64)
    bad = points()
    bad[3, 0] = np.nan
    with pytest.raises(FaceError, match="not finite"):
        recipe.apply(image, bad, 64)
    with pytest.raises(FaceError, match="smaller than 4 pixels"):
        recipe.apply(image, points(scale=3), 64)
    with pytest.raises(FaceError, match="5 landmarks instead of 68"):
        recipe.apply(image, points()[:5], 64)


def test_a_chin_outside_is_no_reason_to_refuse() -> None:
    landmarks = points()
    landmarks[8] = (70, 149.5)
    landmarks[9] = (75, 152)
    aligned, _ = alignment("dlib68-128@1").apply(np.zeros((150, 150, 3), np.uint8), landmarks, 64)
    assert aligned.shape == (64, 64, 3)


def test_unknown_recipes_and_detectors() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean dlib68-128@1"):
        alignment("dlib68-128")
    with pytest.raises(UnknownNameError, match=r"no detector 'openvc'. Did you mean opencv"):
        alignment("dlib68-128@1:openvc")
    with pytest.raises(UsageError, match="is the detector of mtcnn-112@1 itself"):
        alignment("mtcnn-112@1:mtcnn")
    with pytest.raises(UsageError, match="looks for no face"):
        alignment("none@1:dlib")


def test_another_detector_stands_in_the_name() -> None:
    recipe = alignment("celeba-178-128@1:opencv")
    assert (recipe.name, recipe.detector) == ("celeba-178-128@1:opencv", "opencv")
    assert alignment("celeba-178-128@1").detector == "dlib"
    assert {name: recipe.detector for name, recipe in ALIGNMENTS.items()} == {
        "none@1": "",
        "none-gray@1": "",
        "dlib68-128@1": "dlib",
        "dlib68-128-gray@1": "dlib",
        "celeba-178-128@1": "dlib",
        "mtcnn-112@1": "mtcnn",
    }


def test_celebas_frame_by_hand() -> None:
    """Its authors' points count from 1 in 178 x 218; the central 178 rows begin at row 21 of 218."""
    at_178 = CELEBA.target(178)
    assert np.allclose(at_178, [(69.745, 91), (107.237, 91), (88.432, 132.514)])
    # 89 is half of 178: the image's center stays its center
    assert np.allclose(CELEBA.target(89) + 0.5, (at_178 + 0.5) / 2)
    five = np.array([(60, 70), (100, 70), (0, 0), (70, 110), (90, 112)], float)
    assert CELEBA.from_five is not None
    assert np.array_equal(CELEBA.from_five(five), [(60, 70), (100, 70), (80, 111)])


def test_arcfaces_template_at_its_own_size() -> None:
    assert ARCFACE.target(112)[0].tolist() == [38.2946, 51.6963]
    assert np.allclose(ARCFACE.target(224)[3], (2 * 41.5493 + 0.5, 2 * 92.3655 + 0.5))


@pytest.mark.parametrize("name", ["celeba-178-128@1", "mtcnn-112@1"])
def test_the_five_points_land_on_the_template(name: str, face: tuple[np.ndarray, np.ndarray]) -> None:
    image, landmarks = face
    recipe = alignment(name)
    assert recipe.template is not None
    aligned, moved = recipe.apply(image, landmarks, 128)
    assert aligned.shape == (128, 128, 3)
    assert moved is not None
    target = recipe.template.target(128)
    # a similarity fits an avatar's proportions to within a few pixels; eyes to eyes, mouth to mouth
    assert np.abs(recipe.template.source(moved.astype(float)) - target).max() < 12
    again = similarity(recipe.template.source(moved.astype(float)), target)
    assert np.allclose(again, [[1, 0, 0], [0, 1, 0]], atol=1e-4)


def test_a_detectors_own_points_align_where_the_template_knows_them(
    face: tuple[np.ndarray, np.ndarray],
) -> None:
    image, landmarks = face
    moved_by = np.array((8.0, 0.0))
    five = five_points(landmarks.astype(float)) + moved_by
    for name, uses in (("mtcnn-112@1", True), ("dlib68-128@1", False)):
        plain, _ = alignment(name).apply(image, landmarks, 64)
        other, points = alignment(name).apply(image, landmarks, 64, five)
        assert (not np.array_equal(plain, other)) is uses
        shifted, _ = alignment(name).apply(image, (landmarks + moved_by).astype(np.float32), 64)
        assert np.array_equal(other, shifted) is uses
        assert points is not None


def test_what_the_warp_reads_is_all_that_it_needs() -> None:
    """The region cut out first gives the bytes of the whole image, with its border repeated."""
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (90, 110, 3), dtype=np.uint8)
    wide = np.pad(image, ((200, 200), (200, 200), (0, 0)), mode="edge")
    for angle, scale, center in ((0.3, 0.7, (20.5, 31.25)), (-1.2, 1.9, (90, 60)), (2.8, 0.4, (50, 40))):
        c, s = scale * np.cos(angle), scale * np.sin(angle)
        turn = np.array([[c, -s], [s, c]])
        matrix = np.concatenate([turn, ((24, 24) - turn @ center)[:, None]], axis=1)
        moved = matrix.copy()
        moved[:, 2] -= matrix[:, :2] @ (200, 200)
        assert np.array_equal(warp(image, matrix, 48), warp(wide, moved, 48))


def test_gray_images_take_the_short_way_to_the_same_bytes() -> None:
    rng = np.random.default_rng(4)
    gray = np.repeat(rng.integers(0, 256, (80, 80, 1), dtype=np.uint8), 3, 2)
    almost = gray.copy()
    almost[0, 0, 2] ^= 255
    matrix = np.array([[0.8, -0.1, -20.0], [0.1, 0.8, -15.0]])
    assert np.array_equal(warp(gray, matrix, 32), warp(almost, matrix, 32))


def test_every_reason_has_its_key(face: tuple[np.ndarray, np.ndarray]) -> None:
    image, recipe = np.zeros((150, 150, 3), np.uint8), alignment("dlib68-128@1")
    nan = points()
    nan[0] = np.nan
    for landmarks, key in (
        (None, "no-landmarks"),
        (points()[:5], "bad-landmarks"),
        (nan, "bad-landmarks"),
        (points(shift=(120, 50)), "outside"),
        (points(scale=3), "small-face"),
    ):
        with pytest.raises(FaceError) as caught:
            recipe.apply(image, landmarks, 64)
        assert caught.value.key == key
    with pytest.raises(FaceError) as caught:
        alignment("none@1").apply(image[:20], None, 64)
    assert caught.value.key == "not-square"


def test_the_result_is_the_same_to_the_byte() -> None:
    image = np.random.default_rng(5).integers(0, 256, (120, 140, 3), dtype=np.uint8)
    landmarks = points(scale=70, angle=0.1, shift=(30, 20)).astype(np.float32)
    for name in ("dlib68-128@1", "dlib68-128-gray@1", "celeba-178-128@1", "mtcnn-112@1"):
        first, _ = alignment(name).apply(image, landmarks, 48)
        again, _ = alignment(name).apply(image.copy(), landmarks.copy(), 48)
        assert first.tobytes() == again.tobytes()


def test_the_recipe_has_not_changed() -> None:
    """Another result is a new version of the recipe, never the same name."""
    ramp = np.indices((120, 140)).sum(0).astype(np.uint8)
    landmarks = points(scale=70, angle=0.1, shift=(30, 20)).astype(np.float32)
    chip, _ = alignment("dlib68-128@1").apply(np.repeat(ramp[..., None], 3, 2), landmarks, 48)
    # x + y of the source pixel under chip pixel (24, 24), (0, 47) and (47, 0), from the transform by hand
    inverse = np.linalg.inv(np.vstack([chip_transform(landmarks, 48), [0, 0, 1]]))
    for x, y in ((24, 24), (0, 47), (47, 0)):
        expected = (inverse @ (x, y, 1))[:2].sum()
        assert abs(float(chip[y, x, 0]) - expected) <= 0.51
