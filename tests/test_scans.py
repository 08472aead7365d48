import pytest

from hemorrhage.errors import ScanError
from hemorrhage.scans import find_scans

DICOM = b"\0" * 128 + b"DICM"


def names(source):
    return [s.name for s in find_scans(source)]


def test_one_file_is_named_without_its_ending(tmp_path):
    for file, name in (("a.nii.gz", "a"), ("b.nii", "b"), ("C.NII.GZ", "C"), ("d.hdr", "d"), (".nii", "nii")):
        (tmp_path / file).touch()
        assert names(tmp_path / file) == [name]


def test_a_folder_of_files_leaves_out_what_is_no_scan(tmp_path):
    for file in ("b.nii", "a.nii.gz", "notes.txt", "._a.nii.gz", "masks.csv"):
        (tmp_path / file).touch()
    assert names(tmp_path) == ["a", "b"]


def test_two_files_of_one_name_get_distinct_results(tmp_path):
    for file in ("a.nii", "a.nii.gz", "A.nii", "b.nii"):
        (tmp_path / file).touch()
    found = names(tmp_path)
    assert sorted(found) == ["A.nii", "a.nii", "a.nii.gz", "b"]


def test_dicom_folders_at_any_depth_are_named_for_their_way(tmp_path):
    for folder in ("p1/ct", "p2/ct", "p2/empty"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "p1/ct/1").write_bytes(DICOM)
    (tmp_path / "p2/ct/x.dcm").touch()
    (tmp_path / "p2/empty/readme").write_bytes(b"text")
    assert names(tmp_path) == ["p1_ct", "p2_ct"]
    assert names(tmp_path / "p1/ct") == ["ct"]


def test_a_link_that_forms_a_loop_is_not_followed(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s/1.dcm").touch()
    (tmp_path / "s/loop").symlink_to(tmp_path)
    assert names(tmp_path) == ["s"]
    (tmp_path / "t").mkdir()
    (tmp_path / "t/across").symlink_to(tmp_path / "s")
    (tmp_path / "s/across").symlink_to(tmp_path / "t")  # each link harmless, together a circle
    assert names(tmp_path) == ["s", "t_across"]


def test_linked_scans_are_read_like_those_that_lie_there(tmp_path):
    """Beside others they would be missing from the results, and nobody would be told."""
    (tmp_path / "archive/p7").mkdir(parents=True)
    (tmp_path / "archive/p7/1.dcm").touch()
    study = tmp_path / "study"
    (study / "p1").mkdir(parents=True)
    (study / "p1/1.dcm").touch()
    (study / "p7").symlink_to(tmp_path / "archive/p7")
    assert names(study) == ["p1", "p7"]


def test_names_keep_letters_and_lose_what_breaks_a_path(tmp_path):
    (tmp_path / "Schädel links\n.nii").touch()
    assert names(tmp_path) == ["Schädel links_"]


def test_nothing_to_read_is_an_error_that_names_the_folder(tmp_path):
    with pytest.raises(ScanError, match="E_NO_SCANS"):
        find_scans(tmp_path)
    with pytest.raises(ScanError, match="E_NOT_FOUND"):
        find_scans(tmp_path / "nowhere")
