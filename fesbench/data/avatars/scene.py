"""Put the layers together: background, back hair, neck, clothes, ears, face, hair, glasses."""

from __future__ import annotations

import torch
from torch import Tensor

from fesbench.data.avatars import surface as s
from fesbench.data.avatars.contour import distance_to_pole
from fesbench.data.avatars.face import Face, Geometry, model
from fesbench.data.avatars.hair import Hair, grow
from fesbench.data.avatars.noise import COARSE, noise
from fesbench.data.avatars.pose import body_coordinates, screen_grid
from fesbench.data.avatars.surface import Surface, bell, rgb, step


def compose(g: Geometry) -> Surface:
    """Draw all layers of a batch into one surface."""
    face = model(g)
    hair = grow(g.shape, g.frame, g.broad["radius"], g.broad["strands"])
    surface = Surface.background(_backdrop(g))
    flat = torch.zeros_like(hair.back)
    surface.cover(
        hair.back, hair.color * 0.50, hair.normal, flat - 0.5,
        occlusion=0.65, gloss=0.5 * hair.gloss, sharpness=18.0, label=s.HAIR,
    )  # fmt: skip
    _add_body(g, surface)
    _add_ears(g, surface, face)
    shadow = (
        1 - 0.38 * bell(hair.below_line.clamp(min=0), 0.09) * step(hair.below_line, 0.01) * g.shape["hair_on"]
    )
    surface.cover(
        face.inside, face.albedo, face.normal, face.height,
        occlusion=face.occlusion * shadow, gloss=face.gloss, sharpness=face.sharpness, label=s.SKIN,
    )  # fmt: skip
    _label_features(surface, face)
    surface.cover(
        hair.front, hair.color, hair.normal, face.height.clamp(min=0.05) + 0.12 + 0.02 * hair.strand,
        occlusion=(0.92 + 0.08 * hair.strand).clamp(0.5, 1.0), gloss=hair.gloss, sharpness=20.0, label=s.HAIR,
    )  # fmt: skip
    if bool((g.shape["glasses"] > 0).any()):
        _add_glasses(g, surface, face)
    surface.masks = _visible(face, hair, g)
    surface.finish()
    return surface


def _visible(face: Face, hair: Hair, g: Geometry) -> dict[str, Tensor]:
    seen = face.inside * (1 - hair.front)
    masks = {name: mask * seen for name, mask in face.masks.items()}
    masks["strand"] = hair.strand
    masks["face"] = seen
    return masks


def _label_features(surface: Surface, face: Face) -> None:
    on_face = surface.label == s.SKIN
    for name, label in (
        ("brow", s.BROW),
        ("eye", s.EYE),
        ("upper_lip", s.UPPER_LIP),
        ("lower_lip", s.LOWER_LIP),
        ("mouth", s.MOUTH),
    ):
        surface.label[on_face & (face.masks[name] > 0.5)] = float(label)


def _backdrop(g: Geometry) -> Tensor:
    """A studio wall: vertical gradient, slow unevenness, vignette. It does not move with the head."""
    x, y = screen_grid(g.size, g.frame.x.device)
    phase = g.capture["background_phase"]
    cloud = noise(x * 0.06 + phase, y * 0.06 + 3 * phase, COARSE)[0]
    light = 1 + 0.5 * g.capture["background_slope"] * (y - 0.2) + 0.04 * cloud
    vignette = (1 - 0.08 * (x**2 + (y - 0.2) ** 2)).clamp(min=0.5)
    return g.capture["background"] * (light * vignette)[:, None]


