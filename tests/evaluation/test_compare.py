"""Paired comparison of systems."""

import numpy as np
import pytest
from score_tables import scans, write_run

from hemorrhage.errors import ScanError
from hemorrhage.evaluation.compare import (
    common_scans,
    dice_by_combination,
    dice_table,
    left_out,
    paired_differences,
    read_runs,
    volume_table,
)


def test_differences_are_paired():
    # The second system is better by 0.1 on each scan, far less than scans differ.
    first = np.linspace(0.1, 0.85, 10)
    runs = common_scans({"a": scans(first), "b": scans(first + 0.1)})
    found = paired_differences(runs, draws=200).set_index("measure")
    assert found.loc["Dice", ["difference", "low", "high"]].tolist() == pytest.approx([0.1] * 3)
    assert found.loc["Dice", "better on"] == 1.0
    assert found.loc["absolute volume error mL", "difference"] == 0.0


def test_only_common_scans_count_in_whatever_order():
    runs = {"a": scans([0.1, 0.2], ["x", "y"]), "b": scans([0.9, 0.4, 0.3], ["z", "x", "w"])}
    common = common_scans(runs)
    assert common["b"]["dice"].tolist() == [0.4]
    assert left_out(runs, common) == {"a": 1, "b": 2}
    assert left_out(common, common) == {}
    with pytest.raises(ScanError, match="no scan in common"):
        common_scans({"a": scans([0.1, 0.2], ["x", "y"]), "b": scans([0.9, 0.4], ["z", "w"])})


def test_other_references_and_patients_are_refused():
    with pytest.raises(ScanError, match="reference volume differs between a and b, as that of 1 of 2"):
        common_scans({"a": scans([0.1, 0.2]), "b": scans([0.1, 0.2], reference=[10.0, 11.0])})
    with pytest.raises(ScanError, match="patient differs"):
        common_scans({"a": scans([0.1, 0.2]), "b": scans([0.1, 0.2]).assign(patient=["0", "0"])})
    with pytest.raises(ScanError, match="none of the 2 scans that all scored has blood"):
        common_scans({n: scans([1.0, 1.0], reference=[0.0, 0.0]) for n in "ab"})


def test_tables():
    runs = common_scans({"a": scans([0.2, 0.8] * 3), "b": scans([0.6, 0.7] * 3)})
    dice = dice_table(runs, draws=20)
    assert dice.loc["a", ["mean", "median", "min", "max", "failed", "scans"]].tolist() == [0.5, 0.5, 0.2, 0.8, 0.5, 6]
    assert dice.loc["a", "SD"] == pytest.approx(np.sqrt(6 * 0.09 / 5))
    assert dice.loc["a", "mean low"] < 0.5 < dice.loc["a", "mean high"]
    by_combination = dice_by_combination(runs).set_index(["model", "combination"])
    assert by_combination.loc[("a", "ICH + IVH"), "mean"] == pytest.approx(0.8)
    volume = volume_table(runs, draws=20)
    assert volume.loc["b", ["RMSE mL", "within 5 mL", "bias mL", "bias low", "bias high"]].tolist() == [
        2,
        1,
        -2,
        -2,
        -2,
    ]


def test_what_too_few_scans_cannot_tell_is_nan_and_an_empty_cell(tmp_path):
    runs = common_scans({"a": scans([0.2, 0.8]), "b": scans([0.6, 0.7])})
    alone = dice_by_combination(runs)
    assert alone["SD"].isna().all()  # one scan of each combination
    assert dice_table(runs, draws=20)[["mean low", "mean high"]].isna().all(axis=None)  # two patients
    assert np.isnan(paired_differences(runs, draws=20)["low"]).all()
    alone.to_csv(tmp_path / "table.csv", index=False)
    assert (tmp_path / "table.csv").read_text().splitlines()[1] == "a,ICH only,0.2,,1"


def test_reading_runs(tmp_path):
    one, two = (write_run(tmp_path / n, "VNet", scans([0.5, 0.6], ["NA", "b"])) for n in ("one", "two"))
    assert read_runs([one])["VNet"]["name"].tolist() == ["NA", "b"]  # a name, not a hole
    assert list(read_runs([one, two], ["low", "high"])) == ["low", "high"]
    for folders, names, message in (
        ([one, two], (), "two systems are named VNet. Tell them apart with a --name each"),
        ([one, tmp_path / "." / "one"], ("a", "b"), "given twice"),
        ([one, two], ("a",), "1 names for 2 runs"),
        ([tmp_path], (), "it holds no run.json"),
        ([tmp_path / "none"], (), "there is no such folder"),
    ):
        with pytest.raises(ScanError, match=message):
            read_runs(folders, names)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such table"),
        ("", "No columns to parse"),
        ("name,dice\na,1\n", "it lacks the columns"),
        ("{twice}", "it holds the scan 0 more than once"),
        ("{words}", "its column dice holds what is no number"),
        ("{hole}", "its column dice has empty cells"),
        ("{header}", "it holds no scan"),
    ],
)
def test_damaged_tables_are_refused(tmp_path, content, message):
    table = scans([0.5, 0.6])
    folder = write_run(tmp_path / "run", "a", table)
    made = {
        "{twice}": table.iloc[[0, 0]],
        "{words}": table.assign(dice=["high", "low"]),
        "{hole}": table.assign(dice=[0.5, np.nan]),
        "{header}": table.iloc[:0],
    }
    if content is None:
        (folder / "scans.csv").unlink()
    elif content in made:
        made[content].to_csv(folder / "scans.csv", index=False)
    else:
        (folder / "scans.csv").write_text(content)
    with pytest.raises(ScanError, match=message) as error:
        read_runs([folder])
    assert "scans.csv" in error.value.file


def test_damaged_records_are_refused(tmp_path):
    folder = write_run(tmp_path / "run", "a", scans([0.5]))
    for content in ("", "{", "[]", "{}"):
        (folder / "run.json").write_text(content)
        with pytest.raises(ScanError) as error:
            read_runs([folder])
        assert error.value.code == "E_FILE_UNREADABLE"
