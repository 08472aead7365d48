"""The scan score as a probability, where somebody has measured what it means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from hemorrhage.errors import ScanError
from hemorrhage.files import sha256_of
from hemorrhage.geometry import voxel_sizes_mm
from hemorrhage.metrics.calibration import LogisticCurve
from hemorrhage.report.findings import peak_score
from hemorrhage.report.scan_result import ScanResult
from hemorrhage.weights import CALIBRATION

__all__ = ["CalibratedScore", "read_calibration"]

# Settings that say what is read or what is cut out of the answer, and do not change the answer.
NOT_OF_THE_ANSWER = frozenset(
    {"threshold", "seed_threshold", "smallest_bleed_mm3", "hu_offset", "assume_ras", "own_brain_masks", "series"}
)


def read_calibration(weights: Path) -> dict[str, Any] | None:
    """The calibration beside weights, as ``scripts/calibrate.py`` writes it.

    Args:
        weights: file of weights.

    Returns:
        its record, or None where there is none.

    Raises:
        ScanError: E_WEIGHTS if it is of other weights, or no calibration: a wrong probability is worse than none.
    """
    path = weights.parent / CALIBRATION
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        numbers = (float(record["slope"]), float(record["intercept"]), str(record["weights_sha256"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ScanError("E_WEIGHTS", path, f"it is no calibration ({error})", "Delete it, or make it anew.") from error
    if numbers[2] != sha256_of(weights):
        raise ScanError(
            "E_WEIGHTS", path, f"it was made for other weights than {weights.name}",
            "Delete it, or make it anew with scripts/calibrate.py.",
        )  # fmt: skip
    return record


class CalibratedScore:
    """Measure of :class:`hemorrhage.handlers.ScanWriter` that turns the scan score into a probability of any blood.

    Adds "probability_of_hemorrhage" and "calibrated_on", both None where the weights have no calibration beside them.
    The probability holds for scans like those of the calibration and their share of bleeds, read as they were: where
    another setting decides what the network answers, both are None and "calibration_refused" says which.

    Args:
        weights: file that the network was loaded from.
        settings: of this run, as they are kept in its findings; None to take any calibration of the weights.
    """

    def __init__(self, weights: str, settings: Mapping[str, Any] | None = None) -> None:
        self.weights = Path(weights).expanduser()
        self.settings = settings

    @cached_property
    def _record(self) -> dict[str, Any] | None:
        return read_calibration(self.weights)

    @cached_property
    def _other_reading(self) -> str:
        """How the calibration's scans were read otherwise than this run's; empty where they were not."""
        then = (self._record or {}).get("settings")
        if then is None or self.settings is None:
            return ""
        now = json.loads(json.dumps(dict(self.settings)))
        names = sorted((then.keys() | now.keys()) - NOT_OF_THE_ANSWER)
        return ", ".join(
            f"{name} {now.get(name)}, calibrated with {then.get(name)}"
            for name in names
            if then.get(name) != now.get(name)
        )

    def __call__(self, result: ScanResult) -> Mapping[str, object]:
        """What to add to the findings."""
        if self._record is None:
            return {"probability_of_hemorrhage": None, "calibrated_on": None}
        if self._other_reading:
            return {
                "probability_of_hemorrhage": None,
                "calibrated_on": None,
                "calibration_refused": self._other_reading,
            }
        curve = LogisticCurve(float(self._record["slope"]), float(self._record["intercept"]))
        score = peak_score(result.probability, voxel_sizes_mm(result.affine))
        return {
            "probability_of_hemorrhage": round(float(curve([score])[0]), 4),
            "calibrated_on": self._record.get("calibrated_on"),
        }
