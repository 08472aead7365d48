"""Scores are of one system, also where no scan is left to score."""

import pytest
import torch
from torch import nn

from hemorrhage.engines import ScanEvaluator
from hemorrhage.errors import ScanError
from hemorrhage.evaluation.cases import read_run
from hemorrhage.evaluation.finish import finish_evaluation
from hemorrhage.handlers import ScoreWriter


def run(folder, weights="a.pt", threshold=0.5, name="a"):
    writer = ScoreWriter(str(folder / "out"), [], str(folder / weights), threshold, 50.0, name)
    evaluator = ScanEvaluator(
        device=torch.device("cpu"), val_data_loader=[], network=nn.Identity(), val_handlers=[writer]
    )
    evaluator.run()


def test_a_finished_evaluation_is_not_taken_for_one_of_other_settings(tmp_path):
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(name.encode())
    run(tmp_path)
    run(tmp_path, name="renamed")
    assert read_run(tmp_path / "out")["name"] == "renamed"
    for changes, message in (
        ({"threshold": 0.4}, "made with another threshold"),
        ({"weights": "b.pt"}, "made with another weights_sha256"),
        ({"weights": "none.pt"}, "there are no weights here"),
    ):
        with pytest.raises(ScanError, match=message):
            run(tmp_path, **changes)


def test_an_evaluation_of_nothing_ends_in_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        finish_evaluation(str(tmp_path), [])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error[E_NO_SCANS]")
