"""What the health monitor looks at: every label from a few neutral faces."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from fesbench.methods.conditions import label_requests
from fesbench.training.health import FindFaces, Probe

if TYPE_CHECKING:
    from fesbench.methods.base import Method
    from fesbench.methods.training_set import TrainingSet

PROBE_SUBJECTS = 3


def make_probe(
    method: Method,
    view: TrainingSet,
    held_out: TrainingSet,
    device: torch.device,
    find_faces: FindFaces | None = None,
) -> Probe | None:
    """The probe of a training; None where there are fewer than two subjects.

    Args:
        method: that is trained.
        view: the training subset, which the labels' real differences are taken from.
        held_out: whose neutral faces are used.
        device: of the requests.
        find_faces: says of images, uint8 (N, S, S, 3), which have a face.
    """
    neutral = held_out.rows[held_out.labels == held_out.problem.neutral]
    identities = held_out.store.manifest.table["identity"].to_numpy()[neutral]
    first = [neutral[identities == one][0] for one in sorted(set(identities))[:PROBE_SUBJECTS]]
    labels = [k for k in range(len(held_out.problem.labels)) if k != held_out.problem.neutral]
    if len(first) < 2:
        return None
    requests = label_requests(view, np.array(first), labels)
    # One noise a subject: else what a method draws differs between labels though it ignores them.
    noise = torch.arange(len(first)).repeat_interleave(len(labels))
    requests = replace(requests, noise_seed=noise).to(device)
    native, unchanged = method.native, None
    if native is not None:
        unchanged = native.outputs(native.images(requests.source), method.size)
    return Probe(requests, len(first), view.label_difference(labels), unchanged, find_faces)
