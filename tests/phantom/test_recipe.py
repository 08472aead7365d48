"""Ingredients: each can be left out, and is seen where it is put in."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from hemorrhage.phantom.bleeds import add_bleeds
from hemorrhage.phantom.case import make_case
from hemorrhage.phantom.draws import Draws
from hemorrhage.phantom.extra_axial import add_collection
from hemorrhage.phantom.head import FAR_MM, METAL_HU, draw_head
from hemorrhage.phantom.recipe import Recipe
from hemorrhage.phantom.render import crisp, draw_planes
from hemorrhage.phantom.scanner import Scanner, draw_scanner
from hemorrhage.phantom.space import Space, share_of_space, space_of
from hemorrhage.phantom.statistics import DENSITY_HU, LEVELS, draw_density

NOTHING = Recipe().without(*(f.name for f in fields(Recipe)))


def test_a_name_that_is_no_ingredient_is_refused():
    with pytest.raises(ValueError, match="no ingredient 'salt'"):
        Recipe().without("salt")


def test_what_is_left_out_is_zero_and_the_rest_stays():
    left = Recipe().without("dura", "metal")
    assert (left.dura, left.metal) == (0.0, 0.0)
    assert replace(left, dura=1.0, metal=Recipe().metal) == Recipe()


def test_a_head_of_nothing_has_no_contrast_but_tissue():
    for seed in range(3):
        head = draw_head(Draws(seed), NOTHING)
        n = head.numbers
        assert n["dura"] == n["sinus"] == n["vessel"] == n["vein"] == pytest.approx(n["gray"])
        assert n["rough_mm"] == n["rough_fine_mm"] == n["fracture"] == n["edge_mm"] == 0.0
        assert not bool(head.fields["pale"].any())
        assert float(head.fields["trauma"].min()) == FAR_MM
        assert n["calcification"] < METAL_HU
        scanner = draw_scanner(Draws(seed), recipe=NOTHING)
        assert scanner.hardening == scanner.glare == scanner.tails == 0.0


def test_deep_veins_and_the_tentorial_edge_are_brighter_than_brain_and_lie_deep():
    still = Scanner(noise_hu=0.01, hardening=0.0, streak_hu=0.0, holder=False)
    options = {"spacing_mm": (2.0, 2.0, 2.0), "subtypes": (), "scanner": still, "pose": False}
    seen, bare = (make_case(1, recipe=recipe, **options) for recipe in (Recipe(), Recipe().without("veins")))
    difference = seen.hu - bare.hu
    brighter = (difference > 2).nonzero().float()
    assert len(brighter) > 100
    assert float(difference.min()) > -2
    place = (brighter - (torch.tensor(difference.shape) - 1) / 2) * 2.0  # mm from the middle of the head
    assert float(place.abs().max()) < 60
    assert abs(float(place[:, 0].mean())) < 6  # on both sides alike


def test_gyri_touch_the_table_where_the_brain_is_snug():
    """The fluid of the averaged atlas under the table goes, that of the ventricles stays."""
    head = draw_head(Draws(4), NOTHING)
    loose = space_of(head)
    snug = space_of(replace(head, numbers={**head.numbers, "snug": 1.0, "snug_mm": 4.0}))
    rim = (loose.depth > 0) & (loose.depth < 2)
    assert float(snug.csf[rim].mean()) < 0.2 * float(loose.csf[rim].mean())
    assert torch.equal(snug.csf[loose.depth > 8], loose.csf[loose.depth > 8])
    assert head.numbers["snug"] == 0.0


def test_gyri_part_gray_from_white():
    shares = torch.tensor([0.0, 0.4, 0.5, 0.6, 1.0])
    assert crisp(shares, 0.5, 3.0).tolist() == pytest.approx([0.0, 0.2, 0.5, 0.8, 1.0])
    assert torch.equal(crisp(shares, 0.45, 1.0), shares)
    plain, folded = (draw_head(Draws(6), replace(NOTHING, gyri=amount)) for amount in (0.0, 1.0))
    assert all(torch.equal(plain.fields[n], folded.fields[n]) for n in plain.fields)
    assert (plain.numbers["crispness"], plain.numbers["folds"]) == (1.0, 0.0)
    changed = {n for n in plain.numbers if plain.numbers[n] != folded.numbers[n]}
    assert changed == {"crispness", "folds", "white"}
    assert -1.0 <= plain.numbers["white"] - folded.numbers["white"] <= 4.0


def test_gyri_are_drawn():
    """A crisper head has the same two densities, and less tissue halfway between them."""
    head = draw_head(Draws(1), NOTHING)
    gray, white = head.numbers["gray"], head.numbers["white"]
    origin, first, second = torch.tensor([[-60.0, -80.0, 20.0]]), torch.tensor([2.0, 0, 0]), torch.tensor([0, 2.0, 0])
    halfway = []
    for crispness in (1.0, 4.0):
        crisper = replace(head, numbers={**head.numbers, "crispness": crispness, "half_white": 0.5})
        hu = draw_planes(crisper, origin, first, second, (60, 80)).hu
        halfway.append(int(((hu - (gray + white) / 2).abs() < (gray - white) / 4).sum()))
    assert 100 < halfway[1] < 0.7 * halfway[0]


def test_blows_break_and_swell_where_they_fall():
    """The point that was hit lies on the vault, and the fracture's plane passes through it."""
    hits = [draw_head(Draws(seed), replace(NOTHING, trauma=1.0)) for seed in range(4)]
    assert {h.numbers["fracture"] for h in hits} == {0.0, 1.0}
    for head in hits:
        nearest = head.fields["trauma"].argmin()
        assert float(head.fields["trauma"].flatten()[nearest]) < 3.0
        assert abs(float(head.fields["depth"].flatten()[nearest])) < 5.0
        if head.numbers["fracture"]:
            # the plane waves by 1.5 mm for each unit of noise
            assert abs(float(head.fields["crack"].flatten()[nearest])) < 6.0


