"""Draw docs/images/phantoms_gallery.png, one row a subtype: python scripts/make_gallery.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import matplotlib
import torch
import typer

matplotlib.use("Agg")
from matplotlib import pyplot as plt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.phantom import make_case
from hemorrhage.subtypes import BY_NAME

OUTPUT = Path(__file__).resolve().parents[1] / "docs" / "images" / "phantoms_gallery.png"
ROWS = {"no blood": 0.0, "EDH": 22.0, "SDH": 45.0, "SAH": 14.0, "IPH": 24.0, "IVH": 12.0}
COLUMNS = 7


def main(
    output: Annotated[Path, typer.Option(help="PNG to write.")] = OUTPUT,
    seed: Annotated[int, typer.Option(help="Row n is made from seed + n.")] = 610,
) -> None:
    """Draw six phantoms of 5 mm slices at level 40, width 80, every second column with the label's outline."""
    figure, axes = plt.subplots(len(ROWS), COLUMNS, figsize=(COLUMNS * 1.6, len(ROWS) * 1.72), facecolor="black")
    for n, (name, ml) in enumerate(ROWS.items()):
        asked = [name] if name in BY_NAME else []
        case = make_case(seed + n, subtypes=asked, volume_ml={name: ml} if asked else None, shape=(512, 512, 30))
        area = (case.label > 0).sum((0, 1))
        middle = int(area.argmax()) if asked else 14
        for column in range(COLUMNS):
            k = min(29, max(0, middle + 2 * (column - COLUMNS // 2)))
            axis = axes[n, column]
            axis.axis("off")
            # Radiological view: the patient's right on the left, front up.
            axis.imshow(case.hu[:, :, k].flip(0, 1).T, cmap="gray", vmin=0, vmax=80, interpolation="bilinear")
            if column % 2 and area[k] > 0:
                color = tuple(c / 255 for c in BY_NAME[name].rgb)
                mask = (case.label[:, :, k] > 0).to(torch.float32).flip(0, 1).T
                axis.contour(mask, [0.5], colors=[color], linewidths=0.7)
        title = f"{name} {case.truth['total_ml']:.1f} mL" if asked else name
        axes[n, 0].set_title(title, color="white", fontsize=7, loc="left", pad=1)
    figure.subplots_adjust(0, 0, 1, 0.985, 0.01, 0.05)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=90, facecolor="black", pil_kwargs={"optimize": True})
    print(f"{output.name}: {output.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    typer.run(main)
