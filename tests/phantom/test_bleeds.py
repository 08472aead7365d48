"""Bleeds on the head grid: solved volumes, spaces, what they push."""

import pytest
import torch

from hemorrhage.phantom.bleeds import add_bleeds
from hemorrhage.phantom.draws import Draws
from hemorrhage.phantom.head import draw_head, grid_points
from hemorrhage.phantom.space import DOMAINS, NoRoomError, Space, share_of_space


@pytest.fixture(scope="module")
def head():
    return draw_head(Draws(2))


def bled(head, name, ml, seed=4):
    return add_bleeds(head, [name], Draws(seed), {name: ml})


def test_domains_cover_the_subtypes_and_part_space():
    """Blood in ventricles and in sulci never shares a point, whatever the level."""
    ventricle = torch.linspace(0, 1, 11)
    space = Space(depth=torch.full((11,), 20.0), csf=torch.ones(11), ventricle=ventricle)
    head = draw_head(Draws(0))
    everywhere = torch.full((11,), 50.0)
    shares = {
        name: share_of_space(bled(head, name, 2.0).bleeds[0], everywhere, space, 1.0) for name in ("SAH", "IVH", "EDH")
    }
    assert set(DOMAINS) == {"EDH", "SDH", "SAH", "IPH", "IVH"}
    assert bool(((shares["SAH"] + shares["IVH"]) <= 1 + 1e-6).all())
    assert shares["IVH"].tolist() == pytest.approx(ventricle.tolist())
    assert shares["EDH"].tolist() == pytest.approx([1.0] * 11)


def test_large_collections_shift_the_midline_away(head):
    """The falx at the middle of the head lies beside x = 0 after 90 mL on one side, by millimeters."""
    before = head.fields["midline"]
    after = bled(head, "SDH", 90.0)
    x, y, z = grid_points("cpu")
    middle = (x.abs() < 2) & (y.abs() < 30) & (z.abs() < 30)
    moved = float((after.fields["midline"] - before)[middle].mean())
    side = float((x[(after.fields["level_SDH"] > 0) & (head.fields["depth"] > 0)]).mean())
    assert 0.5 < abs(moved) < 15
    # The falx moves away from the bleed: points now lie on the bleed's side of it.
    assert moved * side > 0


def test_tissue_is_displaced_and_not_only_painted(head):
    after = bled(head, "IPH", 40.0)
    moved = torch.sqrt(sum((after.fields[k] - head.fields[k]) ** 2 for k in ("bx", "by", "bz")))
    assert 3.0 < float(moved.max()) < 40.0


def test_small_bleeds_leave_the_head_almost_as_it_was(head):
    after = bled(head, "IPH", 0.3)
    assert float((after.fields["midline"] - head.fields["midline"]).abs().max()) < 3.0


def test_no_room_is_said(head):
    with pytest.raises(NoRoomError, match="room for"):
        bled(head, "EDH", 2000.0)


def test_every_subtype_can_be_put_into_every_head():
    failed = 0
    for seed in range(3):
        head = draw_head(Draws(seed))
        for name in DOMAINS:
            try:
                assert bled(head, name, 3.0, seed).bleeds[0].subtype == name
            except NoRoomError:
                failed += 1
    assert failed == 0
