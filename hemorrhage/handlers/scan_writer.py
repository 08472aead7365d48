"""The files of each scan, written whole or not at all."""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import monai
import nibabel as nib
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents

import hemorrhage
from hemorrhage.errors import EXIT_INTERNAL, ScanError, warnings_of
from hemorrhage.files import folder_replaced, sha256_of
from hemorrhage.geometry import voxel_sizes_mm, voxel_volume_ml
from hemorrhage.handlers.outputs import batch_of, outputs_of
from hemorrhage.report.findings import Measurements, measure
from hemorrhage.report.montage import save_montage
from hemorrhage.runs import FINDINGS
from hemorrhage.transforms.template import recorded_alignment
from hemorrhage.transforms.timed import SECONDS_KEY

__all__ = ["ScanWriter"]

logger = logging.getLogger(__name__)
NOTICE = "Research use only; not for diagnosis."


class ScanWriter:
    """Handler of :class:`hemorrhage.engines.ScanEvaluator` that writes a scan's folder when its mask is ready.

    Expects in the evaluator's batch and output, on the scan's own grid: "scan" (HU), "brain", "probability" and
    "pred" (the mask), each (1, I, J, K); and "image" with the meta data of reading and registration.

    Args:
        output_dir: folder that gets one folder a scan: ``hemorrhage.nii.gz`` (uint8), ``brain.nii.gz`` (uint8),
            ``probability.nii.gz``, ``findings.json`` and ``overlay.png``.
        weights: the file that the network was loaded from; its hash becomes part of each result.
        threshold: the probability that was the threshold, for the record.
    """

    def __init__(self, output_dir: str, weights: str, threshold: float) -> None:
        self.output_dir = Path(output_dir).absolute()
        self.weights = Path(weights)
        self.threshold = float(threshold)
        self._weights_sha256 = ""

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self)

    def _start(self, engine: Engine) -> None:
        self._weights_sha256 = sha256_of(self.weights)

    def __call__(self, engine: Engine) -> None:
        """Write every scan of the engine's current, decollated batch."""
        for batch, output in zip(batch_of(engine), outputs_of(engine), strict=True):
            self._write({**batch, **output})

    def _write(self, data: Mapping[str, Any]) -> None:
        start = time.perf_counter()
        name, affine = str(data["name"]), np.asarray(data["scan"].affine, dtype=np.float64)
        hu, brain, probability, mask = (data[k][0].cpu().numpy() for k in ("scan", "brain", "probability", "pred"))
        for key, array in (("brain", brain), ("probability", probability), ("pred", mask)):
            if array.shape != hu.shape:
                raise ScanError(
                    "E_GRID",
                    name,
                    f"{key} came back with shape {array.shape}, the scan has {hu.shape}",
                    "Postprocessing must undo every spatial step of preprocessing: check the config.",
                    EXIT_INTERNAL,
                )
        mask, brain = mask > 0.5, brain > 0.5
        alignment = recorded_alignment(data["image"].meta)
        sides_known = not any(
            w.code == "W_NO_ORIENTATION" and not w.numbers.get("assumed_ras") for w in warnings_of(data["image"].meta)
        )
        rigid = None if alignment is None else alignment.rigid
        found = measure(hu, probability, mask, affine, rigid, sides_known)
        with folder_replaced(self.output_dir / name) as folder:
            _save_nifti(folder / "hemorrhage.nii.gz", mask.astype(np.uint8), affine)
            _save_nifti(folder / "brain.nii.gz", brain.astype(np.uint8), affine)
            _save_nifti(folder / "probability.nii.gz", probability, affine)
            title = f"{name}: {found.volume_ml:.1f} mL, {len(found.components)} bleed(s), side: {found.side}"
            save_montage(folder / "overlay.png", hu, mask, brain, affine, title, sides_known=sides_known)
            record = self._record(name, data, found, brain.sum() * voxel_volume_ml(affine))
            record["seconds"]["write"] = round(time.perf_counter() - start, 3)
            text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
            (folder / FINDINGS).write_text(text + "\n", encoding="utf-8")
        for warning in warnings_of(data["image"].meta):
            logger.warning("%s: %s", name, warning)

    def _record(self, name: str, data: Mapping[str, Any], found: Measurements, brain_ml: float) -> dict[str, Any]:
        meta, affine = data["image"].meta, np.asarray(data["scan"].affine, dtype=np.float64)
        source, alignment = Path(str(meta["filename_or_obj"])), recorded_alignment(meta)
        return {
            "notice": NOTICE,
            "name": name,
            "input": {"file": source.name, "sha256": sha256_of(source)},
            "findings": {**found.as_record(), "brain_ml": float(brain_ml)},
            "threshold": self.threshold,
            "warnings": [asdict(w) for w in warnings_of(meta)],
            "alignment": alignment and {"to_template": alignment.rigid.tolist(), "overlap": alignment.overlap},
            "grid": {
                "shape": list(data["scan"].shape[1:]),
                "voxel_mm": voxel_sizes_mm(affine).round(5).tolist(),
                "affine": affine.tolist(),
            },
            "weights": {"file": self.weights.name, "sha256": self._weights_sha256},
            "versions": {
                "hemorrhage": hemorrhage.__version__,
                "monai": monai.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
            "seconds": {k: round(float(v), 3) for k, v in data.get(SECONDS_KEY, {}).items()},
        }


def _save_nifti(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    if array.dtype.kind == "f":
        # Steps of 1/10000: finer than any use of a probability, and a quarter of the size on disk.
        image = nib.Nifti1Image(np.rint(array * 10_000).astype(np.int16), affine, image.header)
        image.set_data_dtype(np.int16)
        image.header.set_slope_inter(1e-4, 0.0)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1, strip_shears=True)
    nib.save(image, path)
