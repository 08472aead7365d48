"""Make the CT-like brain template that scans are rigidly aligned to, from the tissue maps that nilearn carries.

The ICBM152 2009a nonlinear symmetric maps give each voxel's share of gray and white matter; what is left inside the
brain is cerebrospinal fluid. Each tissue gets its Hounsfield unit, so the ventricles and sulci of the result are real
and its contrast is that of a non-contrast head CT with the skull removed.

Source of the maps: Fonov et al., NeuroImage 2011 54:313 (ICBM 152 Nonlinear atlases version 2009).
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Annotated

import nibabel as nib
import numpy as np
import typer
from scipy import ndimage

SIZE = 128
SPACING_MM = 1.5

# The ICBM152 brain holds 1.9 L, well above living adults because the average was scaled to the first, large brains.
# A rigid alignment cannot make up for that, so the template is brought to the adult mean of about 1.5 L.
SCALE = 0.925

HU_GRAY = 37.0
HU_WHITE = 29.0
HU_CSF = 8.0


def tissue_template(gray: np.ndarray, white: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Hounsfield units from tissue shares.

    Args:
        gray: share of gray matter in each voxel, within [0, 1].
        white: share of white matter, same shape.
        brain: bool, same shape; what lies outside becomes 0.

    Returns:
        float32 array of the same shape; never below ``HU_CSF`` inside the brain.
    """
    total = np.maximum(gray + white, 1.0)
    gray, white = gray / total, white / total
    hu = HU_GRAY * gray + HU_WHITE * white + HU_CSF * (1.0 - gray - white)
    return np.where(brain, hu, 0.0).astype(np.float32)


def make_template(gray: np.ndarray, white: np.ndarray, t1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The template and its affine from maps of 1 mm voxels in RAS+ order.

    Args:
        gray: gray-matter map, 0 to 255.
        white: white-matter map, 0 to 255.
        t1: skull-stripped T1 image; its support is the brain.

    Returns:
        int16 array (SIZE, SIZE, SIZE) in HU, 0 outside the brain, and the (4, 4) affine in RAS+ mm with the center of
        the grid at the world's origin.
    """
    brain = ndimage.binary_fill_holes(t1 > 0)
    corners = np.argwhere(brain)
    center = (corners.min(0) + corners.max(0)) / 2.0
    step = SPACING_MM / SCALE  # source voxels of 1 mm per template voxel
    offset = center - step * (SIZE - 1) / 2.0

    def sampled(volume: np.ndarray) -> np.ndarray:
        # A voxel of the template averages what it covers: without the blur, thin sulci would alias.
        smooth = ndimage.gaussian_filter(volume.astype(np.float32), 0.5 * step)
        return ndimage.affine_transform(smooth, np.full(3, step), offset, output_shape=(SIZE,) * 3, order=1)

    hu = tissue_template(sampled(gray) / 255.0, sampled(white) / 255.0, sampled(brain) >= 0.5)
    affine = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    affine[:3, 3] = -SPACING_MM * (SIZE - 1) / 2.0
    return np.rint(hu).astype(np.int16), affine


def write_deterministic(hu: np.ndarray, affine: np.ndarray, output: Path) -> str:
    """Write a .nii.gz whose bytes depend on its content alone, and return its sha256."""
    image = nib.Nifti1Image(hu, affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"ICBM152 tissue maps as CT, HU"
    packed = gzip.compress(image.to_bytes(), compresslevel=9, mtime=0)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(packed)
    return hashlib.sha256(packed).hexdigest()


def main(
    output: Annotated[Path, typer.Argument(help="Where to write the template (.nii.gz).")] = Path(
        "models/template.nii.gz"
    ),
) -> None:
    """Write the 128^3, 1.5 mm brain template in HU, and print its sha256."""
    import nilearn  # a development dependency: nothing else in the project needs it

    folder = Path(nilearn.__file__).parent / "datasets" / "data"
    maps = []
    for tissue in ("gm", "wm", "t1"):
        image = nib.as_closest_canonical(nib.load(folder / f"mni_icbm152_{tissue}_tal_nlin_sym_09a_converted.nii.gz"))
        maps.append(np.asarray(image.dataobj, dtype=np.float32))
    hu, affine = make_template(*maps)
    digest = write_deterministic(hu, affine, output)
    brain_ml = float((hu > 0).sum()) * SPACING_MM**3 / 1000.0
    typer.echo(f"{digest}  {output}  ({output.stat().st_size} bytes, brain {brain_ml:.0f} mL)")


if __name__ == "__main__":
    typer.run(main)
