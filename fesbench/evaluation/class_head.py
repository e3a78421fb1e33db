"""A method's own discriminator as an extractor: what auxiliary-classifier models say of themselves, of
classes and, where it gives a probability, of whether an image is real. It belongs to one trained method,
never to a protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fesbench.errors import MethodError
from fesbench.extractors.base import Extractor, check_inputs, fixed_chunks
from fesbench.extractors.registry import REAL

if TYPE_CHECKING:
    from torch import Tensor

    from fesbench.methods.base import Method

NAME = "discriminator"
NO_CLASS_HEAD = "not applicable: no single trained method with a class head made these images"
_BATCH = 16


class OwnDiscriminator(Extractor):
    """Class probabilities of a trained method's discriminator, and behind them, where it gives one, the
    probability of being real (`REAL`); every image is valid.
    """

    name = NAME
    needs_landmarks = False

    def __init__(self, method: Method, title: str) -> None:
        """Wrap a trained method.

        Args:
            method: with :meth:`fesbench.methods.base.Method.class_logits`.
            title: method, preset and budget, for the signature.
        """
        self._method, self._title = method, title
        self._digest = ""
        self._labels = tuple(method.problem.labels)
        self.classes = (*self._labels, REAL) if _calls_real(method) else self._labels

    @property
    def signature(self) -> str:
        """Whose discriminator it is, and its classes; not the weights."""
        return f"{self.name}:{self._title}:{','.join(self.classes)}"

    @property
    def cache_key(self) -> str:
        """Every training has its own discriminator."""
        from fesbench.judges.stored import weights_digest

        # Asked for when the weights have been loaded, which is after this was made.
        self._digest = self._digest or weights_digest(self._method)
        return f"{self.signature}:{self._digest[:16]}"

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities float32 (N, len(classes)); every image is valid.

        Raises:
            MethodError: the method gives logits of another shape, or some that are not finite.
        """
        import torch

        from fesbench.methods.training_set import image_tensor

        check_inputs(self.name, images, None, needs_landmarks=False)
        values = np.zeros((len(images), len(self.classes)), dtype=np.float32)
        with torch.inference_mode():
            for rows, chunk in fixed_chunks(images, _BATCH):
                tensor = image_tensor(chunk).to(self._method.device)
                wanted = (len(chunk), len(self._labels))
                found = torch.softmax(self._checked("class_logits", self._method.classify(tensor), wanted), 1)
                if REAL in self.classes:
                    real = self._checked("realism_logits", self._method.call_real(tensor), (len(chunk),))
                    found = torch.cat([found, torch.sigmoid(real)[:, None]], dim=1)
                values[rows] = found.cpu().numpy()[: rows.stop - rows.start]
        return values, np.ones(len(images), dtype=bool)

    def _checked(self, name: str, logits: Tensor | None, wanted: tuple[int, ...]) -> Tensor:
        shape = None if logits is None else tuple(logits.shape)
        if logits is None or shape != wanted:
            raise MethodError(f"method '{self._method.card.id}': {name} gave {shape}, not {wanted}")
        if not bool(logits.isfinite().all()):
            raise MethodError(f"method '{self._method.card.id}': {name} are not finite")
        return logits.float()


def own_discriminator(method: Method, title: str) -> OwnDiscriminator | None:
    """The extractor of a trained method, or None where its class has no class head.

    Imported weights that are only a part of the method's bring none either: the head was never trained.
    """
    from fesbench.methods.base import Method

    if type(method).class_logits is Method.class_logits or method.absent:
        return None
    return OwnDiscriminator(method, title)


def _calls_real(method: Method) -> bool:
    from fesbench.methods.base import Method

    return type(method).realism_logits is not Method.realism_logits
