"""Background-RMSE: is what is not the face left alone?

    Background-RMSE = sqrt( mean over pixels outside of both hulls and over colors of (G - S)^2 )

per image, in gray levels of 255, between output G and source S. Both hulls (`face_hull`) are those of the
landmarks that dlib detects on S and on G, so that neither a face that was moved nor the place that it left
counts as background; hair, ears, neck and clothes do. Where no face is found in the output, the source's
hull alone is left out, and the request is counted as not valid. Where none is found in the source there is
no value.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from fesbench.data.views import in_blocks
from fesbench.errors import DataError
from fesbench.metrics.base import Found, Metric
from fesbench.metrics.common import same_extractor
from fesbench.metrics.control.face_hull import face_hull
from fesbench.metrics.inputs import Floats, MetricInputs, Rows


class BackgroundError(Metric):
    """Root mean square change outside of the faces of source and output."""

    name = "Background-RMSE"
    title = "change outside of the face, root mean square in gray levels"
    plain = "change against the source outside of the face hulls of both, in gray levels of 255; 0: untouched"
    direction = "lower"
    high = 255.0
    unit = "gray levels"
    extractor = "dlib-landmarks"
    needs = frozenset({"source"})
    tasks = frozenset({"expression", "intensity", "compound", "action-unit", "transfer"})
    source = "fesbench; RMSE of the background as editing methods report it, on landmark hulls"
    portable = True
    meanings = {"ch": "color channels", "region": "pixels that are compared"}

    def settings(self) -> dict[str, str]:
        """Region, channels, pairs, and what a missing face of the output means."""
        return {
            "region": "outside-hulls-with-forehead",
            "ch": "rgb",
            "pair": "source-output",
            "missing": "source-hull",
        }

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Of requests whose source has a face, and whose hulls leave something of the image."""
        made, given = (inputs.feature_set(self.extractor, which) for which in ("generated", "source"))
        same_extractor(made, given)
        values = inputs.memo((self.name, self.extractor), lambda: self._errors(inputs))[rows]
        kept, reason = np.isfinite(values), ""
        if not kept.any():
            seen = given.valid[rows].any()
            reason = "the faces leave no background" if seen else "no face is found in the sources"
        return Found(
            int((kept & made.valid[rows]).sum()),
            values,
            extractor=made.signature,
            resize="none",
            reference="source",
            reason=reason,
        )

    def _errors(self, inputs: MetricInputs) -> Floats:
        """(N,) gray levels, NaN without a background."""
        if inputs.source.shape != inputs.generated.shape or inputs.source.dtype != np.uint8:
            raise DataError(
                f"{self.name} needs uint8 images of one shape; got {inputs.source.dtype}"
                f"{inputs.source.shape} and {inputs.generated.dtype}{inputs.generated.shape}"
            )
        made, given = (inputs.feature_set(self.extractor, which) for which in ("generated", "source"))
        if made.values.shape[1] != 136:
            raise DataError(f"{self.extractor} gives {made.values.shape[1]} values, not 68 points (x, y)")
        errors = np.full(len(inputs), np.nan)
        height, width = inputs.source.shape[1:3]
        for rows in in_blocks(np.flatnonzero(given.valid)):
            for row, output, source in zip(rows, inputs.generated[rows], inputs.source[rows], strict=True):
                outside = ~_hull(given.values[row].tobytes(), height, width)
                if made.valid[row]:
                    outside &= ~_hull(made.values[row].tobytes(), height, width)
                if outside.any():
                    change = output[outside].astype(np.float64) - source[outside]
                    errors[row] = np.sqrt(np.square(change).mean())
        return errors


@lru_cache(maxsize=1024)
def _hull(values: bytes, height: int, width: int) -> npt.NDArray[np.bool_]:
    """(H, W) the hull of one image's landmarks, float32; sources come again and again."""
    return face_hull(np.frombuffer(values, dtype=np.float32).reshape(68, 2), height, width)
