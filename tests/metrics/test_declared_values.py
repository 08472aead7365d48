"""What docs/metrics.md declares for empty masks is what the functions give."""

import re

import numpy as np
import pytest
from conftest import ROOT

from hemorrhage.metrics.lesions import lesion_counts
from hemorrhage.metrics.overlap import dice, hausdorff95_mm, jaccard, surface_dice

SPACING = (0.5, 0.5, 5.0)
BLEED = np.zeros((12, 12, 6), dtype=np.uint8)
BLEED[2:5, 2:5, 1:3] = BLEED[8:10, 8:10, 3:5] = 1  # two bleeds
NOTHING = np.zeros_like(BLEED)
PAIRS = ((NOTHING, BLEED), (BLEED, NOTHING), (NOTHING, NOTHING))  # the columns of the table
NUMBERS = {"infinite": np.inf, "none (NaN)": np.nan, "all": 2.0}


def declared():
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    table = text.split("## Values for empty masks")[1].split("\n##")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")
    ]
    return {row[0]: row[1:] for row in rows[2:]}


def values(cell):
    return [NUMBERS[part.strip()] if part.strip() in NUMBERS else float(part) for part in cell.split(",")]


@pytest.mark.parametrize(
    ("row", "functions"),
    [
        ("Dice, Jaccard, surface Dice", [dice, jaccard, lambda a, b: surface_dice(a, b, SPACING)]),
        ("HD95 (mm)", [lambda a, b: hausdorff95_mm(a, b, SPACING)]),
        ("lesion sensitivity", [lambda a, b: lesion_counts(a, b).sensitivity]),
    ],
)
def test_overlap_distance_and_sensitivity(row, functions):
    for (reference, prediction), cell in zip(PAIRS, declared()[row], strict=True):
        (expected,) = values(cell)
        for function in functions:
            assert function(reference, prediction) == pytest.approx(expected, nan_ok=True)


def test_lesions():
    for (reference, prediction), cell in zip(PAIRS, declared()["lesions, found, false positives"], strict=True):
        found = lesion_counts(reference, prediction)
        assert [found.lesions, found.found, found.false_positives] == values(cell)


def test_the_table_has_no_row_that_nothing_checks():
    rest = set(declared()) - {
        "Dice, Jaccard, surface Dice", "HD95 (mm)", "lesion sensitivity", "lesions, found, false positives",
    }  # fmt: skip
    assert all(re.match(r"volumes|scan and slice score", row) for row in rest)  # no values of their own
