import json

import pytest

from hemorrhage.datalist import read_cases
from hemorrhage.errors import ScanError


@pytest.fixture
def study(tmp_path):
    for folder in ("ct_scans", "masks"):
        (tmp_path / folder).mkdir()
        for number in range(49, 56):
            (tmp_path / folder / f"{number:03d}.nii").write_bytes(b"x" * number)
    return tmp_path


def listed(tmp_path, entries):
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"training": entries}))
    return str(path)


def entry(number, **more):
    return {"image": f"ct_scans/{number:03d}.nii", "label": f"masks/{number:03d}.nii", **more}


def test_training_and_validation_part_the_folder(study):
    train, held = (read_cases(str(study), None, 0, held_out) for held_out in (False, True))
    assert len(train) + len(held) == 7
    assert not {c["image"] for c in train} & {c["image"] for c in held}
    assert all(c["label"].endswith(c["image"][-7:]) for c in train)


def test_no_fold_means_all_are_held_out(study):
    assert len(read_cases(str(study), None, None, True)) == 7


def test_nothing_named_is_no_case():
    assert read_cases(None, None, 0, False) == []


def test_a_list_names_its_folds(study):
    path = listed(study, [entry(49, fold=0), entry(50, fold=1), entry(51, fold=1)])
    assert [c["image"][-7:] for c in read_cases(None, path, 1, True)] == ["050.nii", "051.nii"]
    assert [c["image"][-7:] for c in read_cases(None, path, 1, False)] == ["049.nii"]


def test_without_folds_a_patient_stays_whole(study):
    path = listed(study, [entry(49 + i, patient="ab"[i % 2]) for i in range(6)])
    held = {c["image"][-7:] for c in read_cases(None, path, 0, True)}
    assert held == {"049.nii", "051.nii", "053.nii"}


def test_label_maps_of_subtypes_and_patients_go_along(study):
    (study / "subtypes").mkdir()
    (study / "subtypes/050.nii").write_bytes(b"x")
    cases = {c["image"][-7:]: c for c in read_cases(str(study), None, None, True)}
    assert cases["050.nii"]["subtypes"] == str(study / "subtypes/050.nii")
    assert "subtypes" not in cases["051.nii"]
    path = listed(study, [entry(49, patient="a", subtypes="subtypes/050.nii"), entry(50, patient="b")])
    first, second = read_cases(None, path, None, True)
    assert (first["patient"], first["subtypes"]) == ("a", str(study / "subtypes/050.nii"))
    assert "subtypes" not in second
    with pytest.raises(ScanError, match="case 0 of cases"):
        read_cases(None, listed(study, [entry(49, subtypes="none.nii")]), None, True)


def test_a_change_of_a_file_changes_the_case(study):
    before = read_cases(str(study), None, 0, True)
    (study / "masks" / "049.nii").write_bytes(b"other")
    assert before[0]["version"] != read_cases(str(study), None, 0, True)[0]["version"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([entry(49, fold=0, patient="p"), entry(50, fold=1, patient="p")], r"E_LEAK.*patient p is in folds 0 and 1"),
        ([entry(49, fold=0), entry(50)], r"E_DATALIST.*1 of 2 cases"),
        ([{"image": "ct_scans/049.nii"}], r'E_DATALIST.*case 0 has no "label"'),
        ([entry(99)], r"E_NOT_FOUND.*ct_scans/099\.nii"),
        ([entry(49, fold=3)], r"E_DATALIST.*fold 0 leaves no case to validate"),
    ],
)
def test_a_bad_list_says_where(study, entries, message):
    with pytest.raises(ScanError, match=message):
        read_cases(None, listed(study, entries), 0, True)


def test_a_list_that_is_not_json_names_the_line(study):
    (study / "cases.json").write_text('{"training": [\n{"image": 1,}\n]}')
    with pytest.raises(ScanError, match=r"E_DATALIST.*line 2"):
        read_cases(None, str(study / "cases.json"), 0, True)


def test_a_missing_mask_is_named(study):
    (study / "masks" / "052.nii").unlink()
    with pytest.raises(ScanError, match=r"no mask for 052\.nii"):
        read_cases(str(study), None, 0, True)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ScanError, match=r"E_NOT_FOUND\] .*ct_scans"):
        read_cases(str(tmp_path), None, 0, True)


def test_subtypes_take_the_masks_place_in_all_cases_or_in_none(study):
    assert all("masks" in c["label"] for c in read_cases(str(study), None, 0, False, by_subtype=True))
    (study / "subtypes").mkdir()
    for number in range(49, 55):
        (study / f"subtypes/{number:03d}.nii").write_bytes(b"x")
    held = read_cases(str(study), None, 0, True, by_subtype=True)
    assert held[0]["label"] == str(study / "subtypes/049.nii")
    with pytest.raises(ScanError, match=r"no map of subtypes beside the mask 055.nii \(1 of 7 cases\)"):
        read_cases(str(study), None, None, True, by_subtype=True)
