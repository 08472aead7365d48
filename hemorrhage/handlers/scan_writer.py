"""The files of each scan, written whole or not at all."""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Callable, Mapping, Sequence
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
from hemorrhage.dicom.carry_back import labels_on_slices
from hemorrhage.dicom.derived import save_derived
from hemorrhage.dicom.segmentation import Algorithm
from hemorrhage.errors import EXIT_INTERNAL, ScanError, ScanWarning, warnings_of
from hemorrhage.files import folder_replaced, sha256_of
from hemorrhage.geometry import voxel_sizes_mm, voxel_volume_ml
from hemorrhage.handlers.outputs import batch_of, outputs_of
from hemorrhage.marks import seed_of
from hemorrhage.reader import slice_map_of
from hemorrhage.report.findings import measure
from hemorrhage.report.montage import save_montage
from hemorrhage.report.scan_result import ScanResult
from hemorrhage.report.subtype_volumes import native_volumes_ml, subtype_volumes_ml, volume_doubts
from hemorrhage.runs import FINDINGS
from hemorrhage.subtypes import ANY, SUBTYPES, Subtype
from hemorrhage.transforms.template import recorded_alignment
from hemorrhage.transforms.timed import SECONDS_KEY

__all__ = ["ScanWriter"]

logger = logging.getLogger(__name__)
NOTICE = "Research use only; not for diagnosis."


