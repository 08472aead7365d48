"""Paired comparison of systems."""

import json

import numpy as np
import pandas as pd
import pytest

from hemorrhage.errors import ScanError
from hemorrhage.evaluation.compare import common_scans, dice_by_combination, dice_table, paired_differences, read_runs


def scans(dice, names=None, reference=None):
    count = len(dice)
    reference = np.asarray(reference if reference is not None else [10.0] * count)
    return pd.DataFrame(
        {
            "name": names or [str(n) for n in range(count)],
            "patient": [str(n) for n in range(count)],
            "reference_ml": reference,
            "automatic_ml": reference - 2.0,
            "difference_ml": -2.0,
            "dice": dice,
            "jaccard": 0.5,
            "surface_dice": 0.5,
            "hd95_mm": 1.0,
            "lesions": 1,
            "lesions_found": 1,
            "false_positive_lesions": 0,
            "combination": ["ICH only", "ICH + IVH"] * (count // 2),
        }
    )


def test_differences_are_paired():
    # The second system is better by 0.1 on each scan, far less than scans differ.
    first = np.linspace(0.1, 0.85, 10)
    runs = common_scans({"a": scans(first), "b": scans(first + 0.1)})
    found = paired_differences(runs, draws=200).set_index("measure")
    assert found.loc["dice", ["difference", "low", "high"]].tolist() == pytest.approx([0.1] * 3)
    assert found.loc["dice", "better on"] == 1.0
    assert found.loc["absolute volume error mL", "difference"] == 0.0


def test_only_common_scans_count_in_whatever_order():
    runs = common_scans({"a": scans([0.1, 0.2], ["x", "y"]), "b": scans([0.9, 0.4], ["z", "x"])})
    assert runs["b"]["dice"].tolist() == [0.4]
    with pytest.raises(ScanError, match="no scan in common"):
        common_scans({"a": scans([0.1, 0.2], ["x", "y"]), "b": scans([0.9, 0.4], ["z", "w"])})


def test_another_reference_is_refused():
    with pytest.raises(ScanError, match="reference volume differs"):
        common_scans({"a": scans([0.1, 0.2]), "b": scans([0.1, 0.2], reference=[10.0, 11.0])})


def test_tables():
    runs = common_scans({"a": scans([0.2, 0.8]), "b": scans([0.6, 0.7])})
    assert dice_table(runs, draws=20).loc["a", "failed"] == 0.5
    assert dice_table(runs, draws=20).loc["b", "mean"] == pytest.approx(0.65)
    by_combination = dice_by_combination(runs).set_index(["model", "combination"])
    assert by_combination.loc[("a", "ICH + IVH"), "mean"] == 0.8


def test_reading_runs(tmp_path):
    for folder, name in (("one", "a"), ("two", "a")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "run.json").write_text(json.dumps({"name": name}))
        scans([0.5, 0.6]).to_csv(tmp_path / folder / "scans.csv", index=False)
    assert list(read_runs([tmp_path / "one"])) == ["a"]
    with pytest.raises(ScanError, match="two systems are named a"):
        read_runs([tmp_path / "one", tmp_path / "two"])
    with pytest.raises(ScanError, match="it holds no run"):
        read_runs([tmp_path / "none"])
