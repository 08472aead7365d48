"""Stages of a training follow from the epoch alone."""

import pytest
import torch
from ignite.engine import Engine

from hemorrhage.handlers import Stages
from hemorrhage.handlers.stages import learning_rate, stage_of
from hemorrhage.losses import PatchFCNLoss
from hemorrhage.networks import PatchFCN

# Kuo et al. 2019 in small.
STAGES = [
    {"name": "pixels", "epochs": 5, "learning_rate": 1e-3, "drops": [0.4, 0.8], "freeze": ["patches"],
     "loss": {"patches": 0.0}},
    {"name": "patches", "epochs": 2, "learning_rate": 1e-3, "freeze": ["backbone", "pixels"], "loss": {"pixels": 0.0}},
    {"name": "all", "epochs": 1, "learning_rate": 5e-5},
]  # fmt: skip


def test_stage_of_an_epoch():
    found = [stage_of(epoch, [400, 40, 30]) for epoch in (1, 400, 401, 440, 441, 470)]
    assert found == [(0, 0), (0, 399), (1, 0), (1, 39), (2, 0), (2, 29)]
    assert stage_of(471, [400, 40, 30]) == (2, 30)
    assert stage_of(1, [0, 3]) == (1, 0)  # a stage of no epochs is none


def test_rate_falls_to_a_tenth_after_two_and_four_fifths():
    stage = {"learning_rate": 0.005, "drops": [0.4, 0.8]}
    rates = [learning_rate(stage, (epoch - 1) / 400) for epoch in (1, 160, 161, 320, 321, 400)]
    assert rates == pytest.approx([5e-3, 5e-3, 5e-4, 5e-4, 5e-5, 5e-5])


def test_cosine_rises_and_falls():
    stage = {"learning_rate": 1.0, "cosine": True}
    rates = [learning_rate(stage, p) for p in (0.0, 0.03, 0.5, 1.0)]
    assert rates[0] < 0.05
    assert rates[1] == pytest.approx(1.0, abs=0.01)
    assert rates[2] == pytest.approx(0.505)
    assert rates[3] == pytest.approx(0.01)


def train(folder, epochs, start=0, network=None):
    """Run epochs of two steps; returns what was in force at each step."""
    torch.manual_seed(0)
    network = network or PatchFCN(backbone="drn_d_22", width=0.0625, patch_branch=True)
    loss = PatchFCNLoss()
    optimizer = torch.optim.SGD(network.parameters(), 1.0, momentum=0.9, weight_decay=1e-2)
    x, y = torch.rand(2, 3, 24, 24), (torch.rand(2, 1, 24, 24) > 0.9).float()
    seen = []

    def step(engine, batch):
        network.train()
        optimizer.zero_grad(set_to_none=False)  # as MONAI's trainer does
        loss(network(x), y).backward()
        optimizer.step()
        seen.append((optimizer.param_groups[0]["lr"], loss.pixels, loss.patches, network.frozen))

    engine = Engine(step)
    Stages(STAGES, network, optimizer, loss, str(folder)).attach(engine)
    engine.state.epoch, engine.state.iteration = start, 2 * start
    engine.state.max_epochs, engine.state.epoch_length = epochs, 2
    engine.run(range(2), max_epochs=epochs, epoch_length=2)
    return seen, network


def test_three_stages_of_one_run(tmp_path):
    seen, _ = train(tmp_path, 8)
    assert [s[0] for s in seen] == pytest.approx([1e-3] * 4 + [1e-4] * 4 + [1e-5] * 2 + [1e-3] * 4 + [5e-5] * 2)
    assert [s[1:3] for s in seen] == [(1.0, 0.0)] * 10 + [(0.0, 1.0)] * 4 + [(1.0, 1.0)] * 2
    first, second, third = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in ("pixels", "patches", "all"))
    last = torch.load(tmp_path / "model.pt", weights_only=True)
    assert {k.split(".")[0] for k in first if not torch.equal(first[k], second[k])} == {"patches"}
    assert {k.split(".")[0] for k in first if not torch.equal(second[k], third[k])} == {"backbone", "pixels", "patches"}
    assert all(torch.equal(third[k], last[k]) for k in last)


def test_the_patch_branch_waits_for_its_stage(tmp_path):
    network = PatchFCN(backbone="drn_d_22", width=0.0625, patch_branch=True)
    before = {k: v.clone() for k, v in network.patches.state_dict().items()}
    train(tmp_path, 5, network=network)
    assert all(torch.equal(v, before[k]) for k, v in network.patches.state_dict().items())


def test_a_resumed_training_is_in_the_same_stage(tmp_path):
    whole, _ = train(tmp_path / "a", 8)
    rest, _ = train(tmp_path / "b", 8, start=6)
    assert rest == whole[12:]


def test_a_coarse_stage_sees_averaged_pixels(tmp_path):
    network = torch.nn.Conv2d(1, 2, 1)
    sides = []
    engine = Engine(lambda engine, batch: sides.append(tuple(batch["image"].shape[2:])))
    stages = [{"name": "coarse", "epochs": 1, "learning_rate": 1.0, "coarse": 2},
              {"name": "fine", "epochs": 1, "learning_rate": 1.0}]  # fmt: skip
    Stages(stages, network, torch.optim.SGD(network.parameters(), 1.0), PatchFCNLoss(), str(tmp_path)).attach(engine)
    item = {"image": torch.zeros(2, 1, 8, 8), "label": torch.zeros(2, 1, 8, 8)}
    engine.run([item, item], max_epochs=2)
    assert sides == [(4, 4)] * 2 + [(8, 8)] * 2
    assert item["image"].shape[2:] == (8, 8)
