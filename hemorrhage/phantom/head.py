"""A head without a scanner: smooth fields on one 3 mm grid in the head's own coordinates, and a few plain numbers.

Fields are surfaces as signed distances, coordinates into the atlas, and noise; all of them are smooth, so that a
coarse grid holds them and :mod:`hemorrhage.phantom.render` can draw them sharp at any spacing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from torch.nn import functional

from hemorrhage.phantom.anatomy import CENTER_MM, load_anatomy, sample
from hemorrhage.phantom.draws import Draws
from hemorrhage.phantom.face import Face, draw_face
from hemorrhage.phantom.recipe import Recipe
from hemorrhage.phantom.shapes import capsule, ellipsoid, step

__all__ = ["FAR_MM", "GRID_LOW_MM", "GRID_SHAPE", "GRID_STEP_MM", "Head", "draw_head", "grid_points"]

FAR_MM = 99.0
METAL_HU = 6000.0
GRID_STEP_MM = 3.0
GRID_LOW_MM = (-102.0, -123.0, -123.0)
GRID_SHAPE = (69, 80, 73)


@dataclass(frozen=True)
class Head:
    """One head, with or without bleeds.

    Attributes:
        fields: name to (X, Y, Z) tensor on the head grid: ``bx by bz`` atlas mm at which brain tissue is looked up,
            ``depth`` mm below the inner table, ``skin``, ``bone``, ``inner_bone``, ``air``, ``falx``, ``tent_region``,
            ``sinus``, ``vessel``, ``vein``, ``calcification`` signed distances in mm, ``midline`` and ``tent`` signed
            heights in mm above falx and tentorium, ``soft`` HU outside the skull, ``change`` HU added to brain tissue,
            ``pale`` HU added to white matter alone, ``middle`` and ``fine`` noise, ``trauma`` distance in mm to where
            the head was hit (FAR where it was not) and ``crack`` signed distance to the plane of its fracture.
        numbers: HU of tissues and widths in mm, by name.
        scale: (3,) atlas mm a mm of this head.
        bleeds: what :mod:`hemorrhage.phantom.bleeds` added.
        bare: the same head before that, None where it is this one.
    """

    fields: dict[str, torch.Tensor]
    numbers: dict[str, float]
    scale: tuple[float, float, float]
    bleeds: tuple = field(default=())
    bare: Head | None = None

    def with_fields(self, **fields: torch.Tensor) -> Head:
        """A copy in which some fields are replaced or added."""
        return replace(self, fields={**self.fields, **fields})

    @property
    def device(self) -> torch.device:
        """Where its fields lie."""
        return self.fields["depth"].device


@lru_cache(maxsize=4)
def grid_points(device: str = "cpu") -> torch.Tensor:
    """(3, X, Y, Z) coordinates of the head grid in mm from the head's center (RAS)."""
    axes = [
        torch.arange(n, device=device, dtype=torch.float32) * GRID_STEP_MM + low
        for n, low in zip(GRID_SHAPE, GRID_LOW_MM, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def draw_head(r: Draws, recipe: Recipe | None = None, trauma_share: float | None = None) -> Head:
    """Draw a head without blood.

    Args:
        r: chance; its device is where the head is made.
        recipe: ingredients.
        trauma_share: chance that the head was hit; the recipe's by default.
    """
    recipe = recipe or Recipe()
    device = str(r.device)
    anatomy = load_anatomy(device)
    points = grid_points(device)
    shape = GRID_SHAPE
    age = r.uniform(0.0, 1.0)
    atrophy = min(1.0, max(0.0, r.normal(0.15 + 0.55 * age, 0.22)))

    size = r.normal(1.085, 0.035, 1.0, 1.18)  # the ICBM brain is larger than people's: 1.9 L against 1.5 L
    scale = tuple(size * r.normal(1.0, 0.02, 0.95, 1.06) for _ in range(3))
    # Slightly asymmetric: the left occipital and right frontal poles reach farther (petalia).
    twist = r.normal(0.0, 0.012)
    a = torch.stack([points[k] * scale[k] + CENTER_MM[k] for k in range(3)])
    a[1] = a[1] + twist * a[0]
    amount = r.uniform(1.0, 4.0)
    for k in range(3):
        a[k] += amount * 0.6 * r.smooth(shape, (5, 6, 5))
    x, y, z = a

    middle = r.smooth(shape, (14, 16, 15))
    fine = r.smooth(shape, (35, 40, 37))
    rim = r.uniform(-1.0, 1.5)
    depth = (sample(anatomy.distance, a)[0] - rim) / size
    tent_height = sample(anatomy.tentorium, torch.stack([x, y, torch.zeros_like(x)]))[0]
    tent = (z - tent_height) / size

    # Brain tissue: wider sulci and ventricles with age.
    shrink = 0.06 * atrophy - 0.02
    b = torch.stack([a[k] + (a[k] - CENTER_MM[k]) * shrink for k in range(3)])
    widen = r.uniform(-0.12, 0.14) + 0.34 * atrophy
    pull = 1.0 - widen * torch.exp(-((x / 34) ** 2 + ((y + 12) / 52) ** 2 + ((z - 12) / 30) ** 2))
    b = torch.stack([b[0] * pull, (b[1] + 12) * pull - 12, (b[2] - 10) * pull + 10])
    wiggle = r.uniform(0.3, 1.8)
    for k in range(3):
        b[k] += wiggle * r.smooth(shape, (15, 17, 16))

    face = _face_below((x, y, z), fine, middle, r)
    outside = -depth
    broad = r.smooth(shape, (5, 5, 5))
    thickness = r.uniform(3.0, 6.8) * (1 + 0.18 * broad).clamp(min=0.4)
    thickness = thickness * (1 + r.uniform(0.0, 0.5) * step(-y - 70, 30) * step(z + 35, 20))
    # Thin at the temple and over the orbits, none where the cord leaves.
    base = step(-18 - z - 0.2 * y, 12)
    thickness = thickness * (1 - 0.45 * base) * step(z + 62, 6) * (1 - 0.35 * step(x.abs() - 52, 12) * step(10 - z, 20))
    vault = thickness - outside
    bone = torch.maximum(vault, torch.where(depth < 0.5, face.bone / size, torch.full_like(x, -9.0)))
    bone = torch.minimum(bone, -face.sella / size)
    # Air cells lie within face and skull base, and keep a wall of bone before the brain.
    air = torch.minimum(face.air / size, outside - r.uniform(1.5, 2.5))

    scalp = (r.uniform(3.5, 8.0) * (1 + 0.2 * broad)).clamp(min=2.0)
    temple = step(x.abs() - 42, 14) * step(30 - z, 30) * step(y + 20, 20) * step(55 - y, 20)
    scalp = scalp + r.uniform(4, 12) * temple + r.uniform(2, 9) * step(-z - 15, 30) * step(-y - 30, 30)
    hit = r.chance(recipe.trauma if trauma_share is None else trauma_share)
    site = _place_on_vault(points, depth, r)
    broken = hit and r.chance(0.5)
    trauma = _distance_to(points, site) if hit else torch.full_like(depth, FAR_MM)
    crack = _crack(points, site, middle, r) if broken else torch.full_like(depth, FAR_MM)
    hematoma, scalp = _scalp_hematoma(trauma, scalp, middle, r)
    if r.chance(recipe.skull_defects):
        opened = _distance_to(points, _place_on_vault(points, depth, r)) - r.uniform(8, 45)
        bone = torch.minimum(bone, opened)
    skin = torch.maximum(scalp - (outside - thickness), face.skin / size)
    soft = _soft_tissue(face, outside - thickness, scalp, temple, middle, fine, (x, y, z), hematoma, r)

    falx_reach = 20 + 12 * step(30 - y, 70) + 25 * step(-10 - y, 70)
    falx = torch.minimum(torch.minimum(falx_reach - depth, tent + 1.0), (z + 0.25 * y + 4) / size)
    notch = torch.sqrt((x / 19) ** 2 + ((y + 26) / 30) ** 2) - 1
    tent_region = torch.minimum(torch.minimum(-28 - y, 12 * notch), 62 - x.abs()) / size

    fields = {
        "bx": b[0], "by": b[1], "bz": b[2],
        "depth": depth, "skin": skin, "bone": bone, "inner_bone": face.inner_bone / size, "air": air,
        "soft": soft, "midline": x / size, "tent": tent, "falx": falx, "tent_region": tent_region,
        "sinus": _dural_sinuses((x, y, z), depth, tent, r) , "vessel": _arteries((x, y, z), r) / size,
        "calcification": _calcifications((x, y, z), fine, age, r, recipe.calcifications) / size,
        "change": _tissue_change((x, y, z), depth, middle, age, r, recipe.old_lesions)
        + recipe.deep_nuclei * _deep_nuclei(b, r),
        "pale": _white_matter_edema((x, y, z), depth, recipe.edema, r.spawn()),
        "vein": _deep_veins((x, y, z), r.spawn()) / size,
        "middle": middle, "fine": fine, "trauma": trauma, "crack": crack,
    }  # fmt: skip
    gray = r.normal(36.5, 2.2, 31, 42)
    dense = r.chance(0.15)
    sinus_hu, vessel_hu = r.uniform(58, 72) if dense else r.uniform(44, 62), r.uniform(38, 62)
    numbers = {
        "age": age, "atrophy": atrophy, "gray": gray, "white": gray - r.uniform(4.5, 9.0), "csf": r.uniform(2, 12),
        "csf_floor": r.uniform(0.10, 0.35) * (1.15 - atrophy), "csf_gain": r.uniform(1.0, 1.8) * (0.7 + 0.7 * atrophy),
        "dura": gray + recipe.dura * (r.uniform(42, 62) - gray),
        "falx_mm": r.uniform(0.35, 1.1), "falx_share": r.uniform(0.4, 1.0),
        "tent_mm": r.uniform(0.2, 0.7), "tent_share": r.uniform(0.1, 0.8),
        "dura_mm": r.uniform(0.4, 1.6),
        "sinus": gray + recipe.sinuses * (sinus_hu - gray), "vessel": gray + recipe.sinuses * (vessel_hu - gray),
        "calcification": METAL_HU if r.chance(recipe.metal) else r.log_uniform(90, 450),
        "vein": gray + recipe.veins * (r.spawn().uniform(40, 64) - gray),
        "edge_mm": recipe.veins * r.spawn().uniform(0.0, 0.8),
        "cortical": r.uniform(1150, 1800), "diploe": r.uniform(350, 950), "base_bone": r.uniform(600, 1300),
        "rough_mm": recipe.uneven_bone * r.uniform(0.1, 0.9),
        "rough_fine_mm": recipe.uneven_bone * r.uniform(0.0, 0.7),
        "snug": recipe.snug_brain * (r.uniform(0.5, 1.0) if r.chance(0.85 - 0.6 * atrophy) else r.uniform(0.0, 0.3)),
        "snug_mm": r.uniform(1.0, 4.5),
        "crack_mm": r.uniform(0.3, 1.6), "crack_reach_mm": r.uniform(15, 60),
        # Air enters through a fracture: bubbles where noise is above this.
        "bubbles_above": r.uniform(0.9, 2.2) if broken and r.chance(0.5) else FAR_MM,
        "fracture": float(broken), "hit_x": float(site[0]), "hit_y": float(site[1]), "hit_z": float(site[2]),
    }  # fmt: skip
    fields["change"] = fields["change"] + recipe.cerebellum * _cerebellum((x, y, z), tent, r.spawn())
    numbers = {**numbers, **_gyri(numbers["white"], recipe.gyri, r.spawn())}
    return Head(fields, numbers, scale)  # type: ignore[arg-type]


def _face_below(atlas, fine, middle, r):
    """The face's parts on the whole grid, drawn only in the layers that they reach: nothing of it above z = 15 mm."""
    layers = int((atlas[2].amax((0, 1)) < 22).sum().clamp(min=2))
    face = draw_face([c[:, :, :layers] for c in atlas], fine[:, :, :layers], middle[:, :, :layers], r)
    rest = atlas[2].shape[2] - layers
    return Face(**{name: functional.pad(part, (0, rest), value=-30.0) for name, part in vars(face).items()})


def _place_on_vault(points, depth, r):
    near = ((depth.abs() < 4) & (points[2] > -20)).nonzero()
    c = near[int(r.uniform(0, len(near)))]
    return points[:, c[0], c[1], c[2]]


def _distance_to(points, center):
    return torch.sqrt(sum((points[k] - center[k]) ** 2 for k in range(3)))


def _crack(points, site, middle, r):
    """Signed distance to a slightly wavy plane through ``site`` and roughly through the head's middle."""
    inward = site / torch.linalg.vector_norm(site)
    other = torch.tensor([r.normal(0, 1) for _ in range(3)], device=points.device)
    normal = torch.linalg.cross(inward, other)
    normal = normal / torch.linalg.vector_norm(normal)
    return sum((points[k] - site[k]) * normal[k] for k in range(3)) + 1.5 * middle


def _scalp_hematoma(distance, scalp, middle, r):
    bump = r.uniform(3, 14) * (1 - (distance / r.uniform(18, 60)) ** 2).clamp(min=0) * (1 + 0.2 * middle)
    return step(bump - 1.5, 3.0), scalp + bump.clamp(min=0)


def _soft_tissue(face, beyond_bone, scalp, temple, middle, fine, atlas, hematoma, r):
    """HU between bone and skin: fat under the skin, muscle below it, the orbits' contents."""
    _, y, z = atlas
    muscle_hu, fat_hu = r.uniform(42, 65), r.uniform(-110, -60)
    muscle = muscle_hu + 4 * fine
    fat = fat_hu + 8 * fine
    layer = r.uniform(0.25, 0.6)
    share = step(layer - beyond_bone / scalp.clamp(min=2), 0.4) * 0.8
    # the skin itself, about 2 mm
    share = torch.maximum(share, step(beyond_bone - scalp + 2.0, 1.5))
    share = torch.maximum(share, temple * step(0.8 - beyond_bone / scalp, 0.3))
    deep = step(-z - 28 - 0.2 * y, 14)
    share = share + (step(middle + 0.45 + 0.3 * fine, 0.5) - share) * deep
    hu = fat + (muscle - fat) * share
    hu = hu + (r.uniform(35, 75) + r.uniform(2, 9) * middle - hu) * hematoma
    for part, value in (
        (face.orbit, fat_hu - 5),
        (face.muscle, 50.0),
        (face.globe, 45.0),
        (face.globe - 1.6, r.uniform(4, 14)),
        (face.lens, r.uniform(65, 95)),
    ):
        hu = hu + (value - hu) * step(part, 1.5)
    return hu


def _dural_sinuses(atlas, depth, tent, r):
    x, y, z = atlas
    width = r.uniform(2.5, 5.0)
    shift = r.uniform(-2, 2)
    above = step(torch.minimum(tent + 2, torch.where(y < 30, torch.full_like(y, 9.0), z - 30)), 6)
    sagittal = width - torch.sqrt((x - shift) ** 2 * 0.9 + 0.45 * (depth - 2.0) ** 2) - 9 * (1 - above)
    behind = step(-42 - y, 8)
    dominance = r.uniform(-1.2, 1.2) * torch.sign(x)
    transverse = r.uniform(2.2, 4.2) + dominance - torch.sqrt((depth - 2.5) ** 2 + 0.55 * tent**2) - 9 * (1 - behind)
    sigmoid = capsule((x.abs(), y, z), (57, -48, -30), (40, -36, -62), r.uniform(3, 5.5)) - 12 * step(depth - 9, 4)
    straight = r.uniform(1.2, 2.6) - torch.sqrt(x**2 + (tent - 0.5) ** 2) - 9 * (1 - step(-45 - y, 4))
    torcula = r.uniform(4, 9) - torch.sqrt(0.7 * (x - shift) ** 2 + (depth - 3) ** 2 + 0.7 * tent**2) - 9 * (1 - behind)
    galen = capsule(atlas, (0, -36, 6), (0, -46, 8), 1.8)
    parts = [sagittal, transverse, sigmoid, straight, torcula, galen]
    return torch.stack(parts).amax(0)


def _arteries(atlas, r):
    x, y, z = atlas
    side = (x.abs(), y, z)
    w = r.uniform(1.1, 2.2)
    return torch.stack([
        capsule(atlas, (r.uniform(-3, 3), -20, -44), (0, -15, -22), w + 0.3),
        capsule(side, (8, -26, -64), (1, -20, -44), w),
        capsule(side, (11, 4, -32), (10, 4, -18), w + 0.5),
        capsule(side, (9, 4, -17), (36, 2, -14), w - 0.1),
        capsule(side, (36, 2, -14), (42, -22, 4), w - 0.4),
        capsule(side, (6, 8, -16), (2, 38, -4), w - 0.4),
        capsule(side, (2, -16, -21), (22, -28, -16), w - 0.3),
    ]).amax(0)  # fmt: skip


def _calcifications(atlas, fine, age, r, often):
    x = atlas[0]
    parts = [torch.full_like(x, -20.0)]
    rate = often * (0.4 + 0.6 * age)

    def spot(cx: float, cy: float, cz: float, radius: float) -> None:
        size = (radius * r.uniform(0.7, 1.4), radius * r.uniform(0.7, 1.4), radius * r.uniform(0.7, 1.4))
        parts.append(ellipsoid(atlas, (cx, cy, cz), size))

    if r.chance(0.7 * rate):
        spot(r.uniform(-2, 2), r.uniform(-33, -28), r.uniform(0, 5), r.uniform(1.5, 4.0))
    if r.chance(0.75 * rate):
        for s in (-1.0, 1.0):
            if r.chance(0.85):
                spot(s * r.uniform(20, 27), r.uniform(-46, -36), r.uniform(2, 14), r.uniform(1.5, 4.5))
    if r.chance(0.25 * rate):
        for s in (-1.0, 1.0):
            spot(s * r.uniform(16, 22), r.uniform(-6, 6), r.uniform(-4, 4), r.uniform(1.5, 4.0))
    if r.chance(0.3 * rate):
        spot(0.0, r.uniform(-20, 55), r.uniform(35, 60), r.uniform(2.0, 5.0))
    if r.chance(0.4 * rate):
        for s in (-1.0, 1.0):
            spot(s * r.uniform(9, 13), r.uniform(0, 8), r.uniform(-32, -24), r.uniform(1.0, 2.2))
    return torch.stack(parts).amax(0) + 0.4 * fine


def _deep_nuclei(atlas, r):
    """HU by which caudate, putamen and thalamus are denser than the atlas' mixture of gray and white there."""
    side = (atlas[0].abs(), atlas[1], atlas[2])
    parts = [
        (capsule(side, (12, 18, 4), (16, -8, 22), 6.0, 3.5), r.uniform(0.0, 6.0)),
        (ellipsoid(side, (26, 4, 1), (6.5, 16, 10)), r.uniform(0.0, 5.0)),
        (ellipsoid(side, (11, -19, 8), (9, 14, 9)), r.uniform(0.0, 4.5)),
    ]
    return torch.stack([value * step(part, 4.0) for part, value in parts]).amax(0)


def _cerebellum(atlas, tent, r):
    """HU by which the cerebellum differs from the cerebrum: through a tilted slice the tentorium parts the two."""
    return r.normal(1.0, 2.0, -3.0, 6.0) * step(-tent, 2.0) * step(-24 - atlas[1], 8.0)


def _gyri(white, amount, r):
    """Numbers of a head: how sharply gray and white matter part from each other, and how far in HU beyond ``white``."""
    return {
        "crispness": 1.0 + amount * r.uniform(0.0, 5.0), "folds": amount * r.uniform(0.0, 0.25),
        "half_white": r.uniform(0.45, 0.62), "white": white - amount * r.uniform(-1.0, 4.0),
    }  # fmt: skip


def _deep_veins(atlas, r):
    """Internal cerebral veins, basal veins around the midbrain and the vein of Galen that they form."""
    side = (atlas[0].abs(), atlas[1], atlas[2])
    w = r.uniform(0.7, 1.7)
    end = (0.0, -38 + r.normal(0, 2), 6 + r.normal(0, 2))
    return torch.stack([
        capsule(side, (2.0, 2, 14), (2.0, -24, 15), 0.7 * w),
        capsule(side, (2.0, -24, 15), end, w),
        capsule(side, (17, -8, -16), (19, -26, -8), 0.7 * w),
        capsule(side, (19, -26, -8), end, 0.8 * w),
        capsule(atlas, end, (0, -48, 10 + r.normal(0, 2)), r.uniform(1.5, 3.2)),
    ]).amax(0)  # fmt: skip


def _white_matter_edema(atlas, depth, often, r):
    """HU added to white matter alone: vasogenic edema spreads between the gyri and leaves islands of bright cortex."""
    x = atlas[0]
    if not r.chance(often):
        return torch.zeros_like(x)
    side = r.sign()
    center = (side * r.uniform(20, 50), r.uniform(-70, 45), r.uniform(-15, 50))
    radius = r.uniform(14, 40)
    radii = tuple(radius * r.uniform(0.7, 1.4) for _ in range(3))
    blob = ellipsoid(atlas, center, radii) + 0.3 * radius * r.smooth(x.shape, (9, 10, 9))
    blob = torch.minimum(blob, torch.minimum(side * x + 2, depth - 1))
    return -r.uniform(7, 18) * step(blob, r.uniform(3, 9))


def _tissue_change(atlas, depth, middle, age, r, often):
    """HU added to brain tissue: slow drifts, pale white matter of age, old and fresh infarcts."""
    x, _, z = atlas
    change = r.uniform(0.3, 1.5) * r.smooth(x.shape, (8, 9, 8))
    if r.chance(often * (0.15 + 0.5 * age)):
        around = torch.exp(-(((x.abs() - 20) / 14) ** 2) - ((z - 20) / 16) ** 2)
        change = change - r.uniform(3, 11) * around * step(0.6 + r.smooth(x.shape, (9, 10, 9)), 1.2)
    for _ in range(int(r.numbers.integers(1, 3)) if r.chance(0.35 * often) else 0):
        center = (r.uniform(-60, 60), r.uniform(-85, 55), r.uniform(-40, 60))
        radius = r.log_uniform(4, 32)
        radii = tuple(radius * r.uniform(0.7, 1.35) for _ in range(3))
        blob = ellipsoid(atlas, center, radii) + radius * 0.25 * r.smooth(x.shape, (10, 11, 10))
        # Infarcts reach the cortex and keep to one side.
        blob = torch.minimum(blob, (x * (1 if center[0] > 0 else -1)) + 2)
        change = change - r.uniform(4, 24) * step(blob, r.uniform(2, 8))
    return change
