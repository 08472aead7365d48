"""A label map on the slices of a scanner as a DICOM Segmentation object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

import hemorrhage
from hemorrhage.dicom.references import References
from hemorrhage.subtypes import Subtype

__all__ = ["NOTICE", "PRODUCT", "Algorithm", "concept_of", "make_segmentation"]

PRODUCT = "hemorrhage_ct_segmentation"
NOTICE = "Research use only; not for diagnosis"
# Numbers above those that scanners give to their own series.
_SERIES_NUMBER = 9001


@dataclass(frozen=True)
class Algorithm:
    """What made a mask, for the record.

    Attributes:
        weights_sha256: of the network's weights.
        threshold: probability from which a voxel was labeled.
        warnings: codes of what was corrected or is in doubt about the scan.
        seed_threshold: what the surest voxel of a labeled bleed reached; None where the threshold was enough.
    """

    weights_sha256: str
    threshold: float
    warnings: tuple[str, ...] = ()
    seed_threshold: float | None = None

    def parameters(self) -> dict[str, str]:
        """Names and values, as DICOM records the parameters of an algorithm."""
        found = {"threshold": f"{self.threshold:g}", "weights_sha256": self.weights_sha256}
        if self.seed_threshold is not None:
            found["seed_threshold"] = f"{self.seed_threshold:g}"
        return {**found, "warnings": " ".join(self.warnings) or "none", "notice": NOTICE}


def concept_of(subtype: Subtype) -> Code:
    """The coded concept of a subtype (SNOMED CT, as DICOM PS3.16 section 8.1 writes it)."""
    return Code(subtype.snomed, "SCT", subtype.meaning)


def make_segmentation(
    native: np.ndarray, references: References, segments: Sequence[Subtype], algorithm: Algorithm
) -> Segmentation:
    """Binary segments, each frame at the place of the slice that it belongs to (DICOM PS3.3 A.51).

    Frames without a pixel are left out; an empty map keeps the first slice's.

    Args:
        native: (columns, rows, N) uint8, the values those of ``segments``.
        references: the slices of ``native``.
        segments: whose ``index`` count from 1; all are described, whether they are there or not.
        algorithm: what made the map.
    """
    pixels = np.ascontiguousarray(native[:, :, references.order].transpose(2, 1, 0))
    positions = None  # those of the references
    if not pixels.any():
        pixels, positions = pixels[:1], [_position(references.images[0])]
    identification = hd.AlgorithmIdentificationSequence(
        name=PRODUCT,
        family=codes.DCM.ArtificialIntelligence,
        version=hemorrhage.__version__,
        source=PRODUCT,
        parameters=algorithm.parameters(),
    )
    descriptions = [
        SegmentDescription(
            segment_number=segment.index,
            segment_label=segment.name,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=concept_of(segment),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=identification,
            tracking_uid=hd.UID(),
            tracking_id=segment.short,
            anatomic_regions=[codes.SCT.IntracranialStructure],
            display_color=hd.color.CIELabColor.from_rgb(*segment.rgb),
        )
        for segment in segments
    ]
    return Segmentation(
        source_images=references.images,
        pixel_array=pixels,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=hd.UID(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        software_versions=hemorrhage.__version__,
        device_serial_number=algorithm.weights_sha256[:16] or "none",
        content_label="HEMORRHAGE",
        content_description=NOTICE,
        series_description=f"Hemorrhage. {NOTICE}",
        content_qualification=hd.ContentQualificationValues.RESEARCH,
        plane_positions=positions,
    )


def _position(reference: Dataset) -> hd.PlanePositionSequence:
    plane = reference
    if "PerFrameFunctionalGroupsSequence" in reference:
        plane = reference.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    return hd.PlanePositionSequence(hd.CoordinateSystemNames.PATIENT, plane.ImagePositionPatient)
