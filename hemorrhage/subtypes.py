"""The one table of hemorrhage subtypes: label value, name, color and coded concept. Everything else reads it here."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ANY", "BY_NAME", "PATCHFCN_2019_GROUPS", "SUBTYPES", "Subtype"]


@dataclass(frozen=True)
class Subtype:
    """One subtype of intracranial hemorrhage.

    Attributes:
        index: its value in label maps and its output channel; 0 is background.
        name: lower-case full name, used for MONAI Label and DICOM SEG.
        short: the abbreviation that papers use.
        rgb: display color, 0-255.
        snomed: SNOMED CT code of the disorder, as used in coded DICOM content.
        meaning: the code's meaning.
    """

    index: int
    name: str
    short: str
    rgb: tuple[int, int, int]
    snomed: str
    meaning: str


SUBTYPES = (
    Subtype(1, "epidural hemorrhage", "EDH", (230, 159, 0), "82999001", "Epidural intracranial hemorrhage"),
    Subtype(2, "subdural hemorrhage", "SDH", (86, 180, 233), "35486000", "Subdural hemorrhage"),
    Subtype(3, "subarachnoid hemorrhage", "SAH", (0, 158, 115), "21454007", "Subarachnoid hemorrhage"),
    Subtype(4, "intraparenchymal hemorrhage", "IPH", (213, 94, 0), "274100004", "Cerebral hemorrhage"),
    Subtype(5, "intraventricular hemorrhage", "IVH", (204, 121, 167), "23276006", "Cerebral ventricular hemorrhage"),
)

ANY = Subtype(1, "intracranial hemorrhage", "ICH", (220, 20, 60), "1386000", "Intracranial hemorrhage")

BY_NAME = {s.short: s for s in SUBTYPES}

# PatchFCN 2019, "Multiclass": the four classes of that paper, each as the subtypes here that it joins.
PATCHFCN_2019_GROUPS = {
    "SDH": (2,),
    "EDH": (1,),
    "contusion/ICH/axonal injury": (4,),
    "SAH+IVH": (3, 5),
}
