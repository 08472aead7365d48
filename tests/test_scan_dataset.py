"""Scans that fail are records, and prepared scans can be kept."""

import pytest
import torch
from monai.transforms import Compose, Lambdad

from hemorrhage.datasets import FAILURE_KEY, Failure, ScanDataset
from hemorrhage.errors import ScanError

calls = []


def prepare(value):
    calls.append(value)
    if value == "bad":
        raise ScanError("E_TEST", "bad", "it is bad", "Do better.")
    return torch.zeros(2)


@pytest.mark.parametrize("kept", [False, True])
def test_one_bad_scan_is_a_record_with_and_without_a_cache(kept, tmp_path):
    calls.clear()
    data = [{"name": "a", "image": "good"}, {"name": "b", "image": "bad"}]
    cache = str(tmp_path / "cache") if kept else None
    for _ in range(2):
        scans = ScanDataset(data, Compose([Lambdad("image", prepare)]), cache_dir=cache)
        assert scans[0]["name"] == "a"
        assert torch.equal(scans[0]["image"], torch.zeros(2))
        assert Failure.from_json(scans[1][FAILURE_KEY]).message.startswith("error[E_TEST] bad")
    assert calls.count("good") == (1 if kept else 4)
