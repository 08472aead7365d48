import torch

from hemorrhage.transforms.tissue_shift import RandTissueShiftd


def test_tissue_moves_by_one_number_and_nothing_stays_nothing():
    image = torch.tensor([[[0.0, 0.5], [0.25, 1.0]]])
    shift = RandTissueShiftd("image", 0.1, prob=1.0)
    shift.set_random_state(0)
    moves = set()
    for _ in range(50):
        moved = shift({"image": image})["image"] - image
        assert moved[0, 0, 0] == 0
        assert torch.allclose(moved[image > 0], moved[0, 0, 1].expand(3), atol=1e-6)
        moves.add(round(float(moved[0, 0, 1]), 4))
    assert len(moves) > 40
    assert -0.1 <= min(moves) < -0.08
    assert 0.08 < max(moves) <= 0.1


def test_some_items_stay_as_they_are():
    shift = RandTissueShiftd("image", 0.1, prob=0.5)
    shift.set_random_state(0)
    image = torch.ones(1, 2, 2)
    same = sum(torch.equal(shift({"image": image})["image"], image) for _ in range(200))
    assert 70 < same < 130
