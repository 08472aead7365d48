"""Growth at the limits of its flags."""

import copy

import pytest

from hemorrhage.errors import ScanError
from hemorrhage.report.growth import compare_findings, growth_of


@pytest.mark.parametrize(
    ("earlier", "later", "grown"),
    [(30.0, 35.9, False), (30.0, 36.0, True), (10.0, 13.2, False), (10.0, 13.3, True), (0.0, 3.0, False),
     (0.0, 7.0, True), (40.0, 20.0, False)],
)  # fmt: skip
def test_flag_at_a_third_or_six_ml(earlier, later, grown):
    assert growth_of(earlier, later)["grown_33_percent_or_6_ml"] is grown


def test_ml_and_percent():
    found = growth_of(20.0, 25.0)
    assert (found["change_ml"], found["change_percent"]) == (5.0, 25.0)
    assert found["ivh_new_or_grown_1_ml"] is None
    assert growth_of(0.0, 5.0)["change_percent"] is None


def test_blood_that_moves_into_the_ventricles_is_flagged_there():
    found = growth_of(30.0, 38.0, 0.0, 8.0)  # all of the growth is intraventricular
    assert found["grown_33_percent_or_6_ml"] is False
    assert found["ivh_new_or_grown_1_ml"] is True
    assert growth_of(30.0, 30.9, 1.0, 1.9)["ivh_new_or_grown_1_ml"] is False
    assert growth_of(30.0, 31.0, 1.0, 2.0)["ivh_new_or_grown_1_ml"] is True


EARLIER = {
    "name": "day0", "input": {"sha256": "a"}, "weights": {"sha256": "w"}, "threshold": 0.5,
    "warnings": [{"code": "W_TILT"}],
    "findings": {"volume_ml": 20.0, "volume_ml_by_subtype": {"IPH": 20.0, "IVH": 0.0}},
}  # fmt: skip


def test_results_side_by_side():
    later = copy.deepcopy(EARLIER) | {"name": "day1", "input": {"sha256": "b"}, "warnings": []}
    later["findings"] = {"volume_ml": 30.0, "volume_ml_by_subtype": {"IPH": 28.0, "IVH": 2.0}}
    found = compare_findings(EARLIER, later)
    assert found["grown_33_percent_or_6_ml"] is True
    assert found["ivh_new_or_grown_1_ml"] is True
    assert found["by_subtype"]["IPH"] == {"earlier_ml": 20.0, "later_ml": 28.0}
    assert found["warnings"] == ["W_TILT"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"weights": {"sha256": "x"}}, "E_OTHER_RUN"),
        ({"threshold": 0.4}, "E_OTHER_RUN"),
        ({"name": "b"}, "E_OTHER_INPUT"),
    ],
)
def test_what_is_no_comparison_is_refused(changes, code):
    later = EARLIER | {"input": {"sha256": "b"} if "name" not in changes else {"sha256": "a"}} | changes
    with pytest.raises(ScanError) as error:
        compare_findings(EARLIER, later)
    assert error.value.code == code
