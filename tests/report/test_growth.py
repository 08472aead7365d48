"""Growth at the limits of its flags."""

import copy
import json
import re

import pytest

from hemorrhage.errors import ScanError
from hemorrhage.report.growth import compare_findings, growth_of, read_result
from hemorrhage.runs import FINDINGS


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
    assert growth_of(30.0, 30.1, 0.2, 1.2)["ivh_new_or_grown_1_ml"] is True  # 1 mL whatever the rounding
    assert found["ivh_new"] is True
    assert growth_of(30.0, 30.3, 0.0, 0.3)["ivh_new"] is True
    assert growth_of(30.0, 30.3, 0.0, 0.3)["ivh_new_or_grown_1_ml"] is False
    assert growth_of(30.0, 32.0, 1.0, 3.0)["ivh_new"] is False
    assert growth_of(30.0, 32.0)["ivh_new"] is None


EARLIER = {
    "name": "day0", "input": {"sha256": "a"}, "weights": {"sha256": "w"}, "threshold": 0.5,
    "warnings": [{"code": "W_TILT"}], "settings": {"spacing_mm": 3.0, "hu_offset": 0},
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
    assert found["doubts"] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"findings": {"volume_ml": 13.0}}, "fell by 7.0 mL.* wrong order"),
        ({"findings": {"volume_ml": 20.0, "brain_ml": 1200.0}}, "1400 and 1200 mL: .* one patient"),
        ({"findings": {"volume_ml": 20.0, "side": "right"}}, "was left and is right"),
        ({"grid": {"voxel_mm": [0.5, 0.5, 1.0]}}, "Slices of 5 and 1 mm"),
        ({"versions": {"hemorrhage": "9"}}, "versions 0 and 9"),
    ],
)
def test_what_speaks_against_growth_is_said(changes, message):
    common = {"grid": {"voxel_mm": [0.5, 0.5, 5.0]}, "versions": {"hemorrhage": "0"}, "warnings": []}
    earlier = EARLIER | common | {"findings": {"volume_ml": 20.0, "brain_ml": 1400.0, "side": "left"}}
    later = earlier | {"name": "day1", "input": {"sha256": "b"}}
    assert compare_findings(earlier, later)["doubts"] == []
    (doubt,) = compare_findings(earlier, later | changes)["doubts"]
    assert re.search(message, doubt)


def test_the_name_of_the_weights_is_not_what_makes_them_others():
    later = EARLIER | {"input": {"sha256": "b"}, "weights": {"file": "copy.pt", "sha256": "w"}}
    assert compare_findings(EARLIER, later)["change_ml"] == 0.0


def test_results_are_read_from_their_folder_or_refused(tmp_path):
    folder = tmp_path / "results/049"
    folder.mkdir(parents=True)
    path = folder / FINDINGS
    path.write_text(json.dumps(EARLIER))
    assert read_result(folder) == read_result(path) == EARLIER
    for place, message in (
        (tmp_path / "none", "no such folder"),
        (tmp_path, "it holds no findings.json"),
        (tmp_path / "results", "it holds the results of 1 scans, not one. Name one of them, such as .*049"),
    ):
        with pytest.raises(ScanError, match=message):
            read_result(place)
    for content, message in (
        ("{", "Expecting"),
        ("[]", "list indices"),
        ("{}", "it lacks 'findings'"),
        (json.dumps(EARLIER | {"threshold": None}), "float"),
        (json.dumps(EARLIER | {"name": 3}), "it holds 3"),
    ):
        path.write_text(content)
        with pytest.raises(ScanError, match=message) as error:
            read_result(folder)
        assert error.value.code == "E_FILE_UNREADABLE"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"weights": {"sha256": "x"}}, "E_OTHER_RUN"),
        ({"threshold": 0.4}, "E_OTHER_RUN"),
        ({"settings": {"spacing_mm": 1.5}}, "E_OTHER_RUN"),
        ({"name": "b"}, "E_OTHER_INPUT"),
    ],
)
def test_what_is_no_comparison_is_refused(changes, code):
    later = EARLIER | {"input": {"sha256": "b"} if "name" not in changes else {"sha256": "a"}} | changes
    with pytest.raises(ScanError) as error:
        compare_findings(EARLIER, later)
    assert error.value.code == code
