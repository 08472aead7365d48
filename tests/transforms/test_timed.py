import time

import torch
from monai.transforms import Compose, Flipd, Lambdad, apply_transform

from hemorrhage.transforms.timed import TimedCompose


class Slow:
    def __call__(self, data):
        time.sleep(0.02)
        return data


def test_it_gives_what_compose_gives_and_the_seconds():
    steps = [Slow(), Flipd("x", spatial_axis=0), Slow(), Lambdad("x", lambda x: x + 1)]
    data = {"x": torch.arange(6.0).reshape(1, 2, 3)}
    out = apply_transform(TimedCompose(steps), data)  # as MONAI's engines and datasets call it
    assert torch.equal(out["x"], Compose(steps)(data)["x"])
    assert set(out["seconds"]) == {"Slow", "Flipd", "Lambdad"}
    assert 0.04 <= out["seconds"]["Slow"] < 1
    assert "seconds" not in data


def test_two_compositions_fill_one_record():
    first = TimedCompose([Slow()])({"x": torch.zeros(1, 2)})
    second = TimedCompose([Lambdad("x", lambda x: x)])(first)
    assert second["seconds"]["Slow"] == first["seconds"]["Slow"]
    assert set(second["seconds"]) == {"Slow", "Lambdad"}


def test_it_inverts():
    compose = TimedCompose([Flipd("x", spatial_axis=1)])
    data = {"x": torch.arange(6.0).reshape(1, 2, 3)}
    out = compose(data)
    out.pop("seconds")
    assert torch.equal(compose.inverse(out)["x"], data["x"])