class ScanWriter:
    """Handler of :class:`hemorrhage.engines.ScanEvaluator` that writes a scan's folder when its mask is ready.

    Expects in the evaluator's batch and output, on the scan's own grid: "scan" (HU), "brain", "probability" (of any
    hemorrhage, before any threshold) and "pred" (the mask), each (1, I, J, K); and "image" with the meta data of
    reading and registration.

    Args:
        output_dir: folder that gets one folder a scan: ``hemorrhage.nii.gz`` (uint8), ``brain.nii.gz`` (uint8),
            ``probability.nii.gz``, ``findings.json`` and ``overlay.png``.
        weights: the file that the network was loaded from; its hash becomes part of each result.
        threshold: the probability that was the threshold, for the record.
        settings: what else decides a result, for the record; :func:`hemorrhage.runs.pending_scans` compares it.
        subtypes: whether "pred" is a label map with the values of :mod:`hemorrhage.subtypes`; it is then written as
            such, and the findings give mL by subtype. Otherwise it is a mask of any hemorrhage.
        measures: further measures; what each returns becomes part of the findings.
        dicom_out: whether a scan that came as DICOM also gets ``hemorrhage.seg.dcm`` and ``measurements.sr.dcm``.
        dicom_patient: whether these two name the patient and the study as their source does.
    """

    def __init__(
        self,
        output_dir: str,
        weights: str,
        threshold: float,
        subtypes: bool = False,
        measures: Sequence[Callable[[ScanResult], Mapping[str, object]]] = (),
        dicom_out: bool = False,
        dicom_patient: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.output_dir = Path(output_dir).absolute()
        self.weights = Path(weights)
        self.threshold = float(threshold)
        self.subtypes = subtypes
        self.measures = tuple(measures)
        self.dicom_out = dicom_out
        self.dicom_patient = dicom_patient
        self.settings = dict(settings or {})
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
        result = self._result(data)
        labels = result.mask.astype(np.uint8) if result.subtypes is None else result.subtypes
        native, native_ml = None, None
        if result.slice_map is not None:
            native = labels_on_slices(result.slice_map, labels, result.probability, self.threshold)
            native_ml = native_volumes_ml(result.slice_map, native, self._segments())
        found = self._findings(result, native_ml)
        doubts = warnings_of(data["image"].meta)
        if native_ml is not None:
            doubts += volume_doubts(found["volume_ml"], sum(native_ml.values()))
        with folder_replaced(self.output_dir / result.name) as folder:
            _save_nifti(folder / "hemorrhage.nii.gz", labels, result.affine)
            _save_nifti(folder / "brain.nii.gz", result.brain.astype(np.uint8), result.affine)
            _save_nifti(folder / "probability.nii.gz", result.probability, result.affine)
            bleeds = f"{found['volume_ml']:.1f} mL, {found['number_of_components']} bleed(s), side: {found['side']}"
            title = f"{result.name}: {bleeds}"
            save_montage(
                folder / "overlay.png",
                result.hu,
                labels,
                result.brain,
                result.affine,
                title,
                sides_known=result.sides_known,
                segments=self._segments(),
            )
            if self.dicom_out and native is not None and native_ml is not None:
                doubts += self._save_dicom(folder, result, native, native_ml, doubts)
            record = self._record(result, found, doubts)
            record["seconds"]["write"] = round(time.perf_counter() - start, 3)
            text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
            (folder / FINDINGS).write_text(text + "\n", encoding="utf-8")
        for warning in doubts:
            logger.warning("%s: %s", result.name, warning)

    def _result(self, data: Mapping[str, Any]) -> ScanResult:
        name, meta = str(data["name"]), data["image"].meta
        shape = tuple(data["scan"].shape)
        for key in ("brain", "probability", "pred"):
            if tuple(data[key].shape) != shape:
                raise ScanError(
                    "E_GRID",
                    name,
                    f"{key} came back with shape {tuple(data[key].shape)}, the scan has {shape}",
                    "Postprocessing must join channels and undo every spatial step of preprocessing: check the config.",
                    EXIT_INTERNAL,
                )
        hu, brain, probability, pred = (data[k][0].cpu().numpy() for k in ("scan", "brain", "probability", "pred"))
        labels = np.rint(pred).astype(np.uint8) if self.subtypes else None
        if labels is not None and labels.max(initial=0) > len(SUBTYPES):
            raise ScanError(
                "E_LABEL",
                name,
                f"pred holds the value {labels.max()}, and there are {len(SUBTYPES)} subtypes",
                "Postprocessing must give a label map of hemorrhage.subtypes: check the config.",
                EXIT_INTERNAL,
            )
        alignment = recorded_alignment(meta)
        return ScanResult(
            name=name,
            hu=hu.astype(np.float32, copy=False),
            brain=brain > 0.5,
            probability=probability.astype(np.float32, copy=False),
            mask=pred > 0.5 if labels is None else labels > 0,
            subtypes=labels,
            affine=np.asarray(data["scan"].affine, dtype=np.float64),
            to_template=None if alignment is None else alignment.rigid,
            sides_known=not any(
                w.code == "W_NO_ORIENTATION" and not w.numbers.get("assumed_ras") for w in warnings_of(meta)
            ),
            slice_map=slice_map_of(meta),
            data=data,
        )

    def _segments(self) -> tuple[Subtype, ...]:
        return SUBTYPES if self.subtypes else (ANY,)

    def _save_dicom(
        self,
        folder: Path,
        result: ScanResult,
        native: np.ndarray,
        native_ml: Mapping[str, float],
        doubts: Sequence[ScanWarning],
    ) -> list[ScanWarning]:
        assert result.slice_map is not None  # native slices come of it
        source = Path(str(result.data["image"].meta["filename_or_obj"]))
        codes = tuple(dict.fromkeys(w.code for w in doubts))
        algorithm = Algorithm(
            self._weights_sha256,
            self.threshold,
            codes,
            seed_of({"threshold": self.threshold, "settings": self.settings}),
        )
        segments, named = self._segments(), self.dicom_patient
        return save_derived(folder, source, result.slice_map, native, native_ml, segments, algorithm, named)

    def _findings(self, result: ScanResult, native_ml: Mapping[str, float] | None) -> dict[str, Any]:
        found = measure(
            result.hu, result.probability, result.mask, result.affine, result.to_template, result.sides_known
        )
        record: dict[str, Any] = found.as_record()
        record["brain_ml"] = float(result.brain.sum() * voxel_volume_ml(result.affine))
        if result.subtypes is not None:
            record["volume_ml_by_subtype"] = subtype_volumes_ml(result.subtypes, result.affine)
        if native_ml is not None:
            record["volume_ml_native"] = sum(native_ml.values())
            if self.subtypes:
                record["volume_ml_native_by_subtype"] = native_ml
        for further in self.measures:
            new = further(result)
            if twice := sorted(set(new) & set(record)):
                raise ValueError(f"{', '.join(twice)} is measured twice; name each measure once in the config")
            record.update(new)
        return record

    def _record(self, result: ScanResult, found: Mapping[str, Any], doubts: Sequence[ScanWarning]) -> dict[str, Any]:
        meta = result.data["image"].meta
        source, alignment = Path(str(meta["filename_or_obj"])), recorded_alignment(meta)
        return {
            "notice": NOTICE,
            "name": result.name,
            "input": {"file": source.name, "sha256": sha256_of(source)},
            "findings": found,
            "threshold": self.threshold,
            "settings": self.settings,
            "warnings": [asdict(w) for w in doubts],
            "alignment": alignment and {"to_template": alignment.rigid.tolist(), "overlap": alignment.overlap},
            "grid": {
                "shape": list(result.hu.shape),
                "voxel_mm": voxel_sizes_mm(result.affine).round(5).tolist(),
                "affine": result.affine.tolist(),
            },
            "weights": {"file": self.weights.name, "sha256": self._weights_sha256},
            "versions": {
                "hemorrhage": hemorrhage.__version__,
                "monai": monai.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
            "seconds": {k: round(float(v), 3) for k, v in result.data.get(SECONDS_KEY, {}).items()},
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
