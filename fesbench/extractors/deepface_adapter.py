"""The one place where deepface is imported: its model clients, on its PyTorch engine, with checked files.

deepface downloads what it does not find, without a checksum, and takes whatever lies under the right name.
Here its home is a folder of links to checked files, so that neither happens.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from fesbench.errors import WeightsError
from fesbench.weights.manager import link_checked
from fesbench.weights.offline_guard import environment, no_network

ENGINE = "pytorch"
INSTALL = "pip install 'fesbench[faces]'"
DLIB = (("dlib", f"dlib ({INSTALL})"),)
PACKAGES = (("deepface", f"deepface ({INSTALL})"), *DLIB)
"""What face networks need: (module, package and how to install it)."""
_LOCK = threading.Lock()


def load_client(model: str, weights: Path, home: Path) -> Any:
    """A deepface face-recognition client.

    Args:
        model: deepface's name: "Dlib", "ArcFace", "Facenet512", "VGG-Face".
        weights: the checked file, under deepface's own file name.
        home: a folder that becomes ``DEEPFACE_HOME`` while the model is built.

    Raises:
        WeightsError: deepface is missing, runs on another engine, or cannot read the file.
    """
    variables = {"DEEPFACE_HOME": str(home), "DEEPFACE_BACKEND_ENGINE": ENGINE}
    with _LOCK, environment(**variables), no_network("deepface"):
        link_checked(weights, home / ".deepface" / "weights" / weights.name)
        try:
            # Not `from deepface import DeepFace`: that silences every warning of the process.
            from deepface.commons import backend_utils
            from deepface.modules.modeling import get_model_class
        except ImportError as error:
            raise WeightsError(f"deepface cannot be imported ({error}); {INSTALL}") from None
        engine = backend_utils.get_backend_engine()
        if engine != ENGINE:
            raise WeightsError(
                f"deepface already runs on its {engine} engine in this process; "
                "use fesbench in a fresh one, or set DEEPFACE_BACKEND_ENGINE=pytorch"
            )
        try:
            return get_model_class("facial_recognition", model)()
        except (ValueError, RuntimeError, ImportError) as error:
            first = " ".join(str(error).split())[:300]
            raise WeightsError(
                f"deepface cannot load {weights.name} for its model {model} ({first})"
            ) from error
