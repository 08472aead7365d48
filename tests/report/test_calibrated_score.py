"""The probability of hemorrhage, from a calibration that ``scripts/calibrate.py`` made to a scan's findings."""

import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from conftest import ROOT

from hemorrhage.errors import ScanError
from hemorrhage.files import sha256_of
from hemorrhage.report.calibrated_score import CalibratedScore, read_calibration
from hemorrhage.report.scan_result import ScanResult

AFFINE = np.diag([5.0, 5.0, 5.0, 1.0])


def result(probability):
    p = np.full((4, 4, 4), probability, np.float32)
    empty = np.zeros(p.shape, bool)
    return ScanResult("a", p, ~empty, p, empty, None, AFFINE, None, True, None, {})


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, AFFINE), path)


@pytest.fixture
def study(tmp_path):
    """Ten results: five bleeds of 8 voxels that score 0.6 to 0.9, five scans without that score 0.1 to 0.4."""
    weights = tmp_path / "model/model.pt"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    for n in range(10):
        blood = n < 5
        p = np.zeros((4, 4, 4), np.float32)
        p[:2, :2, :2] = (0.6 if blood else 0.1) + 0.075 * (n % 5)
        mask = np.zeros(p.shape, np.uint8)
        mask[:2, :2, :2] = blood
        save(tmp_path / f"results/{n}/probability.nii.gz", p)
        save(tmp_path / f"masks/{n}.nii.gz", mask)
        record = {
            "findings": {"scan_score": float(p.max())}, "weights": {"sha256": sha256_of(weights)},
            "threshold": 0.25, "settings": {"seed_threshold": 0.65, "magnification": 1.3},
        }  # fmt: skip
        (tmp_path / f"results/{n}/findings.json").write_text(json.dumps(record))
    return tmp_path


def calibrate(folder, *more):
    command = [sys.executable, "-W", "ignore", str(ROOT / "scripts/calibrate.py"), "results", "masks"]
    return subprocess.run(
        [*command, "model/model.pt", *more], cwd=folder, capture_output=True, text=True, check=False
    )  # fmt: skip


def test_scans_are_calibrated_and_a_result_states_its_probability(study):
    done = calibrate(study, "--on", "ten cubes")
    assert done.returncode == 0, done.stderr
    record = read_calibration(study / "model/model.pt")
    assert record["calibrated_on"] == "10 scans, 5 with blood: ten cubes"
    # A threshold below 0.6 keeps every bleed whole; of those the lowest with the best Dice is named.
    assert record["best_threshold"] == record["best_seed_threshold"] == 0.05
    assert 0 <= record["expected calibration error calibrated, held out"][0] < 0.5
    assert (study / "results/calibration.png").stat().st_size > 5000
    sweep = np.genfromtxt(study / "results/thresholds.csv", delimiter=",", names=True)
    first = sweep[(sweep["name"] == 0) & (sweep["threshold"] == 0.5)]  # scores 0.6
    assert first["seed_threshold"].tolist() == [0.5, 0.6, 0.65, 0.7, 0.8, 0.9]
    assert first["dice"].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert first["found_ml"].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    own = (sweep["threshold"] == 0.25) & (sweep["seed_threshold"] == 0.65)
    assert sweep[own & (sweep["name"] < 5)]["dice"].tolist() == [0.0, 1.0, 1.0, 1.0, 1.0]  # 0.6, 0.675 and more
    assert set(first["true_ml"]) == {1.0}

    assert record["settings"] == {"seed_threshold": 0.65, "magnification": 1.3}
    cut_elsewhere = {"seed_threshold": 0.9, "threshold": 0.9, "magnification": 1.3}
    measure = CalibratedScore(str(study / "model/model.pt"), cut_elsewhere)
    sure, unsure = measure(result(0.9)), measure(result(0.1))
    assert sure["probability_of_hemorrhage"] > 0.5 > unsure["probability_of_hemorrhage"]
    assert sure["calibrated_on"] == record["calibrated_on"]


def test_a_calibration_of_scans_read_otherwise_gives_no_probability(study):
    calibrate(study)
    measure = CalibratedScore(str(study / "model/model.pt"), {"seed_threshold": 0.65, "magnification": 1})
    assert measure(result(0.9)) == {
        "probability_of_hemorrhage": None,
        "calibrated_on": None,
        "calibration_refused": "magnification 1, calibrated with 1.3",
    }


def test_without_a_calibration_nothing_is_claimed(study):
    measure = CalibratedScore(str(study / "model/model.pt"))
    assert measure(result(0.9)) == {"probability_of_hemorrhage": None, "calibrated_on": None}


def test_a_calibration_of_other_weights_is_refused(study):
    calibrate(study)
    (study / "model/model.pt").write_bytes(b"others")
    with pytest.raises(ScanError, match="other weights"):
        read_calibration(study / "model/model.pt")
    (study / "model/calibration.json").write_text("{}")
    with pytest.raises(ScanError, match="no calibration"):
        read_calibration(study / "model/model.pt")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda s: (s / "masks/3.nii.gz").unlink(), "error[E_NOT_FOUND] masks: there is no 3.nii"),
        (lambda s: (s / "model/model.pt").write_bytes(b"x"), "made with other weights"),
        (lambda s: save(s / "masks/2.nii.gz", np.zeros((4, 4, 5), np.uint8)), "different grids"),
        (lambda s: save(s / "masks/2.nii.gz", np.zeros((4, 4, 4), np.uint8)), "4 scans with blood and 6 without"),
    ],
)
def test_what_cannot_be_calibrated_is_one_line(study, spoil, says):
    spoil(study)
    done = calibrate(study)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert len(lines) == 1
    assert says in lines[0]
    assert not (study / "model/calibration.json").exists()
