"""Subtypes named right and wrong, on a line of ten voxels of 2 mL."""

import numpy as np
import pandas as pd
import pytest

from hemorrhage.evaluation.subtype_names import called_table, certainty_table, name_scores, names_table


def line(*values):
    return np.array(values, dtype=np.uint8).reshape(-1, 1, 1)


TRUE = line(0, 2, 2, 2, 2, 3, 3, 0, 0, 0)
NAMED = line(0, 2, 2, 2, 1, 0, 2, 5, 0, 0)


def test_volumes_and_what_blood_is_called():
    row = name_scores(TRUE, NAMED, 2.0)
    assert (row["SDH_ml"], row["SDH_named_ml"], row["SDH_as_EDH_ml"]) == (8.0, 8.0, 2.0)
    assert row["SDH_dice"] == pytest.approx(6 / 8)
    assert (row["SAH_ml"], row["SAH_named_ml"], row["SAH_as_SDH_ml"], row["SAH_dice"]) == (4.0, 0.0, 2.0, 0.0)
    assert (row["IVH_ml"], row["IVH_named_ml"], row["IPH_dice"]) == (0.0, 2.0, 1.0)


def test_a_table_of_scans():
    scans = pd.DataFrame(
        [name_scores(TRUE, NAMED, 2.0), name_scores(TRUE, TRUE, 2.0), name_scores(TRUE * 0, NAMED, 2.0)]
    )
    table = names_table(scans)
    assert table.loc["SDH", ["scans", "mL", "mL named", "mL elsewhere"]].tolist() == [2, 8.0, 8.0, 8.0]
    assert table.loc["SDH", "named right"] == pytest.approx(7 / 8)
    assert table.loc["SAH", "named right"] == pytest.approx(2 / 3)  # of the blood that was marked
    assert table.loc["SAH", "Dice"] == pytest.approx(0.5)
    assert table.loc["SDH", "named right low"] < 7 / 8 < table.loc["SDH", "named right high"] == 1.0
    assert table.loc["IPH", "scans"] == 0
    assert table.loc["IPH", ["mL", "Dice", "r", "named right"]].isna().all()
    called = called_table(scans)
    assert called.loc["SAH"].to_dict() == {"EDH": 0, "SDH": 2.0, "SAH": 4.0, "IPH": 0, "IVH": 0, "missed": 2.0}


def test_volumes_in_proportion_correlate_fully():
    scans = pd.DataFrame([name_scores(TRUE, TRUE, volume) for volume in (1.0, 2.0, 5.0)])
    assert names_table(scans).loc["SAH", "r"] == pytest.approx(1.0)


def test_values_that_are_no_subtypes_are_refused():
    with pytest.raises(ValueError, match="0 to 9"):
        name_scores(TRUE, line(0, 9, *[0] * 8), 1.0)
    with pytest.raises(ValueError, match="shape"):
        name_scores(TRUE, NAMED[:5], 1.0)


def test_certainty_is_held_against_what_was_right():
    sure = dict.fromkeys(("EDH_certainty", "SAH_certainty", "IPH_certainty", "IVH_certainty"))
    first = {**name_scores(TRUE, NAMED, 2.0), **sure, "EDH_certainty": 0.5, "SDH_certainty": 0.7, "IVH_certainty": 0.9}
    second = {**name_scores(TRUE * 0, NAMED, 2.0), **sure, "SDH_certainty": 0.99}  # there is no blood to be right about
    table = certainty_table(
        pd.DataFrame([first, second]).astype({f"{s}_certainty": float for s in ("EDH", "SAH", "IPH", "IVH")})
    )
    assert table.index.tolist() == ["0 to 0.6", "0.6 to 0.8"]
    assert table.loc["0 to 0.6"].to_dict() == {"names": 1, "mL": 2.0, "certainty": 0.5, "named right": 0.0}
    assert table.loc["0.6 to 0.8"].to_dict() == pytest.approx(
        {"names": 1, "mL": 8.0, "certainty": 0.7, "named right": 0.75}
    )
