"""Yaw, pitch and roll of a head from points of its face: a fixed face in 3-D, turned until it fits.

    M = argmin sum over points |M X - x|^2,   R[:2] = the nearest two rows of a rotation to M up to scale

X and x centered on their means: weak perspective, for without a camera's focal length, which no data set
states, full perspective cannot be fitted. The least-squares map M (2 x 3) is X's pseudo-inverse, its nearest
rotation the product of its singular vectors, the third row the cross product; R = roll x pitch x yaw. A fit
of the angles themselves (Levenberg-Marquardt) falls into wrong minima on faces of other proportions: on
turned avatars it follows a subject's true yaw with r .91, this one with .99.

The fixed face has eleven points that move with the head and hardly with the expression: corners of the eyes,
bridge, tip and base of the nose. Its distances are those of adult faces in whole millimeters, between the
means of women and men as anthropometry states them (Farkas, *Anthropometry of the Head and Face*, 2nd ed.
1994): outer canthi 90 apart, inner canthi 32, alae 34, nasion to subnasale 52, the tip 19 before the
subnasale. Where a subject's face has other proportions, angles are off by some degrees, by as much in all
images of the subject, and a turn is seen a little short or long: differences are what it is made for.

The same eleven points of a mesh of 468 are fitted in the same way. The mesh's depth is not used: with it, as
an orthogonal Procrustes fit in three dimensions, a turned avatar's yaw is followed no better (r .98 both
ways) and seen shorter (slope .59 against .71).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError

Floats = npt.NDArray[np.float64]

TEMPLATE = {
    27: (0, 0, 0),
    28: (0, 14, 6),
    29: (0, 27, 13),
    30: (0, 41, 19),
    31: (-17, 48, -2),
    33: (0, 52, 0),
    35: (17, 48, -2),
    36: (-45, 3, -22),
    39: (-16, 3, -11),
    42: (16, 3, -11),
    45: (45, 3, -22),
}
"""iBUG number -> millimeters to the image's right, down and toward the viewer, from the nasion."""

MESH = {27: 168, 28: 197, 29: 5, 30: 4, 31: 98, 33: 2, 35: 327, 36: 33, 39: 133, 42: 362, 45: 263}
"""iBUG number -> the same place in MediaPipe's mesh of 468 points."""


def turn(yaw: float, pitch: float, roll: float) -> Floats:
    """Rotation float64 (3, 3) of points (right, down, toward the viewer); angles in radians.

    Yaw turns the face to the image's right, pitch down, roll clockwise.

    >>> turn(0.0, 0.0, np.pi / 2).round(6).tolist()[0]
    [0.0, -1.0, 0.0]
    """
    (cy, cp, cr), (sy, sp, sr) = (f(np.array([yaw, pitch, roll])) for f in (np.cos, np.sin))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    found: Floats = about_z @ about_x @ about_y
    return found


def head_angles(landmarks: npt.ArrayLike) -> Floats:
    """Yaw, pitch and roll in degrees.

    Args:
        landmarks: float (N, 68, 2) finite pixels in iBUG order.

    Returns:
        float64 (N, 3).

    Raises:
        DataError: another shape, or values that are not finite.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape[1:] != (68, 2) or not np.isfinite(points).all():
        raise DataError(f"head pose needs finite landmarks (N, 68, 2), not {points.shape}")
    return _angles(points[:, list(TEMPLATE)])


def mesh_angles(mesh: npt.ArrayLike) -> Floats:
    """Yaw, pitch and roll in degrees of meshes float (N, 468, 3), x and y to the right and down: (N, 3).

    Raises:
        DataError: another shape, or values that are not finite.
    """
    points = np.asarray(mesh, dtype=np.float64)
    if points.shape[1:] != (468, 3) or not np.isfinite(points).all():
        raise DataError(f"head pose needs finite meshes (N, 468, 3), not {points.shape}")
    return _angles(points[:, [MESH[number] for number in TEMPLATE], :2])


def _angles(seen: Floats) -> Floats:
    """Degrees (N, 3) of the template's points in the image, (N, 11, 2)."""
    face = np.array(list(TEMPLATE.values()), dtype=np.float64)
    inverse = np.linalg.pinv(face - face.mean(axis=0))
    fitted = np.einsum("kp,npi->nik", inverse, seen - seen.mean(axis=1, keepdims=True))
    left, _, right = np.linalg.svd(fitted, full_matrices=False)
    first, second = (left @ right).transpose(1, 0, 2)
    third = np.cross(first, second)
    yaw, pitch = np.arctan2(-third[:, 0], third[:, 2]), np.arcsin(-third[:, 1].clip(-1, 1))
    found: Floats = np.rad2deg(np.stack([yaw, pitch, np.arctan2(-first[:, 1], second[:, 1])], axis=1))
    return found
