import numpy as np
import pytest
from sklearn.metrics import roc_curve

from fesbench.errors import DataError, UsageError
from fesbench.metrics import metric
from fesbench.metrics.control.detection import FaceNotFound
from fesbench.metrics.identity.fvs import THRESHOLDS, FaceVerification, FaceVerificationAtFar
from fesbench.records.signature import Signature

RECOGNIZERS = ("dlib", "arcface", "facenet512", "vgg-face", "lightcnn-29-v2")


def test_euclidean_threshold_by_hand(make_inputs):
    given = {
        ("dlib", "source"): [[0, 0]] * 4,
        ("dlib", "generated"): ([[0.59, 0], [0.61, 0], [0.3, 0.4], [0, 0]], [True, True, True, False]),
    }
    found = FaceVerification().measure(make_inputs([0, 1, 2, 3], features=given), np.arange(4))
    assert found.per_sample.tolist() == [1, 0, 1, 0]
    assert (found.n_valid, found.n_requested) == (3, 4)
    assert {("dist", "euclidean"), ("tau", "0.6")} <= set(found.signature.fields)


def test_cosine_threshold_by_hand(make_inputs):
    angles = np.arccos(1 - np.array([0.1, 0.67, 0.69, 1.0]))
    given = {
        ("arcface", "source"): [[3, 0]] * 4,
        ("arcface", "generated"): np.stack([np.cos(angles), np.sin(angles)], axis=1) * 7,
    }
    found = FaceVerification("arcface").measure(make_inputs([0, 1, 2, 3], features=given), np.arange(4))
    assert found.per_sample.tolist() == [1, 1, 0, 0]
    assert found.card.name == "FVS[arcface]"


def test_thresholds_are_deepfaces():
    threshold = pytest.importorskip("deepface.config.threshold", reason="deepface is not installed")
    names = {"dlib": "Dlib", "arcface": "ArcFace", "facenet512": "Facenet512", "vgg-face": "VGG-Face"}
    for name, (distance, tau) in THRESHOLDS.items():
        assert threshold.thresholds[names[name]][distance] == tau


def test_a_recognizer_without_a_published_threshold_is_refused():
    with pytest.raises(UsageError, match=r"use FVS@FAR=1%"):
        metric("FVS", "lightcnn-29-v2")
    assert metric("FVS@FAR=0.1%", "lightcnn-29-v2").card.extractor == "lightcnn-29-v2"


# --- threshold from real impostors ---

PEOPLE, PER = 40, 7
WHO = np.repeat(np.arange(PEOPLE), PER)


@pytest.fixture
def crowd(make_inputs):
    def make(noise=0.5, people=PEOPLE, valid=None, **fields):
        rng = np.random.default_rng(0)
        who = np.repeat(np.arange(people), PER)
        center = rng.normal(size=(people, 16))
        near = lambda scale: center[who] + scale * rng.normal(size=(len(who), 16))  # noqa: E731
        ok = np.ones(len(who), dtype=bool) if valid is None else valid
        source, output = near(0.0), near(noise)
        given = {
            ("dlib", "source"): source,
            ("dlib", "generated"): (output, ok),
            ("dlib", "gallery"): center + 0.3 * rng.normal(size=center.shape),
            ("dlib", "reference"): near(0.4),
        }
        return make_inputs(
            who,
            features=given,
            gallery_identity=np.arange(people),
            **({"reference_identity": who} | fields),
        )

    return make


def test_the_threshold_lets_the_stated_share_of_real_impostors_pass(crowd):
    inputs = crowd()
    found = FaceVerificationAtFar(far=0.01).measure(inputs, np.arange(len(WHO)))
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)  # noqa: E731
    sets = {w: unit(inputs.features("dlib", w).values.astype(float)) for w in _SETS}
    real = (sets["reference"] @ sets["gallery"].T)[WHO[:, None] != np.arange(PEOPLE)[None, :]]
    genuine = (sets["source"] * sets["generated"]).sum(axis=1)
    fpr, tpr, _ = roc_curve(
        np.r_[np.ones(len(genuine)), np.zeros(len(real))], np.r_[genuine, real], drop_intermediate=False
    )
    assert found.value == pytest.approx(tpr[fpr <= 0.01].max())
    assert dict(found.signature.fields)["ref"] == f"source,test-real-vs-gallery:{len(real)}"


