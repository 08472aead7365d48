import numpy as np
import pytest

from hemorrhage.report.scan_result import ScanResult
from hemorrhage.report.subtype_certainty import SubtypeCertainty, name_certainty

CLASSES = np.array([[0.5, 0.9, 0.0], [0.4, 0.02, 0.0], [0.1, 0.08, 1.0]]).reshape(3, 3, 1, 1)


def test_certainty_is_that_of_the_name_and_not_of_blood():
    named = np.array([1, 2, 2], np.uint8).reshape(3, 1, 1)
    found = name_certainty(np.pad(CLASSES, ((0, 3), *[(0, 0)] * 3)), named)
    assert found == pytest.approx({"EDH": 0.8, "SDH": 0.9, "SAH": None, "IPH": None, "IVH": None})


def test_a_name_where_nothing_was_answered_is_no_certainty():
    found = name_certainty(np.zeros((6, 1, 1, 1)), np.full((1, 1, 1), 4, np.uint8))
    assert found["IPH"] == 0.0


@pytest.mark.parametrize("subtypes", [None, np.ones((3, 1, 1), np.uint8)])
def test_without_names_or_classes_nothing_is_said(subtypes):
    empty = np.zeros((3, 1, 1), np.float32)
    data = {"class_probability": CLASSES} if subtypes is None else {}
    result = ScanResult("a", empty, empty > 0, empty, empty > 0, subtypes, np.eye(4), None, True, None, data)
    assert SubtypeCertainty()(result) == {}
