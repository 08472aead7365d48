"""Make the map of what lies above and below the tentorium, in the template's space, from the phantoms' anatomy.

    python scripts/make_compartments.py models/compartments.nii.gz

1 is supratentorial, 2 infratentorial (cerebellum and brain stem with the midbrain), on the template's field of view at
3 mm. Every voxel has a value, so that blood at the edge of a brain larger than the template's belongs somewhere too.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.phantom.anatomy import load_anatomy, sample
from hemorrhage.phantom.head import CENTER_MM
from scripts.make_template import SCALE, write_deterministic

SIZE = 64
SPACING_MM = 3.0
SUPRATENTORIAL, INFRATENTORIAL = 1, 2


def compartments(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """1 above and 2 below the tentorium, uint8, at places in mm of the ICBM 152 atlas.

    The posterior fossa lies under the tentorium, behind the petrous ridges and the clivus; through the notch of the
    tentorium it is closed at the upper end of the midbrain, about 8 mm below the commissures, rising to the apex.
    """
    tent = sample(load_anatomy().tentorium, torch.from_numpy(np.stack([x, y, np.zeros_like(x)])).float())[0].numpy()
    notch = -8.0 + 1.2 * np.clip(-38.0 - y, 0, None)
    ridge = -8.0 - 0.7 * np.clip(np.abs(x) - 12.0, 0, None)
    below = (z < np.minimum(tent, notch)) & (y < ridge) & (np.abs(x) < 62)
    return np.where(below, INFRATENTORIAL, SUPRATENTORIAL).astype(np.uint8)


def main(
    output: Annotated[Path, typer.Argument(help="Where to write the map (.nii.gz).")] = Path(
        "models/compartments.nii.gz"
    ),
) -> None:
    """Write the map and print its sha256."""
    affine = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    affine[:3, 3] = -SPACING_MM * (SIZE - 1) / 2.0
    grid = np.stack(np.meshgrid(*[np.arange(SIZE, dtype=np.float64)] * 3, indexing="ij"))
    places = np.einsum("ab,bijk->aijk", affine[:3, :3], grid) + affine[:3, 3, None, None, None]
    atlas = places / SCALE + np.asarray(CENTER_MM)[:, None, None, None]
    found = compartments(*atlas)
    digest = write_deterministic(found, affine, output)
    share = (found == INFRATENTORIAL).sum() * SPACING_MM**3 / 1000
    typer.echo(f"{digest}  {output}  ({output.stat().st_size} bytes, infratentorial box {share:.0f} mL)")


if __name__ == "__main__":
    typer.run(main)