def test_extra_axial_blood_lies_below_the_blow():
    near = 0
    for seed in range(4):
        head = draw_head(Draws(seed), replace(NOTHING, trauma=1.0))
        bled = add_bleeds(head, ["SDH"], Draws(seed), {"SDH": 10.0})
        inside = (bled.fields["level_SDH"] > 0) & (head.fields["depth"] > 0)
        near += float(head.fields["trauma"][inside].min()) < 25
    assert near >= 2


def test_a_hole_in_the_vault_takes_bone_away():
    whole, opened = (draw_head(Draws(5), replace(NOTHING, skull_defects=d)) for d in (0.0, 1.0))
    vault = whole.fields["depth"] < 0
    assert float((whole.fields["bone"] > 0)[vault].float().mean()) > float(
        (opened.fields["bone"] > 0)[vault].float().mean()
    )


def test_fluid_under_the_table_keeps_the_clot_away_from_it():
    """The clot's volume is the wanted one although fluid takes the place at the table."""
    head = draw_head(Draws(2), NOTHING)
    r = Recipe(mixed_clots=1.0)
    bled = add_bleeds(head, ["SDH"], Draws(3), {"SDH": 30.0}, recipe=r)
    assert bled.bleeds[0].fluid_mm >= 1.0
    assert 18 <= bled.bleeds[0].fluid_hu <= 36


def test_a_sheet_of_clot_is_as_thick_as_asked_with_fluid_behind_it():
    head = draw_head(Draws(2), NOTHING)
    thick = []
    for seed in range(8):
        bleed = add_bleeds(head, ["EDH"], Draws(seed), {"EDH": 20.0}, recipe=Recipe(mixed_clots=1.0)).bleeds[0]
        assert 18 <= bleed.fluid_hu <= 36
        assert (bleed.fluid_mm > 0) != math.isfinite(bleed.lamina_mm)
        thick.append(bleed.lamina_mm)
    assert any(math.isfinite(mm) for mm in thick)
    # At 40 mm under the table, so that nothing else limits it: from the brain outward, clot, then fluid.
    flat = replace(bleed, lamina_mm=5.0, fluid_mm=0.0)
    level = torch.tensor([-1.0, 1.0, 4.0, 6.0, 15.0])
    deep = Space(torch.full((5,), 40.0), torch.zeros(5), torch.zeros(5))
    assert share_of_space(flat, level, deep, 0.5).tolist() == [0.0, 1.0, 1.0, 0.0, 0.0]
    assert share_of_space(flat.whole, level, deep, 0.5).tolist() == [0.0, 1.0, 1.0, 1.0, 1.0]


