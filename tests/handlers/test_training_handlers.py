"""A tiny training, whole: what is saved, how it goes on, when it stops."""

import math
import time

import numpy as np
import pandas as pd
import pytest
import torch
from ignite.engine import Engine
from ignite.handlers import EMAHandler
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import MeanDice, ValidationHandler, from_engine
from monai.inferers import SimpleInferer
from monai.transforms import AsDiscreted, Compose, RandGaussianNoised

from hemorrhage.errors import ScanError
from hemorrhage.handlers import (
    AnnealOverBudget,
    BestWeights,
    Checkpoints,
    CurveWriter,
    ReseedEveryEpoch,
    StopAfter,
    StopOnBadLoss,
    StopOnPlateau,
)


def training(folder, epochs, resume=False, plateau=None, spoil=None, budget=None, initial_weights=None):
    torch.manual_seed(5)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Dropout(0.3), torch.nn.Conv2d(4, 1, 1))
    numbers = np.random.default_rng(3)
    images = numbers.normal(size=(6, 1, 8, 8)).astype(np.float32)
    if spoil is not None:
        images[spoil, 0, 0, 0] = np.nan
    items = [{"image": torch.from_numpy(i), "label": torch.from_numpy((i > 0.5).astype(np.float32))} for i in images]
    noise = Compose([RandGaussianNoised("image", prob=0.8, std=0.5)])
    data = Dataset(items, noise)
    optimizer = torch.optim.Adam(net.parameters(), 0.05)
    best = BestWeights(str(folder), net)
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(items), batch_size=2),
        network=net,
        inferer=SimpleInferer(),
        postprocessing=AsDiscreted("pred", threshold=0.0),
        key_val_metric={"val_dice": MeanDice(output_transform=from_engine(["pred", "label"]))},
        val_handlers=[best],
    )
    plateau = plateau(evaluator) if plateau else StopOnPlateau(evaluator, "val_dice", min_epochs=99)
    handlers = [
        ReseedEveryEpoch(11, [noise]),
        StopOnBadLoss(),
        ValidationHandler(1, evaluator),
        CurveWriter(str(folder), evaluator),
        plateau,
        StopAfter(budget),
        Checkpoints(
            str(folder), net, optimizer, {"best": best, "plateau": plateau}, resume, initial_weights=initial_weights
        ),
    ]
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=DataLoader(data, batch_size=2, shuffle=True),
        network=net,
        optimizer=optimizer,
        loss_function=torch.nn.BCEWithLogitsLoss(),
        inferer=SimpleInferer(),
        train_handlers=handlers,
    )
    trainer.run()
    return net, trainer, pd.read_csv(folder / "curves.csv")


def test_a_resumed_training_is_the_unbroken_one(tmp_path):
    whole, _, curve = training(tmp_path / "whole", 5)
    training(tmp_path / "parts", 2)
    parts, trainer, pieced = training(tmp_path / "parts", 5, resume=True)
    assert trainer.state.epoch == 5
    assert trainer.state.iteration == 15
    for key in ("epoch", "train_loss", "val_dice"):
        assert curve[key].tolist() == pieced[key].tolist()
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(a, b)
    assert (tmp_path / "parts/curves.png").stat().st_size > 1000


def test_epochs_differ_from_each_other(tmp_path):
    _, _, curve = training(tmp_path, 3)
    assert curve["train_loss"].nunique() == 3


def test_a_training_is_never_overwritten_by_mistake(tmp_path):
    training(tmp_path, 1)
    before = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(ScanError, match=r"E_WOULD_OVERWRITE.*--resume True"):
        training(tmp_path, 2)
    assert (tmp_path / "last.pt").read_bytes() == before


def test_a_cut_checkpoint_is_refused_by_name(tmp_path):
    training(tmp_path, 1)
    path = tmp_path / "last.pt"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ScanError, match=r"E_CHECKPOINT\] .*last\.pt"):
        training(tmp_path, 2, resume=True)


def test_the_best_weights_are_those_of_the_best_epoch(tmp_path):
    net, _, curve = training(tmp_path, 6)
    weights = torch.load(tmp_path / "model.pt", weights_only=True)
    assert set(weights) == set(net.state_dict())
    if curve["val_dice"].argmax() == 5:
        assert torch.equal(weights["2.weight"], net[2].weight)
    else:
        assert not torch.equal(weights["2.weight"], net[2].weight)


def test_training_can_start_from_weights(tmp_path):
    trained, _, _ = training(tmp_path / "a", 3)
    torch.save(trained.state_dict(), tmp_path / "w.pt")
    _, _, scratch = training(tmp_path / "b", 1)
    _, _, tuned = training(tmp_path / "c", 1, initial_weights=str(tmp_path / "w.pt"))
    assert tuned["train_loss"][0] < scratch["train_loss"][0]


