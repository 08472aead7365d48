"""What another threshold would have marked: sizes and seeds as the configs' postprocessing has them."""

import numpy as np
import torch
from conftest import ROOT
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose

from hemorrhage.marks import cuts_of, marks_at, seed_of


def _square(side: int, level: float = 0.6) -> np.ndarray:
    p = np.zeros((20, 20, 2), dtype=np.float32)
    p[5 : 5 + side, 5 : 5 + side, 0] = level
    return p


def test_bleeds_below_the_smallest_volume_are_left_out():
    assert marks_at(_square(7), 0.5, 1.01, 50).sum() == 0  # 49.5 mm3
    assert marks_at(_square(7), 0.5, 50 / 49, 50).sum() == 49  # 50 mm3 are kept
    assert marks_at(_square(1), 0.5, 1.0, 0).sum() == 1


def test_a_seed_asks_more_of_the_surest_voxel_than_of_the_others():
    p = _square(4)
    p[6, 6, 0] = 0.9
    assert marks_at(p, 0.5, 5.0, 50, seed=0.8).sum() == 16
    assert marks_at(p, 0.5, 5.0, 50, seed=0.95).sum() == 0
    assert marks_at(p, 0.7, 5.0, 0, seed=0.2).sum() == 1  # no less than the threshold


def test_many_cuts_at_once_count_what_each_alone_would_mark():
    rng = np.random.default_rng(1)
    p = (rng.random((20, 20, 3)) ** 3).astype(np.float32)
    true = p + 0.2 * rng.standard_normal(p.shape) > 0.6
    found = cuts_of(p, true, (0.5, 0.7), (0.6, 0.8, 0.97), 6.0, 11)
    pairs = [(c["threshold"], c["seed_threshold"]) for c in found]
    assert pairs == [(0.5, 0.5), (0.5, 0.6), (0.5, 0.8), (0.5, 0.97), (0.7, 0.7), (0.7, 0.8), (0.7, 0.97)]
    for cut in found:
        marked = marks_at(p, cut["threshold"], 6.0, 11, cut["seed_threshold"])
        assert (cut["marked"], cut["hits"]) == (marked.sum(), (marked & true).sum())
    assert len({c["marked"] for c in found}) == 6  # all but one of them leave out something else


def test_the_seed_of_a_run_is_in_its_findings():
    assert seed_of({"threshold": 0.3, "settings": {"seed_threshold": 0.8}}) == 0.8
    assert seed_of({"threshold": 0.5, "settings": {"seed_threshold": 0.5}}) is None
    assert seed_of({"threshold": 0.5}) is None


def test_the_configs_mark_the_same():
    parser = ConfigParser()
    parser.read_config([str(ROOT / "configs/inference.yaml"), str(ROOT / "configs/patchfcn.yaml")])
    parser.update({"threshold": 0.3, "seed_threshold": 0.8, "smallest_bleed_mm3": 31})
    steps = [s for s in parser.get_parsed_content("to_mask") if type(s).__name__ in _CUTTING]
    assert len(steps) == len(_CUTTING)
    rng = np.random.default_rng(0)
    p = (rng.random((20, 20, 2)) ** 3).astype(np.float32)
    volume = torch.from_numpy(p)[None]
    affine = torch.diag(torch.tensor([1.0, 2.0, 3.0, 1.0], dtype=torch.float64))
    d = {"pred": MetaTensor(volume, affine=affine), "probability": volume}
    made = Compose(steps)(d)["pred"][0].numpy() > 0
    assert 0 < made.sum() < (p >= 0.3).sum()
    assert np.array_equal(made, marks_at(p, 0.3, 6.0, 31, 0.8))


_CUTTING = ("AsDiscreted", "SureBleedsd", "RemoveSmallObjectsd")
