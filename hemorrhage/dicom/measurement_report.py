"""Volumes as a DICOM structured report (PS3.16, TID 1500)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import highdicom as hd
from highdicom import sr
from highdicom.seg import Segmentation
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

import hemorrhage
from hemorrhage.dicom.references import References
from hemorrhage.dicom.segmentation import NOTICE, PRODUCT, Algorithm, concept_of
from hemorrhage.subtypes import ANY, Subtype

__all__ = ["make_measurement_report"]

_MILLILITER = Code("mL", "UCUM", "milliliter")
_SERIES_NUMBER = 9002


def make_measurement_report(
    volumes_ml: Mapping[str, float],
    segmentation: Segmentation,
    references: References,
    segments: Sequence[Subtype],
    algorithm: Algorithm,
) -> sr.ComprehensiveSR:
    """The volume of each segment that is there, and of all together where there may be several.

    A finding of 0 mL would name a disorder that was not found; only "intracranial hemorrhage" may be 0.

    Args:
        volumes_ml: mL by :attr:`Subtype.short`, on the native slices.
        segmentation: in which the segments lie.
        references: the slices, as for the segmentation.
        segments: those of the segmentation.
        algorithm: what made them.
    """
    identification = sr.AlgorithmIdentification(
        name=PRODUCT,
        version=hemorrhage.__version__,
        parameters=[f"{name}: {value}" for name, value in algorithm.parameters().items()],
    )
    series = sr.SourceSeriesForSegmentation(references.images[0].SeriesInstanceUID)
    site = sr.FindingSite(anatomic_location=codes.SCT.IntracranialStructure)
    groups: list[sr.VolumetricROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations] = []
    for segment, description in zip(segments, segmentation.SegmentSequence, strict=True):
        if len(segments) > 1 and volumes_ml[segment.short] == 0.0:
            continue
        groups.append(
            sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(description.TrackingUID, description.TrackingID),
                referenced_segment=sr.ReferencedSegment(
                    sop_class_uid=segmentation.SOPClassUID,
                    sop_instance_uid=segmentation.SOPInstanceUID,
                    segment_number=segment.index,
                    source_series=series,
                ),
                finding_type=concept_of(segment),
                finding_category=codes.SCT.MorphologicallyAbnormalStructure,
                finding_sites=[site],
                algorithm_id=identification,
                measurements=[_volume(volumes_ml[segment.short])],
            )
        )
    if len(segments) > 1:
        groups.append(
            sr.MeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(hd.UID(), f"{ANY.short} total"),
                finding_type=concept_of(ANY),
                finding_category=codes.SCT.MorphologicallyAbnormalStructure,
                finding_sites=[site],
                algorithm_id=identification,
                measurements=[_volume(sum(volumes_ml[segment.short] for segment in segments))],
            )
        )
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=hd.UID(), name=PRODUCT, manufacturer_name=PRODUCT, model_name=hemorrhage.__version__
    )
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=sr.ObserverContext(
                observer_type=codes.DCM.Device, observer_identifying_attributes=device
            )
        ),
        procedure_reported=codes.cid100.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
    )
    return sr.ComprehensiveSR(
        evidence=[segmentation, *references.images],
        content=report[0],
        series_instance_uid=hd.UID(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        software_versions=hemorrhage.__version__,
        series_description=f"Hemorrhage volumes. {NOTICE}",
        is_complete=True,
        is_final=False,
    )


def _volume(milliliters: float) -> sr.Measurement:
    return sr.Measurement(name=codes.SCT.Volume, value=round(milliliters, 3), unit=_MILLILITER)
