"""Make hemorrhage/phantom/anatomy.npz, the anatomy that every head phantom is a variation of.

Input are the three ICBM152 2009a nonlinear symmetric maps (gray matter, white matter, skull-stripped T1) that nilearn
ships; output is one small file of 8-bit maps. Run it again only to change the anatomy:

    python scripts/make_anatomy.py
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import nilearn
import numpy as np
import typer
from scipy import ndimage

PACKAGE_FILE = Path(__file__).resolve().parents[1] / "hemorrhage" / "phantom" / "anatomy.npz"
SOURCE = "datasets/data/mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
COARSE_MM = 3.0
COARSE_LOW = np.array([-120.0, -150.0, -129.0])
COARSE_SHAPE = (81, 90, 84)


def ball_close(mask: np.ndarray, radius: float) -> np.ndarray:
    """Morphological closing of ``mask`` with a ball of ``radius`` voxels, by two distance transforms."""
    grown = ndimage.distance_transform_edt(~mask) <= radius
    return mask | (ndimage.distance_transform_edt(grown) > radius)


def inner_table_distance(brain: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Signed distance in mm to the inner table, positive inside, from the brain's outline on a 1 mm grid.

    The vault lies smoothly over the gyri, so the outline is closed with a large ball there and in the basal cisterns;
    the skull base follows the lobes closely, which leaves the sphenoid wings and the petrous ridges outside.
    """
    vault = (z > -4) | ((np.abs(x) < 24) & (y > -50) & (y < 22) & (z > -48)) | ((y < -60) & (z > -40))
    closed = ball_close(brain, 5) | (ball_close(brain, 14) & vault)
    # The cord leaves through the foramen magnum: everything below it belongs to the neck.
    closed |= (z < -62) & (((x / 13) ** 2 + ((y + 46) / 14) ** 2) < 1)
    inside = ndimage.binary_fill_holes(ndimage.distance_transform_edt(~closed) <= 2.0)
    distance = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    return ndimage.gaussian_filter(distance.astype(np.float32), 1.5)


