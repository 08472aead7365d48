"""How near phantoms look to real slices where a slice network looks: the edge of bone, fine noise, skull, gray matter.

A network sees slices on its own pixels and through its own window: where phantoms look different there, what it learned
need not carry over.

python benchmarks/appearance.py ../shared/data/ct_ich_v100/*_ct.nii.gz ../shared/data/cpaisd_no_blood --heads 60
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
import yaml
from monai.bundle import ConfigParser
from scipy import ndimage
from skimage.morphology import skeletonize
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.geometry import voxel_sizes_mm
from hemorrhage.scans import find_scans
from hemorrhage.systems import configs_of

ROOT = Path(__file__).resolve().parents[1]
WHITE = 0.988  # of the window: what it saturates, which is bone
NEAR_MM, FAR_MM = (0.9, 1.9), (12.0, 20.0)  # below bone: beside it, and out of its reach
LEAST_MM2 = 7000.0  # of brain, so that the skull is cut nearly upright
DEEP_MM = 15.0  # below bone, out of what it does to brain
SMOOTH_MM, FLUID_HU = 1.5, 22.0  # SD of what takes the noise away, and what is then still tissue
SECOND_DERIVATIVE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
COLUMNS = ("edge rise, HU", "fine noise, HU", "skull, mm", "gray matter, HU")


def looks_of(slice_: np.ndarray, pixel_mm: float, top_hu: float) -> tuple[float, ...] | None:
    """What one slice looks like.

    Args:
        slice_: (I, J) in [0, 1], 0 to ``top_hu`` HU.
        pixel_mm: size of a pixel.
        top_hu: HU at 1.

    Returns:
        By how many HU brain beside bone is brighter than far from it; the SD of noise from one pixel to the next, in HU
        (Immerkær 1996: what is left of a second derivative along both axes); the median thickness of the skull in mm;
        by how many HU the brightest tenth of deep tissue exceeds its median, noise smoothed away. None for a slice with
        little brain or a cut skull.
    """
    white = slice_ >= WHITE
    parts, count = ndimage.label(ndimage.binary_fill_holes(white) & ~white)
    if not count:
        return None
    sizes = np.bincount(parts.ravel())[1:]
    brain = parts == 1 + int(sizes.argmax())
    if sizes.max() * pixel_mm**2 < LEAST_MM2:
        return None
    depth = ndimage.distance_transform_edt(~white) * pixel_mm
    near, far = (brain & (depth > low) & (depth <= high) for low, high in (NEAR_MM, FAR_MM))
    inner = brain & (depth > 5.0) & (slice_ * top_hu > 15)
    middle = skeletonize(white) & (ndimage.distance_transform_edt(~brain) * pixel_mm < 14)
    if min(near.sum(), far.sum(), inner.sum(), middle.sum()) < 50:
        return None
    weight = ndimage.gaussian_filter(brain.astype(np.float64), SMOOTH_MM / pixel_mm)
    smooth = ndimage.gaussian_filter(np.where(brain, slice_ * top_hu, 0.0), SMOOTH_MM / pixel_mm)
    deep = brain & (depth > DEEP_MM)
    tissue = smooth[deep] / weight[deep]
    tissue = tissue[tissue > FLUID_HU]
    if len(tissue) < 50:
        return None
    detail = np.abs(ndimage.convolve(slice_ * top_hu, SECOND_DERIVATIVE))[inner]
    return (
        top_hu * float(np.median(slice_[near]) - np.median(slice_[far])),
        float(np.sqrt(np.pi / 2) / 6 * detail.mean()),
        2 * pixel_mm * float(np.median(ndimage.distance_transform_edt(white)[middle])),
        float(np.quantile(tissue, 0.9) - np.median(tissue)),
    )


def _rows(item: dict[str, Any], top_hu: float) -> list[tuple[float, ...]]:
    stack = item["image"]
    pixel = float(voxel_sizes_mm(np.asarray(stack.affine))[0])
    middle = stack[stack.shape[0] // 2].numpy()  # of neighboring slices as channels, or the only one
    found = (looks_of(middle[..., k], pixel, top_hu) for k in range(middle.shape[2]))
    return [row for row in found if row is not None]


def _print(name: str, rows: Iterable[tuple[float, ...]]) -> None:
    values = np.array(list(rows))
    if not len(values):
        print(f"| {name} | 0 |" + " |" * len(COLUMNS))
        return
    low, mid, high = np.quantile(values, [0.1, 0.5, 0.9], axis=0)
    cells = [f"{m:.1f} ({a:.1f} to {b:.1f})" for a, m, b in zip(low, mid, high, strict=True)]
    print(f"| {name} | {len(values)} | " + " | ".join(cells) + " |")


def main(
    scans: Annotated[list[Path], typer.Argument(help="Real scans, files or folders; each folder is a row.")],
    system: Annotated[str, typer.Option(help="A slice network of this bundle.")] = "slice_unet",
    heads: Annotated[int, typer.Option(min=1, help="Phantoms.")] = 60,
    seed: int = 4_400_000,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE of the training's configs; may be repeated.")
    ] = None,
) -> None:
    """Print median and the middle 80 % of slices, for each folder of scans and for phantoms as they are trained on."""
    torch.set_num_threads(1)
    config = ConfigParser()
    config.read_config([ROOT / f"configs/{name}.yaml" for name in configs_of(ROOT, system, "read_with")])
    config["bundle_root"] = str(ROOT)
    top_hu = float(config.get_parsed_content("window_hu")[1])
    print("| slices | number | " + " | ".join(COLUMNS) + " |")
    print("| --- | --- |" + " --- |" * len(COLUMNS))
    read = config.get_parsed_content("preprocessing")
    found: dict[str, list[tuple[float, ...]]] = {}
    for path in scans:
        own = found.setdefault(path.name if path.is_dir() else path.absolute().parent.name, [])
        for scan in find_scans(path):
            own += _rows(read({"image": str(scan.path)}), top_hu)
    for name, own in found.items():
        _print(f"{name}, real", own)
    config = ConfigParser()
    config.read_config([ROOT / f"configs/{name}.yaml" for name in configs_of(ROOT, system, "train")])
    with tempfile.TemporaryDirectory() as empty:
        config.update({"bundle_root": str(ROOT), "output_dir": empty, "heads": heads, "train#phantoms#seed": seed})
        config.update({name: yaml.safe_load(value) for name, value in (s.split("=", 1) for s in setting or [])})
        phantoms, prepare = (config.get_parsed_content(f"train#{name}") for name in ("phantoms", "volumes"))
    rows: list[tuple[float, ...]] = []
    for item in tqdm(phantoms, leave=False):
        made = prepare(item)
        for one in made if isinstance(made, list) else [made]:
            rows += _rows(one, top_hu)
    _print("phantoms", rows)


if __name__ == "__main__":
    typer.run(main)
