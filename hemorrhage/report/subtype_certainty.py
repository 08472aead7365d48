"""How sure the names of subtypes are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hemorrhage.report.scan_result import ScanResult
from hemorrhage.subtypes import SUBTYPES

__all__ = ["SubtypeCertainty", "name_certainty"]


def name_certainty(classes: np.ndarray, subtypes: np.ndarray) -> dict[str, float | None]:
    """Mean probability, given hemorrhage, of the name that voxels bear.

    Args:
        classes: (N + 1, I, J, K) probabilities of exclusive classes, background first.
        subtypes: (I, J, K) values of :mod:`hemorrhage.subtypes`, 0 outside.

    Returns:
        by abbreviation, 1 / N (a guess) to 1; None for a subtype that is not there.
    """
    where = np.asarray(subtypes) > 0
    named = np.asarray(subtypes)[where].astype(int)
    given = np.stack([np.asarray(c)[where] for c in classes[1:]]).astype(np.float64)
    own = given[named - 1, np.arange(len(named))] / np.maximum(given.sum(0), 1e-12)
    return {s.short: float(own[named == s.index].mean()) if (named == s.index).any() else None for s in SUBTYPES}


class SubtypeCertainty:
    """Measure of :class:`hemorrhage.handlers.ScanWriter`: :func:`name_certainty` under "certainty_by_subtype"."""

    def __call__(self, result: ScanResult) -> Mapping[str, object]:
        """The certainty of one scan's names; nothing where the network names no subtypes."""
        classes = result.data.get("class_probability")
        if classes is None or result.subtypes is None:
            return {}
        return {"certainty_by_subtype": name_certainty(np.asarray(classes), result.subtypes)}
