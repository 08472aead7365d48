"""scripts/compare_scans.py as its user meets it."""

import json
import re
import subprocess
import sys

import pytest
import typer
from conftest import ROOT
from typer.testing import CliRunner

sys.path.insert(0, str(ROOT / "scripts"))

from compare_scans import main


def write_result(folder, volume_ml, ivh_ml=0.0, **changes):
    record = {
        "name": folder.name, "input": {"file": f"{folder.name}.nii.gz", "sha256": folder.name},
        "weights": {"file": "model.pt", "sha256": "w"}, "threshold": 0.5, "warnings": [],
        "findings": {
            "volume_ml": volume_ml, "brain_ml": 1400.0,
            "volume_ml_by_subtype": {"IPH": volume_ml - ivh_ml, "IVH": ivh_ml},
        },
        "grid": {"voxel_mm": [0.5, 0.5, 5.0]}, "versions": {"hemorrhage": "0.1.0"},
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "findings.json").write_text(json.dumps(record | changes))
    return folder


def run(*arguments):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_growth_is_printed_written_and_shown(tmp_path):
    earlier, later = write_result(tmp_path / "day0", 20.0), write_result(tmp_path / "day1", 29.0, 2.0)
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/compare_scans.py", earlier, later / "findings.json", "--out", "out"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "earlier, day0: 20.0 mL",
        "later, day1: 29.0 mL",
        "change: +9.0 mL (+45.0 %)",
        "grown by 33 % or 6 mL (outside the ventricles): yes",
        "new blood in the ventricles: yes",
        "new or grown by 1 mL in the ventricles: yes",
        "Research use only; not for diagnosis.",
        "out/index.html",
    ]
    assert done.stderr == ""
    assert json.loads((tmp_path / "out/growth.json").read_text())["change_ml"] == 9.0
    assert "The bleed grew" in (tmp_path / "out/index.html").read_text()


def test_the_wrong_order_and_another_head_are_doubted(tmp_path):
    earlier = write_result(tmp_path / "day1", 29.0)
    findings = {"volume_ml": 20.0, "brain_ml": 1100.0}
    done = run(earlier, write_result(tmp_path / "day0", 20.0, findings=findings))
    assert done.exit_code == 0
    assert "the wrong order" in done.stderr
    assert "of one patient" in done.stderr
    assert "grown by 33 % or 6 mL (of all blood): no" in done.stdout
    assert "not known: the network names no subtypes" in done.stdout


@pytest.mark.parametrize(
    ("earlier", "later", "message"),
    [
        ("day0", "none", r"error\[E_NOT_FOUND\] .*none: there is no such folder\. Name the folder"),
        (
            "day0",
            ".",
            r"error\[E_NOT_FOUND\] \.: it holds the results of 4 scans, not one\. Name one of them, such as day0",
        ),
        ("day0", "day0", r"error\[E_OTHER_INPUT\] day0: both results are of one scan\. Name two"),
        ("day0", "half", r"error\[E_FILE_UNREADABLE\] .*half/findings\.json: Unterminated.*\. Read the scan again"),
        ("day0", "low", r"error\[E_OTHER_RUN\] low: it was read at a threshold of 0\.3, day0 at 0\.5\. Read both"),
        ("day0", "net", r"error\[E_OTHER_RUN\] net: it was read with other weights than day0\. Read both"),
    ],
)
def test_what_cannot_be_compared_is_one_line(tmp_path, monkeypatch, earlier, later, message):
    monkeypatch.chdir(tmp_path)
    write_result(tmp_path / "day0", 20.0)
    write_result(tmp_path / "low", 20.0, threshold=0.3)
    write_result(tmp_path / "net", 20.0, weights={"sha256": "x"})
    half = write_result(tmp_path / "half", 20.0) / "findings.json"
    half.write_text(half.read_text()[:12])
    done = run(earlier, later, "--out", "out")
    assert done.exit_code == 2
    assert re.fullmatch(message + r".*\n", done.stderr), done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


def test_a_result_is_never_overwritten(tmp_path):
    earlier, later = write_result(tmp_path / "day0", 20.0), write_result(tmp_path / "day1", 29.0)
    before = (earlier / "findings.json").read_bytes()
    done = run(earlier, later, "--out", earlier)
    assert done.exit_code == 2
    assert "E_WOULD_OVERWRITE" in done.stderr
    assert (earlier / "findings.json").read_bytes() == before
    assert "E_OUTPUT" in run(earlier, later, "--out", earlier / "findings.json" / "x").stderr