def _add_body(g: Geometry, surface: Surface) -> None:
    """Neck with its two cords and the jaw's shadow, shoulders and collar."""
    shape, capture = g.shape, g.capture
    x, y = body_coordinates(capture, g.size)
    side, device = x.abs(), x.device
    half = 0.60 + 0.09 * shape["male"] + 0.5 * shape["face_width"] + 0.16 * (y - 1.75).clamp(min=0) ** 1.5
    across = (x / half).clamp(-1, 1)
    neck = step(half - side, g.frame.edge) * step(y - 0.9, 0.05)
    cord = bell(side - 0.42 + 0.55 * (y - 1.75), 0.075) * (0.6 + 0.4 * shape["male"])
    throat = bell(x, 0.10) * 0.35 * shape["male"]
    beyond = distance_to_pole(g.frame.x, g.frame.y) - g.broad["radius"]
    shadow = 1 - 0.62 * torch.exp(-((beyond.clamp(min=0) / 0.24) ** 2))
    color = shape["skin"] * rgb(device, 0.96, 0.88, 0.85) * (1 - 0.05 * cord)[:, None]
    one = torch.ones_like(x)
    lean = torch.sign(x) * cord * (side - 0.42 + 0.55 * (y - 1.75)) / 0.075
    normal = (1.3 * across**3 + 0.3 * across + 0.35 * lean, -0.18 * one, one)
    surface.cover(
        neck, color, normal, -0.25 - 0.3 * across**2,
        occlusion=shadow * (1 - 0.10 * throat), gloss=0.10, sharpness=14.0, label=s.NECK,
    )  # fmt: skip
    v_neck = (capture["collar"] > 0.55).float()
    opening = 1.99 + 0.16 * (1 - (side / 0.62).clamp(max=1) ** 2) + v_neck * 0.35 * (0.55 - side).clamp(min=0)
    slope = 1.93 + 0.16 * (side - 0.55).clamp(min=0) ** 1.3
    line = torch.where(side < 0.62, torch.maximum(opening, slope), slope)
    cloth = step(y - line, 1.5 * g.frame.edge)
    rim = bell(y - line - 0.045, 0.014) * step(0.70 - side, 0.02) * (1 - v_neck)
    folds = noise(x * 0.16 + capture["background_phase"], y * 0.10, COARSE)[0]
    color = capture["cloth"] * (1 + 0.10 * folds - 0.25 * rim)[:, None]
    surface.cover(
        cloth, color, (0.45 * x + 0.20 * folds, -0.45 + 0.15 * folds, one), -0.1 + 0.05 * rim,
        occlusion=0.9 - 0.3 * bell(y - line, 0.05), gloss=0.05, sharpness=10.0, label=s.CLOTH,
    )  # fmt: skip


def _add_ears(g: Geometry, surface: Surface, face: Face) -> None:
    """Ears behind the face's rim: helix, the hollow inside it, lobe."""
    shape, frame = g.shape, g.frame
    size = 1 + shape["ear_size"]
    center_x = (
        1.115 * (1 + shape["face_width"] + 0.6 * shape["cheek_width"] + 0.3 * shape["temple_width"]) + 0.035
    )
    center_y = 0.17 + 0.5 * shape["eye_y"]
    along = (frame.y - center_y - 0.12 * (frame.side - center_x)) / (0.29 * size)
    # Wider above, narrow at the lobe.
    across = (frame.side - center_x + 0.035 * along) / (0.135 * size * (1 - 0.22 * along.clamp(-1, 1)))
    radius = torch.sqrt(across**2 + along**2 + 1e-6)
    mask = step((1 - radius) * 0.135, frame.edge) * (1 - face.inside)
    hollow = bell(radius - 0.55, 0.18) * (1 - 0.6 * step(along - 0.45, 0.12))
    concha = torch.exp(-(((across + 0.35) / 0.35) ** 2) - ((along - 0.08) / 0.32) ** 2)
    shade = (1 - 0.34 * hollow - 0.38 * concha).clamp(min=0.2)
    color = shape["skin"] * rgb(frame.x.device, 1.0, 0.82, 0.78) * shade[:, None]
    rim = torch.where(radius > 0.55, 1.0, -0.7) * bell(radius - 0.72, 0.30)
    normal = (
        torch.sign(frame.x) * across * (0.5 + 0.6 * rim),
        along * (0.4 + 0.6 * rim),
        torch.ones_like(across),
    )
    surface.cover(
        mask, color, normal, torch.zeros_like(across) + 0.04 * rim,
        occlusion=0.85 - 0.30 * concha, gloss=0.15, sharpness=14.0, label=s.EAR,
    )  # fmt: skip


def _add_glasses(g: Geometry, surface: Surface, face: Face) -> None:
    """Frames with a bridge and temples; the lenses are clear."""
    shape, frame, features = g.shape, g.frame, g.features
    side, y, eye_y = frame.side, frame.y, features.eye_y.mean
    power = shape["glasses_round"]
    dx = ((side - features.eye_x - 0.01) / 0.325).abs().clamp(min=1e-4)
    dy = ((y - eye_y - 0.045) / 0.26).abs().clamp(min=1e-4)
    ring = (dx**power + dy**power) ** (1 / power)
    thickness = 0.012 + 0.018 * shape["texture"]
    rims = step(thickness - 0.26 * (ring - 1).abs(), 0.7 * frame.edge)
    bridge = bell(y - eye_y + 0.015 + 0.05 * bell(side, 0.08), 0.018) * step(0.21 - side, 0.012)
    temples = bell(y - eye_y + 0.075, 0.022) * step(side - features.eye_x - 0.30, 0.01) * face.inside
    mask = (rims + bridge + temples).clamp(max=1) * shape["glasses"] * 0.95
    color = rgb(side.device, 0.02, 0.018, 0.018) + 0.5 * shape["texture"][:, None] * shape["iris"]
    zero = torch.zeros_like(side)
    surface.cover(
        mask, color + zero[:, None], (zero, zero - 0.3, zero + 1), face.height + 0.05,
        occlusion=1.0, gloss=0.6, sharpness=30.0, label=s.GLASSES,
    )  # fmt: skip
