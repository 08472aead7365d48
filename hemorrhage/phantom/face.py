"""What lies outside the brain case below the vault: skull base, sinuses, orbits, face and neck, drawn as shapes.

No head of a person and no template is behind it: every part is a rod, an ellipsoid or a box at its place in MNI
coordinates, jittered per head, so that it may be shipped and varied freely.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hemorrhage.phantom.draws import Draws
from hemorrhage.phantom.shapes import box, capsule, ellipsoid

__all__ = ["Face", "draw_face"]

Points = Sequence[torch.Tensor]


class Face:
    """Signed distances (atlas mm, positive inside) of the parts around the brain case, on one grid.

    Attributes:
        skin: outline of face, neck and ears, without the vault.
        bone: face bones, petrous pyramids, clivus, first vertebrae.
        inner_bone: parts that stand inside the brain case (clinoids, dorsum sellae, crista galli).
        air: sinuses, nose, throat, ear canals, mastoid cells.
        globe: eyeballs. lens: their lenses. orbit: fat around them. muscle: muscle and nerve within that fat,
            and the pituitary. sella: its fossa, free of bone.
    """

    def __init__(self, **parts: torch.Tensor) -> None:
        self.skin = parts["skin"]
        self.bone = parts["bone"]
        self.inner_bone = parts["inner_bone"]
        self.air = parts["air"]
        self.globe = parts["globe"]
        self.lens = parts["lens"]
        self.orbit = parts["orbit"]
        self.muscle = parts["muscle"]
        self.sella = parts["sella"]


def _union(*fields: torch.Tensor) -> torch.Tensor:
    out = fields[0]
    for f in fields[1:]:
        out = torch.maximum(out, f)
    return out


def draw_face(points: Points, fine: torch.Tensor, middle: torch.Tensor, r: Draws) -> Face:
    """Draw the parts of one face.

    Args:
        points: x, y, z of the grid in atlas mm.
        fine: noise of about 6 mm, unit SD, on the same grid: septa of air cells.
        middle: noise of about 15 mm.
        r: chance.
    """
    x, y, z = points
    side = (x.abs(), y, z)  # every paired part is drawn once, in |x|

    def j(amount: float = 1.5) -> float:
        return r.uniform(-amount, amount)

    skin = _union(
        ellipsoid(points, (0, 18 + j(3), -55), (70 + j(3), 72 + j(4), 80)),
        capsule(points, (0, 88 + j(2), -24), (0, 104 + j(4), -52 + j(3)), 8, 11),
        ellipsoid(points, (0, -36, -130), (60 + j(4), 66 + j(5), 110)),
        # the outer ear, a thin plate behind the canal
        ellipsoid(side, (84 + j(2), -34 + j(3), -38 + j(4)), (9, 11, 26)),
    )
    eye = (32 + j(), 64 + j(2), -35 + j(2))
    apex = (15.0, 20.0, -27.0)
    orbit = capsule(side, apex, (33 + j(), 70, -35), 3, 19 + j())
    wall = torch.minimum(orbit + 2.0, torch.minimum(-orbit + 0.3, 69 - y))  # a thin shell, open in front
    globe = ellipsoid(side, eye, (12.2 + j(0.6), 12.2 + j(0.6), 12))
    lens = ellipsoid(side, (eye[0], eye[1] + 9, eye[2]), (4.5, 2.6, 4.5))
    nerve = capsule(side, apex, eye, 2.2)
    rectus = [capsule(side, apex, (eye[0] + dx, eye[1] - 2, eye[2] + dz), 1.8, 2.2) for dx, dz in
              ((-13.5, 0), (13.5, 0), (0, -13), (0, 12.5))]  # fmt: skip
    sella = ellipsoid(points, (0, 1, -26), (8.5, 7, 9))
    muscle = _union(torch.minimum(_union(nerve, *rectus), orbit), sella)

    sphenoid = ellipsoid(side, (6 + j(), 14 + j(3), -38 + j(2)), (r.uniform(6, 11), r.uniform(7, 13), r.uniform(5, 9)))
    ethmoid = torch.minimum(box(points, (0, 45, -42), (12.5, 23, 13)), 4 * (fine.abs() - 0.22))
    maxillary = ellipsoid(side, (28 + j(), 50 + j(2), -62), (13 + j(2), 16 + j(2), 15 + j(2)))
    frontal_size = r.uniform(0.0, 1.0)
    frontal_radii = (4 + 15 * frontal_size, 2 + 4 * frontal_size, 4 + 13 * frontal_size)
    frontal = ellipsoid(side, (11 + j(3), 79 + j(2), -10), frontal_radii)
    nose = torch.minimum(ellipsoid(points, (0, 58, -63), (13, 32, 14)), _nose_passages(x, middle))
    throat = _union(
        capsule(points, (0, 2, -68), (0, -6, -115), 8 + j(2)),
        capsule(points, (0, 10, -80), (0, 55, -88), 4),
    )
    mastoid_body = ellipsoid(side, (57 + j(2), -42 + j(2), -54), (13, 15, 19 + j(3)))
    pneumatized = r.uniform(-0.35, 0.9)
    mastoid = torch.minimum(mastoid_body - 2.5, 4 * (fine - 0.55 + 0.5 * (pneumatized < 0) - 0.4 * pneumatized))
    middle_ear = capsule(side, (46, -26, -38), (50, -32, -36), 3.2)
    canal = capsule(side, (84, -26 + j(2), -44), (55, -26, -41), 3.5)
    air = _union(sphenoid, ethmoid, maxillary, frontal, nose, throat, mastoid, middle_ear, canal)

    petrous = capsule(side, (56, -36 + j(2), -40), (14, -17 + j(2), -38), 12, 7)
    clivus = capsule(points, (0, -2, -40), (0, -26, -66), 6.5, 6)
    shells = _union(
        torch.minimum(sphenoid + 2.5, -sphenoid + 6),
        torch.minimum(maxillary + 1.4, -maxillary + 6),
        torch.minimum(frontal + 3.0, -frontal + 6),
    )
    septum = torch.minimum(1.1 - x.abs(), box(points, (0, 50, -58), (2, 26, 22)))
    labyrinth = torch.minimum(box(points, (0, 45, -42), (14, 24, 14.5)), 1.6 - 4 * fine.abs())
    palate = box(points, (0, 46, -80), (26, 34, 2.5))
    zygoma = _union(
        capsule(side, (46, 66, -48), (66 + j(2), 32, -53), 5, 3),
        capsule(side, (66 + j(2), 32, -53), (64, -14, -51), 3, 4),
        capsule(side, (44, 66, -26), (47, 66, -48), 4),
    )
    jaw = _union(
        capsule(side, (52, -10, -52), (47, 0, -98), 5),
        capsule(side, (47, 0, -98), (14, 74, -112), 6),
    )
    brow = capsule(side, (6, 84, -18), (44, 68, -20), 5)
    condyles = capsule(side, (12, -32, -68), (16, -42, -70), 6)
    ring = 5 - torch.sqrt((torch.sqrt(x**2 + (y + 45) ** 2) - 23) ** 2 + (z + 82) ** 2)
    dens = capsule(points, (0, -24, -76), (0, -24, -130), 6, 9)
    nasal_bone = capsule(points, (0, 84, -22), (0, 94, -38), 4)
    bone = _union(wall, petrous, mastoid_body, clivus, shells, septum, labyrinth, palate, zygoma, jaw, brow, condyles,
                  ring, dens, nasal_bone)  # fmt: skip
    inner_bone = _union(
        capsule(points, (-7, -9, -27 + j()), (7, -9, -27 + j()), 2.4),
        capsule(side, (21, 15, -20), (11, 8, -20 + j()), 3.2, 2.2),
        torch.minimum(capsule(points, (0, 66, -24), (0, 60, -16), 2.5), 3 - x.abs()),
    )
    return Face(skin=skin, bone=bone, inner_bone=inner_bone, air=air, globe=globe, lens=lens, orbit=orbit,
                muscle=muscle, sella=sella)  # fmt: skip


def _nose_passages(x: torch.Tensor, middle: torch.Tensor) -> torch.Tensor:
    """Air between septum and turbinates: what is neither near the midline nor within a fold of mucosa."""
    return torch.minimum(x.abs() - 1.5, 4 * (middle.abs() - 0.35))