_SETS = ("source", "generated", "gallery", "reference")


def test_too_few_real_impostors_give_a_reason(crowd):
    few = crowd(people=8)
    found = FaceVerificationAtFar().measure(few, np.arange(8 * PER))
    assert found.value is None
    assert found.reason == f"needs 10000 real impostor pairs, has {8 * PER * 7}"
    nobody = crowd(reference_identity=None)
    assert FaceVerificationAtFar(far=0.01).measure(nobody, np.arange(len(WHO))).reason.endswith("has 0")


def test_a_copy_is_accepted_and_noise_is_not(crowd):
    rows = np.arange(len(WHO))
    for make in (FaceVerification(), FaceVerificationAtFar()):
        shares = [make.measure(crowd(noise=noise), rows).value for noise in (0, 0.5, 1.5, 6)]
        assert shares[0] == 1
        assert shares == sorted(shares, reverse=True)
        assert shares[-1] < 0.2


def test_lost_faces_are_rejected(crowd):
    valid = np.ones(len(WHO), dtype=bool)
    valid[:70] = False
    for make in (FaceVerification(), FaceVerificationAtFar(far=0.01)):
        found = make.measure(crowd(noise=0, valid=valid), np.arange(len(WHO)))
        assert found.value == 0.75
        assert found.n_valid == 210


@pytest.mark.parametrize("far", [0.0, 1.0])
def test_impossible_levels_are_refused(far, crowd):
    with pytest.raises(DataError, match="lies between 0 and 1"):
        FaceVerificationAtFar(far=far).measure(crowd(), np.arange(8))


# --- every recognizer, and the detector ---


@pytest.mark.parametrize("name", ["FSS", "Rank-1", "TAR@FAR=1%", "TAR@FAR=0.1%", "FVS@FAR=0.1%"])
@pytest.mark.parametrize("recognizer", RECOGNIZERS)
def test_recognition_works_with_every_recognizer(name, recognizer, crowd):
    inputs = crowd(noise=0.8)
    found = inputs.features
    inputs.features = lambda x, which: found("dlib", which) if x == recognizer else found(x, which)
    measured = metric(name, recognizer).measure(inputs, np.arange(len(WHO)))
    assert measured.card.extractor == recognizer
    assert 0 < measured.value <= 1
    bracketed = metric(f"{name}[{recognizer}]")
    assert bracketed.card.extractor == recognizer
    assert bracketed.measure(inputs, np.arange(len(WHO))).value == measured.value


def test_face_not_found_by_hand(make_inputs):
    found = np.array([True, False, False, True, True, True])
    given = {("dlib-hog", "generated"): (found[:, None].astype(float), found)}
    measured = FaceNotFound().measure(make_inputs([0, 0, 1, 1, 2, 2], features=given), np.arange(6))
    assert measured.per_sample.tolist() == [0, 1, 1, 0, 0, 0]
    assert measured.value == pytest.approx(1 / 3)
    assert (measured.n_valid, measured.n_requested) == (6, 6)
    assert measured.low < measured.value < measured.high


def test_no_lost_face_still_has_an_upper_bound(make_inputs):
    given = {("dlib-hog", "generated"): np.ones((20, 1))}
    measured = FaceNotFound().measure(make_inputs(np.arange(20), features=given), np.arange(20))
    assert (measured.value, measured.low) == (0, 0)
    assert measured.high == pytest.approx(1 - 0.025 ** (1 / 20))


def test_each_level_has_a_name_of_its_own(crowd):
    rows = np.arange(len(WHO))
    strict, loose = (metric(f"FVS@FAR={far}").measure(crowd(noise=1.2), rows) for far in ("0.1%", "1%"))
    assert (strict.card.far, loose.card.far) == (0.001, 0.01)
    assert Signature.difference(strict.signature, loose.signature) == ("metric", "far")
    assert strict.value < loose.value
    assert metric("FVS@FAR=1%[arcface]").card.extractor == "arcface"