def test_a_hygroma_is_no_bleed():
    head = add_collection(draw_head(Draws(2), NOTHING), Draws(1))
    assert head.bleeds == ()
    assert bool((head.fields["collection"] > 0).any())
    assert head.numbers["collection"] <= head.numbers["csf"] + 8


def test_the_bare_head_is_the_one_before_its_bleed():
    head = draw_head(Draws(2), NOTHING)
    bled = add_bleeds(head, ["IPH"], Draws(3), {"IPH": 30.0})
    assert bled.bare is head
    assert not torch.equal(bled.fields["bx"], head.fields["bx"])


def test_edema_pales_white_matter_on_one_side_and_moves_nothing_else():
    """Leaving an ingredient out gives the same head without it, since each is drawn from a stream of its own."""
    plain, swollen = (draw_head(Draws(6), replace(NOTHING, edema=share)) for share in (0.0, 1.0))
    drop = swollen.fields["pale"]
    assert -18 <= float(drop.min()) < -5
    sides = plain.fields["midline"][drop < -1]
    assert bool((sides > -4).all()) or bool((sides < 4).all())
    assert {n for n in plain.fields if not torch.equal(plain.fields[n], swollen.fields[n])} == {"pale"}
    assert plain.numbers == swollen.numbers


def test_faint_blood_comes_more_often_where_it_is_asked_for():
    """u ** 2 has its median at 0.25: half of the bleeds then lie in the table's lowest quarter."""
    quarter = DENSITY_HU["IPH"][1][LEVELS.index(0.25)]
    r = Draws(0)
    low = [draw_density("IPH", 10.0, r, faint=2.0) <= quarter for _ in range(2000)]
    assert np.mean(low) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize(("share", "least"), [(0.0, 15.0), (0.4, 9.0)])
def test_faint_blood_can_be_left_out_and_in_part(share, least):
    head = draw_head(Draws(2), NOTHING)
    recipe = replace(NOTHING, faint_blood=share)
    drawn = [
        add_bleeds(head, ["IVH"], Draws(seed), {"IVH": 1.0}, recipe=recipe).bleeds[0].density_hu for seed in range(6)
    ]
    assert min(drawn) == pytest.approx(head.numbers["gray"] + least)  # most small IVH of the table are fainter


@pytest.mark.parametrize("name", ["EDH", "SDH", "SAH", "IPH"])
def test_blood_outside_the_ventricles_has_the_least_contrast_that_is_asked_for(name):
    head = draw_head(Draws(2), NOTHING)
    recipe = replace(NOTHING, faint_blood=4.0, least_contrast_hu=12.0)
    drawn = [add_bleeds(head, [name], Draws(seed), {name: 3.0}, recipe=recipe).bleeds[0] for seed in range(6)]
    assert min(b.density_hu for b in drawn) == pytest.approx(head.numbers["gray"] + 12.0)


def test_the_cerebellum_has_a_density_of_its_own_below_the_tentorium():
    plain, other = (draw_head(Draws(4), replace(NOTHING, cerebellum=share)) for share in (0.0, 1.0))
    change = other.fields["change"] - plain.fields["change"]
    inside = change.abs() > 1e-3
    assert inside.any()
    assert float(other.fields["tent"][inside].max()) < 2.5
    level = change[inside].abs().max()
    assert 0 < float(level) <= 6
    assert torch.sign(change[inside]).unique().numel() == 1
    assert plain.numbers == other.numbers
