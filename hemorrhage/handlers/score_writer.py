"""The scores of each scan to a folder, as soon as there are any."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents

from hemorrhage.engines import ScanEvents
from hemorrhage.errors import ScanError
from hemorrhage.evaluation.cases import SCORES, begin_run, named_cases
from hemorrhage.evaluation.scores import score_scan
from hemorrhage.files import folder_replaced, sha256_of
from hemorrhage.handlers.outputs import batch_of, outputs_of

__all__ = ["ScoreWriter"]


class ScoreWriter:
    """Handler that scores each scan of an evaluation and keeps nothing of it in memory.

    Expects in the evaluator's batch and output, on the scan's own grid and (1, I, J, K) each: "label" (nonzero inside),
    "brain", "probability" of any hemorrhage, and "pred" (nonzero inside); and "name".

    Args:
        output_dir: gets ``scans/NAME/`` with ``scores.json`` and ``hemorrhage.nii.gz`` (the mask that was scored).
        cases: all cases of the evaluation; "subtypes" of a case is a label map beside its mask, "patient" its patient.
        weights: the weights that are scored; another file's scores are never mixed with theirs.
        threshold: probability from which a voxel counts.
        smallest_bleed_mm3: bleeds below this were removed.
        name: of the system, for tables and figures.
        settings: what else decides the scores.
    """

    def __init__(
        self,
        output_dir: str,
        cases: Sequence[Mapping[str, Any]],
        weights: str,
        threshold: float,
        smallest_bleed_mm3: float,
        name: str,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.output_dir = Path(output_dir).expanduser().absolute()
        self.cases = {case["name"]: case for case in named_cases(cases)}
        self.weights = Path(weights).expanduser()
        self.settings = {
            **(settings or {}), "name": name, "threshold": threshold, "smallest_bleed_mm3": smallest_bleed_mm3
        }  # fmt: skip

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        if engine.has_registered_events(ScanEvents.NOTHING_TO_DO):
            engine.add_event_handler(ScanEvents.NOTHING_TO_DO, self._start)
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self)

    def _start(self, engine: Engine) -> None:
        if not self.weights.is_file():
            raise ScanError(
                "E_WEIGHTS",
                self.weights,
                "there are no weights here",
                "Name those that are scored, or were, with --checkpoint FILE.",
            )
        begin_run(self.output_dir, {**self.settings, "weights_sha256": sha256_of(self.weights)})

    def __call__(self, engine: Engine) -> None:
        """Score every scan of the engine's current, decollated batch."""
        for batch, output in zip(batch_of(engine), outputs_of(engine), strict=True):
            self._write({**batch, **output})

    def _write(self, data: Mapping[str, Any]) -> None:
        case = self.cases[str(data["name"])]
        affine = np.asarray(data["label"].affine, dtype=np.float64)
        label, brain, probability, mask = (data[k][0].cpu().numpy() for k in ("label", "brain", "probability", "pred"))
        subtypes = _subtypes(case["subtypes"], label.shape, affine) if case.get("subtypes") else None
        row, slices = score_scan(label, mask, probability, affine, brain, subtypes)
        row = {"name": case["name"], "patient": case.get("patient") or case["name"], **row}
        with folder_replaced(self.output_dir / "scans" / case["name"]) as folder:
            nib.save(nib.Nifti1Image((mask > 0).astype(np.uint8), affine), folder / "hemorrhage.nii.gz")
            record = {"row": row, "slices": slices, "version": case.get("version")}
            (folder / SCORES).write_text(json.dumps(record) + "\n", encoding="utf-8")


def _subtypes(path: str, shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    image: Any = nib.load(path)
    if image.shape != shape or not np.allclose(image.affine, affine, atol=0.01):
        raise ScanError(
            "E_GRID",
            Path(path).name,
            f"its grid {image.shape} is not that of the mask {shape}, or lies elsewhere",
            "Give label maps of subtypes on the grid of their masks.",
        )
    return np.asarray(image.dataobj).astype(np.uint8)