def test_a_running_average_starts_from_the_same_weights(tmp_path):
    """Else it begins with random ones, of which a short training keeps a share."""
    net = torch.nn.Linear(3, 1)
    torch.save({"weight": torch.full((1, 3), 2.0), "bias": torch.tensor([7.0])}, tmp_path / "w.pt")
    average = EMAHandler(net, momentum=0.1)
    trainer = Engine(lambda engine, batch: net.bias.data.add_(1.0))
    average.attach(trainer)
    kept = {"average": average.ema_model, "best": BestWeights(str(tmp_path), net)}
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    Checkpoints(str(tmp_path), net, optimizer, kept, initial_weights=str(tmp_path / "w.pt")).attach(trainer)
    trainer.run([0], max_epochs=1)
    assert float(net.bias) == pytest.approx(8.0)
    assert float(average.ema_model.bias) == pytest.approx(0.9 * 7.0 + 0.1 * 8.0)
    assert average.ema_model.weight.tolist() == [[pytest.approx(2.0)] * 3]


def test_the_first_loss_that_is_not_finite_ends_it_and_keeps_the_checkpoint(tmp_path):
    training(tmp_path, 1)
    before = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(ScanError, match=r"E_LOSS.*epoch 2"):
        training(tmp_path, 2, resume=True, spoil=4)
    assert (tmp_path / "last.pt").read_bytes() == before


def test_the_budget_ends_it_after_a_whole_epoch(tmp_path):
    _, trainer, curve = training(tmp_path, 50, budget=0.0)
    assert trainer.state.epoch == 1
    assert len(curve) == 1
    assert torch.load(tmp_path / "last.pt", weights_only=True)["epoch"] == 1


def test_the_rate_rises_and_falls_over_the_time_and_a_resumed_training_ends_with_it(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), 123.0)

    def run(handler, epochs):
        """The learning rates of epochs of two steps of a tenth of the time each."""
        found = []

        def step(engine, batch):
            found.append(optimizer.param_groups[0]["lr"])
            clock[0] += 1.0

        engine = Engine(step)
        handler.attach(engine)
        engine.run(range(2), max_epochs=epochs)
        return found

    first = AnnealOverBudget(optimizer, rate=0.5, seconds=10.0)
    rates = run(first, 3)
    assert len(rates) == 6
    assert rates[0] < 0.1  # it begins to rise
    assert rates[1] > 0.45
    assert rates[1:] == sorted(rates[1:], reverse=True)

    second = AnnealOverBudget(optimizer, rate=0.5, seconds=10.0)
    second.load_state_dict(first.state_dict())
    clock[0] += 1000.0  # between two runs no time is spent
    rest = run(second, 50)
    assert len(rest) == 4  # the other four tenths
    assert rest[0] < rates[-1]
    third = AnnealOverBudget(optimizer, rate=0.5, seconds=10.0)
    third.load_state_dict(second.state_dict())
    assert run(third, 50) == pytest.approx([0.005, 0.005])  # once more: one epoch at a hundredth
    with pytest.raises(ValueError, match="max_seconds"):
        AnnealOverBudget(optimizer, 0.5, None)


class Fake:
    """An engine that has just ended an epoch, and may be told to stop."""

    def __init__(self):
        self.state = type("State", (), {"epoch": 0, "metrics": {}})()
        self.stopped = False

    def terminate(self):
        self.stopped = True


@pytest.mark.parametrize(
    ("losses", "min_epochs", "stops_after"),
    [
        # Averages of two: 4, 3.5, 3, 3, 3.5: the lowest is at epoch 3, and two more bring no new one.
        ([4, 3, 3, 3, 4, 1], 1, 5),
        ([4, 3, 3, 3, 4, 4], 6, 6),
        ([5, 4, 3, 2, 1, 0], 1, None),
    ],
)
def test_plateau_by_moving_average(losses, min_epochs, stops_after):
    trainer, validator = Fake(), Fake()
    plateau = StopOnPlateau(validator, "val_loss", min_epochs=min_epochs, window=2, patience=2)
    stopped = None
    for epoch, loss in enumerate(losses, 1):
        trainer.state.epoch = validator.state.epoch = epoch
        validator.state.metrics["val_loss"] = loss
        plateau(trainer)
        if trainer.stopped and stopped is None:
            stopped = epoch
    assert stopped == stops_after


def test_plateau_resumes_where_it_was():
    validator = Fake()
    one, two = (StopOnPlateau(validator, window=3) for _ in range(2))
    trainer = Fake()
    for epoch, loss in enumerate((3.0, 2.0, 2.5), 1):
        trainer.state.epoch = validator.state.epoch = epoch
        validator.state.metrics["val_loss"] = loss
        one(trainer)
    two.load_state_dict(one.state_dict())
    assert two.state_dict() == one.state_dict()
    assert math.isclose(two.lowest, 2.5)
