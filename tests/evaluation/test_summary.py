"""Summaries of scans whose numbers are known."""

import numpy as np
import pandas as pd
import pytest

from hemorrhage.evaluation.summary import groups_of, statistics_of, summarize, value_of
from hemorrhage.metrics.detection import rates, roc_auc


def scans():
    return pd.DataFrame(
        {
            "name": [str(n) for n in range(8)],
            "patient": ["a", "a", "b", "c", "d", "e", "f", "g"],
            "reference_ml": [10.0, 20.0, 40.0, 70.0, 3.0, 8.0, 0.0, 0.0],
            "automatic_ml": [8.0, 24.0, 30.0, 70.0, 0.0, 8.0, 0.0, 2.0],
            "dice": [0.8, 0.9, 0.4, 0.7, 0.0, 1.0, 1.0, 0.0],
            "jaccard": 0.5,
            "surface_dice": 0.5,
            "hd95_mm": [1.0, 2.0, 3.0, 4.0, np.inf, 5.0, 0.0, np.inf],
            "lesions": [1, 2, 1, 1, 1, 1, 0, 0],
            "lesions_found": [1, 1, 1, 1, 0, 1, 0, 0],
            "false_positive_lesions": [0, 1, 0, 0, 0, 0, 0, 1],
            "scan_score": [0.9, 0.95, 0.8, 0.99, 0.1, 0.9, 0.2, 0.6],
            "combination": [
                "ICH only",
                "ICH + IVH",
                "ICH only",
                "other",
                "ICH only",
                "ICH only",
                "no blood",
                "no blood",
            ],
            "IVH_ml": [0, 4.0, 0, 0, 0, 0, 0, 0],
            "IVH_found": [np.nan, 0.25, *[np.nan] * 6],
        }
    )


@pytest.fixture(scope="module")
def summary():
    rows = scans()
    slices = pd.DataFrame({"patient": list("aabbccdd"), "blood": [0, 1] * 4, "score": [0.1, 0.9, 0.6, 0.7] * 2})
    slices = slices.assign(dice=0.5, jaccard=1 / 3)
    return summarize(rows, slices, runs=200)


def value(summary, group, statistic):
    return value_of(summary, group, statistic)["value"]


def test_numbers_by_hand(summary):
    assert value(summary, "with blood", "dice mean") == pytest.approx(3.8 / 6)
    assert value(summary, "with blood", "dice median") == pytest.approx(0.75)
    assert value(summary, "with blood", "failed (dice < 0.5)") == pytest.approx(2 / 6)
    assert value(summary, "all", "dice mean") == pytest.approx(4.8 / 8)  # with what is right to be empty
    assert value(summary, "with blood", "volume bias_ml") == pytest.approx((-2 + 4 - 10 + 0 - 3 + 0) / 6)
    assert value(summary, "with blood", "volume within_5_ml") == pytest.approx(5 / 6)
    assert value(summary, "with blood", "lesion sensitivity") == pytest.approx(5 / 7)
    assert value(summary, "all", "false positive lesions a scan") == pytest.approx(2 / 8)
    assert value(summary, "with blood", "hd95 infinite") == pytest.approx(1 / 6)
    assert value(summary, "with blood", "hd95 mean mm, where finite") == pytest.approx(3.0)
    assert value(summary, "with blood", "hd95 median mm") == 4.0  # the upper middle of 1 2 3 4 5 inf
    assert value(summary, "with blood", "hd95 max mm") == np.inf
    assert value(summary, "with blood", "hd95 SD mm, where finite") == pytest.approx(np.sqrt(2.5))
    errors = [2.0, 4.0, 10.0, 0.0, 3.0, 0.0]
    for name, expected in (("mean", 19 / 6), ("SD", np.std(errors, ddof=1)), ("median", 2.5), ("min", 0), ("max", 10)):
        assert value(summary, "with blood", f"absolute volume error {name} mL") == pytest.approx(expected)
    assert value(summary, "with blood", "jaccard SD") == 0.0
    assert value(summary, "with blood", "volume limit_high_ml") == pytest.approx(
        -11 / 6 + 1.96 * np.std([-2, 4, -10, 0, -3, 0], ddof=1)
    )
    assert value(summary, "with IVH", "share of IVH marked") == 0.25


def test_groups(summary):
    sizes = summary[summary["statistic"] == "dice mean"].set_index("group")["scans"].to_dict()
    assert sizes == {
        "all": 8, "with blood": 6, "ICH only": 4, "ICH + IVH": 1, "other": 1, "with IVH": 1, "0 to 5 mL": 1,
        "5 to 30 mL": 3, "30 to 60 mL": 1, "from 60 mL": 1, "slices with blood": 4,
    }  # fmt: skip


def test_intervals_hold_their_value_and_are_left_out_where_they_would_mislead(summary):
    known = summary.dropna(subset=["low"])
    assert (known["low"] <= known["value"] + 1e-9).all()
    assert (known["high"] >= known["value"] - 1e-9).all()
    assert value_of(summary, "with blood", "dice mean")["low"] < 3.8 / 6
    assert np.isnan(value_of(summary, "with blood", "dice min")["low"])  # an extreme
    assert np.isnan(value_of(summary, "ICH + IVH", "dice mean")["low"])  # one patient


def test_detection_is_that_of_the_metrics(summary):
    rows = scans()
    labels = (rows["reference_ml"] > 0).astype(int)
    assert value(summary, "scan detection", "AUC") == roc_auc(labels, rows["scan_score"])
    for threshold in (0.5, 0.9):
        found = rates(labels, rows["scan_score"], threshold)
        for name in ("sensitivity", "specificity", "accuracy", "f1"):
            assert value(summary, "scan detection", f"{name} at {threshold:g}") == getattr(found, name)
    assert value(summary, "scan detection", "threshold at sensitivity 1") == 0.1
    assert value(summary, "slice detection", "AUC") == 1.0


def test_slices_with_blood_have_a_mean_of_their_own():
    slices = pd.DataFrame({
        "patient": ["p"] * 3 + list("qrst"), "blood": [1, 1, 0, 1, 1, 1, 1], "score": 0.5,
        "dice": [0.2, 0.4, 0.0, 0.6, 0.6, 0.6, 0.6], "jaccard": [0.1, 0.3, 0.0, 0.5, 0.5, 0.5, 0.5],
    })  # fmt: skip
    found = summarize(scans(), slices, runs=50)
    assert value(found, "slices with blood", "dice mean") == pytest.approx(3.0 / 6)
    assert value(found, "slices with blood", "jaccard mean") == pytest.approx(2.4 / 6)
    row = value_of(found, "slices with blood", "dice mean")
    assert row["scans"] == 6
    assert 0.3 <= row["low"] < 0.5 < row["high"] <= 0.6  # patients are drawn, not slices


def test_a_study_without_blood_has_groups_and_no_crash():
    rows = scans().iloc[6:]
    assert list(groups_of(rows)) == ["all"]
    found = summarize(rows, pd.DataFrame(columns=["patient", "blood", "score"]), runs=10)
    assert np.isnan(value(found, "scan detection", "AUC"))
    assert value(found, "all", "dice mean") == 0.5
    assert np.isnan(statistics_of(rows)["lesion sensitivity"])