def ventricles(csf: np.ndarray, depth: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Soft map of lateral, third and fourth ventricles: deep CSF, less the cisterns that touch them."""
    box = (np.abs(x) < 45) & (y > -62) & (y < 45) & (z > -22) & (z < 38) & (depth > 22)
    box |= (np.abs(x) < 12) & (y > -60) & (y < -30) & (z > -45) & (z < -21)
    core = (csf > 0.42) & box
    core &= ~((np.abs(x) < 10) & (z < 14) & (y < -27) & (z > -18))  # quadrigeminal cistern and velum interpositum
    core &= ~((np.abs(x) > 28) & (y > -26) & (z > -11))  # insula
    core &= ~((np.abs(x) > 36) & (y > -36))
    core &= ~((np.abs(x) > 5) & (np.abs(x) < 26) & (y < -14) & (z < 3) & (z > -26))  # ambient cistern and its wings
    core &= ~((np.abs(x) < 7) & (y > 21))  # fissure in front of the corpus callosum
    core &= ~((np.abs(x) < 4) & (z > 17))  # fissure and callosal sulcus
    core &= ~((np.abs(x) < 11) & (y < -36) & (z > 6))  # behind the splenium
    core &= ~((z < -12) & (y > -28))  # suprasellar and interpeduncular cisterns
    labels, n = ndimage.label(core)
    sizes = ndimage.sum_labels(core, labels, np.arange(1, n + 1))
    core = np.isin(labels, 1 + np.flatnonzero(sizes > 250))
    region = (ndimage.distance_transform_edt(~core) <= 2.0) & ~((np.abs(x) < 3) & (z > 16))
    return np.asarray(np.clip(csf * 1.25, 0, 1) * ndimage.gaussian_filter(region.astype(np.float32), 0.6), np.float32)


def tentorium_height(csf: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Height in mm of the tentorium at each (x, y): the CSF cleft between cerebellum and occipital lobes.

    Searched for within 9 mm of a tent drawn from the falx line and the petrous ridge, then smoothed.
    """
    prior = 8.0 + 0.42 * (y[:, :, 0] + 48) - 0.5 * np.abs(x[:, :, 0]) * np.clip((-y[:, :, 0]) / 75, 0.6, 1.0)
    prior = np.maximum(prior, -34.0)
    score = ndimage.gaussian_filter(csf, 1.0)
    best, height = np.full(prior.shape, -np.inf), prior.copy()
    for shift in np.arange(-9, 9.5, 0.5):
        index = np.clip(prior + shift - z[0, 0, 0], 0, z.shape[2] - 1)
        i, j = np.indices(prior.shape)
        value = ndimage.map_coordinates(score, [i, j, index], order=1) - (shift / 14.0) ** 2
        height = np.where(value > best, prior + shift, height)
        best = np.maximum(best, value)
    weight = np.clip(best, 0.02, 1.0) * ((y[:, :, 0] < -30) & (np.abs(x[:, :, 0]) < 62)) + 1e-4
    smooth = ndimage.gaussian_filter(weight * (height - prior), 4) / ndimage.gaussian_filter(weight, 4)
    return prior + smooth


def main(output: Path = PACKAGE_FILE) -> None:
    """Read nilearn's ICBM152 maps and write the package's anatomy."""
    folder = Path(nilearn.__file__).parent
    images = {k: nib.Nifti1Image.from_filename(folder / SOURCE.format(k)) for k in ("gm", "wm", "t1")}
    gray, white, t1 = (np.asarray(i.dataobj, dtype=np.float32) / 255 for i in images.values())
    low = images["t1"].affine[:3, 3]
    x, y, z = np.meshgrid(*(low[a] + np.arange(n) for a, n in enumerate(t1.shape)), indexing="ij")
    total = np.maximum(gray + white, 1.0)
    gray, white = gray / total, white / total
    brain = ndimage.binary_opening(ndimage.binary_fill_holes(t1 > 0), ndimage.generate_binary_structure(3, 1), 3)
    csf = np.clip(1 - gray - white, 0, 1) * brain

    pad = 40
    wide = np.pad(brain, pad)
    grids = np.meshgrid(*(low[a] - pad + np.arange(n) for a, n in enumerate(wide.shape)), indexing="ij")
    distance = inner_table_distance(wide, *grids)
    vent = ventricles(csf, distance[pad:-pad, pad:-pad, pad:-pad], x, y, z)
    tent = tentorium_height(csf, x, y, z)
    print(f"intracranial {np.sum(distance > 0) / 1e3:.0f} mL, ventricles {vent.sum() / 1e3:.1f} mL")

    axes = [COARSE_LOW[a] + COARSE_MM * np.arange(n) for a, n in enumerate(COARSE_SHAPE)]
    points = np.meshgrid(*[axes[a] - (low[a] - pad) for a in range(3)], indexing="ij")
    coarse = ndimage.map_coordinates(distance, points, order=1, mode="nearest")
    # Beyond the padded map the distance goes on growing, or the last outline would repeat for ever.
    excess = [np.maximum(np.maximum(-p, p - (n - 1)), 0) for p, n in zip(points, wide.shape, strict=True)]
    coarse = coarse - np.sqrt(sum(e**2 for e in excess))
    lows = [c.min() for c in np.nonzero(brain)]
    highs = [c.max() + 1 for c in np.nonzero(brain)]
    box = tuple(slice(max(0, a - 3), b + 3) for a, b in zip(lows, highs, strict=True))
    np.savez_compressed(
        output,
        # 32 gray levels are finer than the noise of any scan, and halve the file.
        tissue=np.stack([np.round(m[box] * 31).astype(np.uint8) for m in (gray, white, vent)]),
        tissue_low_mm=np.array([low[a] + box[a].start for a in range(3)], np.float32),
        distance=np.clip(np.round(coarse * 2), -127, 127).astype(np.int8),
        distance_low_mm=COARSE_LOW.astype(np.float32),
        distance_step_mm=np.float32(COARSE_MM),
        tentorium=tent[::3, ::3].astype(np.float32),
        tentorium_low_mm=low[:2].astype(np.float32),
    )
    print(f"{output.name}: {output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    typer.run(main)
