"""What the template's grid alone costs: true masks put on it and brought back, for voxels of several sizes.

    python benchmarks/grids.py STUDY --spacing 3 --spacing 1.5

STUDY holds ct_scans/ and masks/, as ``scripts/make_phantoms.py`` writes them. The mean Dice that is printed,
with its 95 % interval from drawing heads again, is about what a network could reach that answers on such a grid.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from monai.transforms import Compose, LoadImaged
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hemorrhage.datalist import read_cases  # noqa: E402
from hemorrhage.geometry import voxel_volume_ml  # noqa: E402
from hemorrhage.metrics.intervals import bootstrap_interval  # noqa: E402
from hemorrhage.metrics.overlap import dice  # noqa: E402
from hemorrhage.reader import HeadCTReader  # noqa: E402
from hemorrhage.transforms.brain_mask import BrainMaskd  # noqa: E402
from hemorrhage.transforms.template import RigidToTemplated  # noqa: E402

TEMPLATE = ROOT / "models/template.nii.gz"


def there_and_back(case: dict[str, str], spacings: Sequence[float]) -> dict[str, float]:
    """What of a case's mask comes back from the template's grid.

    The mask is resampled as a probability, as a network would answer at best, and cut at one half.

    Args:
        case: files "image" and "label".
        spacings: voxel sizes of the grid, in mm.

    Returns:
        "ml" of the mask and, unless it is empty, of each spacing the Dice with what comes back.
    """
    load = Compose([
        LoadImaged("image", HeadCTReader, image_only=True, ensure_channel_first=True, min_slices=3),
        LoadImaged("label", "NibabelReader", image_only=True, ensure_channel_first=True),
        BrainMaskd("image"),
    ])  # fmt: skip
    scan = load(case)
    true = np.asarray(scan["label"][0]) > 0
    scan["label"] = (scan["label"] > 0).float()
    found = {"ml": float(true.sum() * voxel_volume_ml(np.asarray(scan["image"].affine)))}
    for spacing in spacings if true.any() else ():
        move = RigidToTemplated(["image", "label"], TEMPLATE, mode=["bilinear", "bilinear"], spacing_mm=spacing)
        back = np.asarray(move.inverse(move(deepcopy(scan)))["label"][0]) > 0.5
        found[f"{spacing:g}"] = dice(true, back)
    return found


def main(
    study: Annotated[Path, typer.Argument(help="Folder with ct_scans/ and masks/.")],
    spacing: Annotated[list[float] | None, typer.Option(help="Voxel size in mm; may be repeated.")] = None,
    over_ml: Annotated[float, typer.Option(help="Heads with less blood are left out.")] = 0.0,
) -> None:
    """Print the mean Dice of true masks that went to the template's grid and back."""
    spacings = spacing or [3.0, 1.5]
    cases = read_cases(str(study), None, None, held_out=True)
    rows = pd.DataFrame([there_and_back(case, spacings) for case in tqdm(cases, "heads")])
    rows = rows[rows["ml"] > over_ml]
    if rows.empty:
        raise typer.BadParameter(f"no mask of {study} holds more than {over_ml:g} mL")
    print(f"| voxels, mm | Dice of {len(rows)} masks over {over_ml:g} mL |\n| --- | --- |")
    for name in rows.columns.drop("ml"):
        low, high = bootstrap_interval(list(rows[[name]].to_numpy()), lambda v: float(v.mean()))
        print(f"| {name} | {rows[name].mean():.3f} ({low:.3f} to {high:.3f}) |")


if __name__ == "__main__":
    typer.run(main)
