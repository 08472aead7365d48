"""The tables of the benchmark of DeepBleed's family, from scores that are made up."""

import importlib.util
import json
import sys

import nibabel as nib
import numpy as np
import pytest
from conftest import ROOT
from score_tables import scans, write_run

from hemorrhage.phantom import make_case

spec = importlib.util.spec_from_file_location("deepbleed_family", ROOT / "benchmarks/deepbleed_family.py")
family = importlib.util.module_from_spec(spec)
spec.loader.exec_module(family)


@pytest.fixture
def work(tmp_path):
    """Two systems with scores of three heads, one of them alone in its combination; all heads look alike."""
    names = ["127", "128", "129"]
    combinations = ("ICH only", "ICH only", "ICH + IVH")
    for system, dice in (("vnet128", [0.8, 0.9, 0.7]), ("forest", [0.4, 0.6, 0.5])):
        table = scans(dice, names, [20.0, 40.0, 60.0], combinations)
        write_run(tmp_path / "scores" / system, family.NAMES[system], table)
        (tmp_path / system).mkdir()
        (tmp_path / system / "training.json").write_text(json.dumps({"epochs": 6, "processor_seconds": 90}))
    case = make_case(1, spacing_mm=(3.6, 3.6, 8.0), shape=(64, 64, 18), subtypes=("IPH",))
    mask = nib.Nifti1Image((case.label.numpy() > 0).astype(np.uint8), case.affine)
    (tmp_path / "set").mkdir()
    nib.save(nib.Nifti1Image(case.hu.numpy().astype(np.int16), case.affine), tmp_path / "set/ct.nii")
    nib.save(mask, tmp_path / "set/mask.nii")
    for name in names:
        (tmp_path / "scores/vnet128/scans" / name).mkdir(parents=True)
        nib.save(mask, tmp_path / "scores/vnet128/scans" / name / "hemorrhage.nii.gz")
    entries = [{"patient": n, "image": "ct.nii", "label": "mask.nii"} for n in names]
    (tmp_path / "set/test.json").write_text(json.dumps({"training": entries}))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/deepbleed.md").write_text(f"before\n{family.BEGIN}\nold\n{family.END}\nafter\n")
    return tmp_path


def command(monkeypatch, work, *more):
    arguments = [str(work), "--stage", "tables", "--docs", str(work / "docs"), *more]
    monkeypatch.setattr(sys, "argv", ["deepbleed_family.py", *arguments])
    family.main()


def test_tables_and_figures_take_the_place_of_the_old(work, monkeypatch):
    command(monkeypatch, work)
    text = (work / "docs/deepbleed.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text.splitlines()
    assert "nan" not in text
    # By hand: 0.8, 0.9 and 0.7; three patients are too few for an interval, one scan for a deviation.
    assert "| 3D VNet 128 | 0.800 | 0.100 | 0.800 | 0.700 | 0.900 | 0 % |" in text
    assert "| model | ICH only (2) | ICH + IVH (1) |" in text
    assert "| random forest | 0.500 (0.141) | 0.500 (-) |" in text
    assert "| 3D VNet 128 | 1.00 | 0.99 | 2.0 | 100 % | -2.0 |" in text
    assert "| random forest | -0.300 | 0 % |" in text
    assert "| random forest | - | 1.5 |" in text
    for name in ("boxes", "scatter", "bland_altman", "median", "worst"):
        assert f"(images/deepbleed_{name}.png)" in text
        assert (work / f"docs/images/deepbleed_{name}.png").stat().st_size > 5000
    command(monkeypatch, work)
    assert (work / "docs/deepbleed.md").read_text() == text


def test_nothing_to_tabulate_is_one_line(work, monkeypatch):
    with pytest.raises(SystemExit, match="no system has scores yet"):
        command(monkeypatch, work, "--only", "dynunet" if "dynunet" in family.SYSTEMS else "vnet2d")
    (work / "docs/deepbleed.md").write_text("no marks")
    with pytest.raises(SystemExit, match="two marks"):
        command(monkeypatch, work)
