"""scripts/compare_runs.py as its user meets it."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import typer
from conftest import ROOT
from score_tables import scans, write_run
from typer.testing import CliRunner

sys.path.insert(0, str(ROOT / "scripts"))

from compare_runs import main

DICE = np.linspace(0.45, 0.9, 10)


def run(*arguments):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_two_runs_become_tables_figures_and_a_page(tmp_path):
    first = write_run(tmp_path / "a", "VNet", scans(DICE))
    second = write_run(tmp_path / "b", "VNet", scans(np.append(DICE + 0.1, 0.2)))
    command = [sys.executable, ROOT / "scripts/compare_runs.py", first, second, "--name", "base", "--name", "better"]
    done = subprocess.run(
        [*command, "--out", "out", "--draws", "50"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "out/index.html"
    assert "1 scan(s) of better left out" in done.stderr
    assert "nan" not in done.stdout.lower()
    found = pd.read_csv(tmp_path / "out/differences.csv").set_index("measure")
    assert found.loc["Dice", "difference"] == pytest.approx(0.1)
    assert pd.read_csv(tmp_path / "out/dice.csv")["model"].tolist() == ["base", "better"]
    assert len(list((tmp_path / "out/figures").glob("*.png"))) == 5
    page = (tmp_path / "out/index.html").read_text()
    assert "1 scan of" in page
    assert "0123456789ab<" in page  # which weights


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a"], r"error\[E_NOT_FOUND\] .*a: it is the only run named\. Name two"),
        (["a", "none"], r"error\[E_NOT_FOUND\] .*none: there is no such folder\. Name the output folder"),
        (["a", "empty"], r"error\[E_NOT_FOUND\] .*empty: it holds no run\.json"),
        (["a", "same"], r"error\[E_NAME\] .*same: two systems are named VNet\. .*--name"),
        (["a", "other"], r"error\[E_NO_SCANS\] VNet \(10 scans\), far \(10 scans\): they have no scan in common"),
        (["a", "b", "--out", "a"], r"error\[E_WOULD_OVERWRITE\] .*a: it is an evaluation"),
        (["a", "b", "--out", "a/run.json/x"], r"error\[E_OUTPUT\] .*x: nothing can be written there"),
    ],
)
def test_what_cannot_be_compared_is_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    for folder, name in (("a", "VNet"), ("b", "UNet"), ("same", "VNet")):
        write_run(tmp_path / folder, name, scans(DICE))
    write_run(tmp_path / "other", "far", scans(DICE, [f"x{n}" for n in range(10)]))
    (tmp_path / "empty").mkdir()
    before = (tmp_path / "a/scans.csv").read_bytes()
    done = run(*arguments, "--draws", "5")
    assert done.exit_code in (2, 4), done.output
    assert re.fullmatch(message + r".*\n", done.stderr), done.stderr
    assert (tmp_path / "a/scans.csv").read_bytes() == before
    assert not (tmp_path / "results").exists()
