"""What phantoms are made of, as numbers that a training may raise, lower or leave out to see what each is worth."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """Ingredients of a phantom; 0 leaves one out.

    Attributes:
        beam_hardening: factor on what the scanner leaves uncorrected: cupping, bright rims, dark bands.
        glare: factor on the long tail of the point spread, by which brain near bone is brighter.
        slice_tails: factor on how far slices reach into their neighbors.
        uneven_bone: factor on the unevenness of the inner table.
        dura: factor on the contrast of falx, tentorium and the dura under the skull.
        sinuses: factor on the contrast of dural sinuses and arteries.
        calcifications: factor on their frequency.
        snug_brain: factor on how far gyri fill the space under the table, where the averaged atlas has fluid.
        gyri: factor on how sharply, and how far in HU, gray and white matter part, which the averaged atlas blurs.
        deep_nuclei: factor on the contrast of caudate, putamen and thalamus.
        cerebellum: factor on how much its density differs from the cerebrum's.
        old_lesions: factor on the frequency of infarcts and pale white matter.
        trauma: share of heads without extra-axial blood that were hit: swollen scalp, fractures, air in the skull.
            Where there is epidural or subdural blood the share is higher.
        mixed_clots: share of epidural and subdural bleeds with unclotted fluid between table and clot, which is not
            labeled; an epidural clot may be no more than a sheet before it.
        collections: share of heads with a hygroma, which is not labeled.
        skull_defects: share of heads with a hole in the vault.
        metal: share of heads with a piece of metal.
        edema: share of heads with swollen white matter without blood, its cortex spared.
        veins: factor on the contrast of the deep veins and of the tentorium's free edge.
        faint_blood: 1 draws densities from the whole table, 0 keeps blood at least 15 HU above gray matter, and between
            them that share less; more than 1 draws the table's lower end more often than it occurs.
        least_contrast_hu: blood outside the ventricles is denser than gray matter by this at least, in HU; 0 takes the
            table's word for it, but for bleeds that no reader would have seen.
    """

    beam_hardening: float = 1.0
    glare: float = 1.0
    slice_tails: float = 1.0
    uneven_bone: float = 1.0
    dura: float = 1.0
    sinuses: float = 1.0
    calcifications: float = 1.0
    snug_brain: float = 1.0
    gyri: float = 1.0
    deep_nuclei: float = 1.0
    cerebellum: float = 1.0
    old_lesions: float = 1.0
    trauma: float = 0.25
    mixed_clots: float = 0.3
    collections: float = 0.06
    skull_defects: float = 0.03
    metal: float = 0.015
    edema: float = 0.12
    veins: float = 1.0
    faint_blood: float = 1.0
    least_contrast_hu: float = 0.0

    def without(self, *names: str) -> Recipe:
        """A copy that leaves the named ingredients out.

        Raises:
            ValueError: a name is no ingredient.
        """
        known = [f.name for f in fields(self)]
        for name in names:
            if name not in known:
                raise ValueError(f"no ingredient {name!r}; there are {', '.join(known)}")
        return replace(self, **dict.fromkeys(names, 0.0))
