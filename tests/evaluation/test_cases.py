"""Names, claims and resumption of an evaluation's folder."""

import json

import pytest

from hemorrhage.errors import ScanError
from hemorrhage.evaluation.cases import begin_run, named_cases, pending_cases, read_run, read_scores


def test_names_are_the_files_and_never_shared():
    assert [c["name"] for c in named_cases([{"image": "/d/a.nii.gz"}, {"image": "/d/b.nii"}])] == ["a", "b"]
    days = [{"image": f"/d/{p}/day0.nii.gz"} for p in ("p1", "p2")]
    assert [c["name"] for c in named_cases(days)] == ["p1_day0", "p2_day0"]


def test_what_has_scores_of_the_same_files_is_done(tmp_path):
    cases = [{"image": f"/d/{n}.nii", "version": "1"} for n in "abc"]
    for name, version in (("a", "1"), ("b", "0")):
        folder = tmp_path / "scans" / name
        folder.mkdir(parents=True)
        (folder / "scores.json").write_text(json.dumps({"row": {}, "slices": [], "version": version}))
    assert [c["name"] for c in pending_cases(cases, str(tmp_path))] == ["b", "c"]
    assert read_scores(tmp_path, "c") is None


def test_scores_of_other_weights_are_never_mixed_in(tmp_path):
    settings = {"name": "a", "weights_sha256": "x", "threshold": 0.5}
    begin_run(tmp_path, settings)
    begin_run(tmp_path, {**settings, "name": "renamed"})
    assert read_run(tmp_path)["name"] == "renamed"
    with pytest.raises(ScanError, match="another weights_sha256"):
        begin_run(tmp_path, {**settings, "weights_sha256": "y"})


def test_a_damaged_score_is_named_and_not_taken_for_none(tmp_path):
    path = tmp_path / "scans/a/scores.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"row": {')
    with pytest.raises(ScanError, match="Delete the file"):
        read_scores(tmp_path, "a")
