"""The face itself: height, color and masks of the skin sheet, with eyes and mouth set in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fesbench.data.avatars import eyes as eye_part
from fesbench.data.avatars import mouth as mouth_part
from fesbench.data.avatars import relief, skin, wrinkles
from fesbench.data.avatars.action_units import Activation
from fesbench.data.avatars.contour import Contour, distance_to_pole, head_contour
from fesbench.data.avatars.features import Features, Scalars, locate
from fesbench.data.avatars.hair import part_angle
from fesbench.data.avatars.noise import COARSE, FINE, MEDIUM, noise
from fesbench.data.avatars.pose import VIEW_SPAN, Frame, depth_on_screen, face_coordinates, window
from fesbench.data.avatars.surface import step
from fesbench.data.avatars.upsample import BORDER, upsample

Window = tuple[slice, slice]
_SMALLEST_COARSE = 48


@dataclass(frozen=True)
class Geometry:
    """Everything that a batch's face coordinates and broad shape are made of.

    Attributes:
        shape: identity. capture: take. au: action units.
        features: feature positions. contour: the outlines. frame: face coordinates of every pixel.
        broad: smooth fields, upsampled from a coarse grid, by name.
        margin: by how much pose may move a feature (units), for windows.
    """

    shape: Scalars
    capture: Scalars
    au: Activation
    features: Features
    contour: Contour
    frame: Frame
    broad: dict[str, Tensor]
    margin: float

    @property
    def size(self) -> int:
        """Side of the picture in pixels."""
        return self.frame.x.shape[-1]

    def window(self, half_width: float, top: float, bottom: float) -> tuple[Window, Frame]:
        """A box of face units as pixel slices and its coordinates."""
        rows, columns = window(self.size, half_width, top, bottom, self.margin)
        return (rows, columns), self.frame.window(rows, columns)


@dataclass(frozen=True)
class Face:
    """The skin sheet, in face coordinates; maps (B, S, S)."""

    albedo: Tensor
    height: Tensor
    normal: tuple[Tensor, Tensor, Tensor]
    inside: Tensor
    occlusion: Tensor
    gloss: Tensor
    sharpness: Tensor
    masks: dict[str, Tensor]


@dataclass(frozen=True)
class Plan:
    """Where everything is, in float64: it places the landmarks, and the pixels after rounding."""

    features: Features
    contour: Contour

    @classmethod
    def of(cls, shape: Scalars, au: Activation) -> Plan:
        """Plan the faces of a batch."""
        exact = {name: value.double() for name, value in shape.items()}
        units = Activation(au.vectors.double())
        return cls(locate(exact, units), head_contour(exact, units))


def lay_out(
    precise: Plan, shape: Scalars, capture: Scalars, au: Activation, size: int, margin: float
) -> Geometry:
    """Find face coordinates and the smooth fields, on a coarse grid for speed."""
    features, contour = precise.features.single(), precise.contour.single()
    rest = locate(shape, Activation(torch.zeros_like(au.vectors)))
    factor = max(k for k in range(1, 9) if size % k == 0 and (k == 1 or size // k >= _SMALLEST_COARSE))
    x, y = face_coordinates(capture, features, contour, size // factor, BORDER)
    coarse = Frame.of(x, y, VIEW_SPAN / size * factor)
    shift_x, shift_y = relief.skin_shift(rest, features, coarse)
    fields = {
        "x": x,
        "y": y,
        "radius": contour.radius(x, y),
        "relief": relief.broad_relief(shape, features, au, coarse),
        "red": relief.redness(features, coarse),
        "gloss": relief.broad_gloss(coarse),
        "occlusion": relief.broad_occlusion(features, coarse),
        "shift_x": shift_x,
        "shift_y": shift_y,
        "strands": part_angle(shape, x, y),
    }
    stack = torch.stack(list(fields.values()), dim=1)
    broad = {name: f.contiguous() for name, f in zip(fields, upsample(stack, factor).unbind(1), strict=True)}
    frame = Frame.of(broad.pop("x"), broad.pop("y"), VIEW_SPAN / size)
    return Geometry(shape, capture, au, features, contour, frame, broad, margin)


def model(g: Geometry) -> Face:
    """Model and paint the face of every picture of a batch."""
    shape, frame = g.shape, g.frame
    distance = distance_to_pole(frame.x, frame.y)
    reach = distance / g.broad["radius"]
    inside = step(g.broad["radius"] - distance, frame.edge)
    seed = shape["texture"]
    skin_x = frame.x - torch.sign(frame.x) * g.broad["shift_x"]
    skin_y = frame.y - g.broad["shift_y"]
    mottle = noise(skin_x * 0.21 + seed * 7.3, skin_y * 0.21 + seed * 3.1, COARSE, MEDIUM)
    pores = noise(skin_x * 0.62 + seed, skin_y * 0.62, FINE)[0]
    height = relief.head_depth(reach, frame.y) + g.broad["relief"]
    albedo = skin.base_color(shape, mottle, g.broad["red"])
    skin.add_marks(albedo, shape, frame, skin_x, skin_y)
    zero = torch.zeros_like(height)
    masks = {name: zero.clone() for name in _MASKS}
    gloss, occlusion = g.broad["gloss"].clone(), g.broad["occlusion"].clone()
    sharpness = zero + 14.0
    _forehead(g, masks)
    _set_nose(g, albedo, height, occlusion, masks)
    _set_mouth(g, albedo, height, gloss, sharpness, masks)
    _set_eyes(g, albedo, height, gloss, masks)
    # Pores fade where a pixel is wider than they are: coarser, they look like leather.
    pore_depth = (0.0007 + 0.0008 * shape["age"]) * min(1.0, 0.018 / frame.pixel)
    height = height - masks["wrinkle"] * shape["expressive_wrinkles"] + pore_depth * pores
    normal = _normals(g, height, masks)
    return Face(albedo, height, normal, inside, occlusion, gloss, sharpness, masks)


_MASKS = (
    *("wrinkle", "brow", "beard", "eye", "iris", "pupil", "lash", "crease", "iris_ring"),
    *("upper_lip", "lower_lip", "mouth", "teeth", "line", "eye_nx", "eye_ny"),
)


def _forehead(g: Geometry, masks: dict[str, Tensor]) -> None:
    (rows, columns), frame = g.window(1.0, -1.30, 0.12)
    masks["wrinkle"][:, rows, columns] += wrinkles.forehead(g.shape, g.features, g.au, frame)


def _set_nose(
    g: Geometry, albedo: Tensor, height: Tensor, occlusion: Tensor, masks: dict[str, Tensor]
) -> None:
    (rows, columns), frame = g.window(0.48, -0.25, 1.02)
    nose, _ = relief.nose_relief(g.shape, g.features, g.au, frame)
    height[:, rows, columns] += nose
    masks["wrinkle"][:, rows, columns] += wrinkles.nose_root(g.features, g.au, frame)
    occlusion[:, rows, columns] *= skin.under_nose(g.features, frame)
    skin.add_nostrils(albedo[:, :, rows, columns], g.shape, g.features, frame, g.au.unit(9))


def _set_mouth(
    g: Geometry, albedo: Tensor, height: Tensor, gloss: Tensor, sharpness: Tensor, masks: dict[str, Tensor]
) -> None:
    shape, features, au = g.shape, g.features, g.au
    (rows, columns), frame = g.window(1.02, 0.35, 2.0)
    cut = (slice(None), rows, columns)
    mouth = mouth_part.trace(features, au, frame)
    raised, lines = mouth_part.relief(features, au, mouth, frame)
    valley, bulge = wrinkles.nasolabial(shape, features, au, frame, mouth.corner_y)
    lower = wrinkles.lower_face(shape, features, au, frame, mouth.corner_y)
    chin = (
        0.016
        * au.unit(17)
        * torch.exp(-((frame.side / 0.22) ** 2) - ((frame.y - features.chin_y + 0.03) / 0.13) ** 2)
    )
    dimples = noise(frame.x * 0.21 + shape["texture"], frame.y * 0.21, MEDIUM)[0]
    height[cut] += raised + bulge + chin * dimples
    masks["wrinkle"][cut] += valley + lower + lines
    local = albedo[:, :, rows, columns]
    lips = (mouth.upper + mouth.lower).clamp(max=1)
    has_beard = shape["beard_lip"] + shape["beard_chin"] + shape["beard_jaw"] > 0
    if bool(has_beard.any()):
        density = skin.beard_density(shape, features, mouth, frame)
        height[cut] += skin.add_beard(local, shape, density, frame)
        gloss[cut] *= 1 - 0.75 * density
        masks["beard"][cut] = density
    masks["teeth"][cut] = mouth_part.paint(local, shape, features, mouth, frame)
    gloss[cut] = (gloss[cut] * (1 - lips) + 0.60 * lips) * (1 - 0.7 * mouth.inside)
    sharpness[cut] += 26.0 * lips
    for name, mask in (
        ("upper_lip", mouth.upper),
        ("lower_lip", mouth.lower),
        ("mouth", mouth.inside),
        ("line", mouth.line),
    ):
        masks[name][cut] = mask


def _set_eyes(g: Geometry, albedo: Tensor, height: Tensor, gloss: Tensor, masks: dict[str, Tensor]) -> None:
    shape, features, au = g.shape, g.features, g.au
    (rows, columns), frame = g.window(1.12, -0.80, 0.55)
    cut = (slice(None), rows, columns)
    eyes = eye_part.trace(shape, g.capture, features, au, frame)
    raised, pouch = eye_part.relief(shape, eyes, au, frame)
    height[cut] += raised
    masks["wrinkle"][cut] += pouch + wrinkles.crows_feet(shape, features, au, frame) * (1 - eyes.opening)
    brow = eye_part.brow_mask(shape, features, frame)
    local = albedo[:, :, rows, columns]
    eye_part.shade_lids(local, shape, eyes)
    local += (shape["brow"] - local) * brow[:, None]
    eye_part.paint(local, shape, eyes)
    gloss[cut] *= (1 - brow) * (1 - eyes.opening)
    size = eye_part.IRIS_RADIUS * (1 + shape["iris_size"])
    sign = torch.sign(frame.x)
    for name, mask in (
        ("brow", brow),
        ("eye", eyes.opening),
        ("iris", eyes.iris * eyes.opening),
        ("pupil", eyes.pupil * eyes.opening),
        ("iris_ring", torch.exp(-(((eyes.from_iris - 0.9 * size) / 0.016) ** 2)) * eyes.opening),
        ("lash", eyes.lash),
        ("crease", eyes.crease),
        ("eye_nx", eyes.along * features.eye_width * sign / 0.24),
        ("eye_ny", eyes.below_axis / 0.24),
    ):
        masks[name][cut] = mask


def _normals(g: Geometry, height: Tensor, masks: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Normals from central differences; eyeballs get their own, the open mouth is flat."""
    frame = g.frame
    depth = depth_on_screen(g.capture, frame.x, frame.y, height)
    padded = F.pad(depth[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    slope_x = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / (2 * frame.pixel)
    slope_y = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / (2 * frame.pixel)
    # At the silhouette the slope is unbounded; limit it or the rim turns black.
    limit = 4.0 / (torch.sqrt(slope_x**2 + slope_y**2 + 1e-8) + 4.0)
    nx, ny = -slope_x * limit, -slope_y * limit
    eye, flat = masks["eye"], 1 - 0.8 * masks["mouth"]
    nx = (nx + (masks.pop("eye_nx") - nx) * eye) * flat
    ny = (ny + (masks.pop("eye_ny") - ny) * eye) * flat
    return nx, ny, torch.ones_like(nx)
