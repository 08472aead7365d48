"""The one labeled anatomy that heads are varied from: ICBM152 tissue maps and surfaces derived from them.

Source: ICBM 152 nonlinear symmetric atlas 2009a (Fonov et al., NeuroImage 2011; 54:313), copyright 1993-2009 Louis
Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill University; free use with that notice.
``scripts/make_anatomy.py`` writes the file. Atlas coordinates are MNI RAS+ mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

__all__ = ["CENTER_MM", "Anatomy", "Table", "load_anatomy", "sample", "table_of"]

# Middle of the brain's bounding box in the atlas: x -72..72, y -107..73, z -72..82.
CENTER_MM = (0.0, -17.0, 5.0)


@dataclass(frozen=True)
class Table:
    """Values on a regular grid, one row a voxel: its channels, then those of its neighbor along z.

    Attributes:
        rows: (X * Y * Z, 2 C).
        size: (X, Y, Z).
        low: (3,) mm of the first voxel.
        step: voxel size in mm.
    """

    rows: torch.Tensor
    size: tuple[int, int, int]
    low: tuple[float, float, float]
    step: float


def sample(table: Table, points: torch.Tensor) -> torch.Tensor:
    """Linear interpolation of ``table`` at ``points`` (3, ...) in mm; beyond the edge the edge's value.

    A weighted bag of four rows: on a processor ten times faster than ``grid_sample``, which walks each channel apart.

    Returns:
        (C, ...) with the trailing shape of ``points``.
    """
    shape = points.shape[1:]
    _, ny, nz = table.size
    cells, shares = [], []
    for axis, n in enumerate(table.size):
        t = ((points[axis].reshape(-1) - table.low[axis]) * (1.0 / table.step)).clamp_(0.0, n - 1.001)
        cells.append(t.to(torch.int32))
        shares.append(t.sub_(cells[-1]))
    first = (cells[0] * ny + cells[1]) * nz + cells[2]
    corners = torch.tensor([0, nz, ny * nz, (ny + 1) * nz], dtype=torch.int32, device=first.device)
    x, y, z = shares
    xy = x * y
    weights = torch.stack([1.0 - x - y + xy, y - xy, x - xy, xy], -1)
    out = functional.embedding_bag(first[:, None] + corners, table.rows, per_sample_weights=weights, mode="sum")
    channels = table.rows.shape[1] // 2
    low, high = out.T.reshape(2, channels, len(z))
    return torch.lerp(low, high, z).reshape(channels, *shape)


def table_of(channels: torch.Tensor, low: tuple[float, float, float], step: float) -> Table:
    """Table of ``channels`` (C, X, Y, Z), the first voxel at ``low`` and ``step`` mm between voxels."""
    x, y, z = channels.shape[1:]
    rows = channels.reshape(len(channels), -1).T
    above = torch.cat([rows[1:], rows[-1:]])  # the last of a column is never asked for its neighbor
    return Table(torch.cat([rows, above], 1), (x, y, z), low, step)


@dataclass(frozen=True)
class Anatomy:
    """The atlas.

    Attributes:
        tissue: shares of gray matter, white matter and ventricle, 0 to 1, 1 mm apart.
        distance: mm to the inner table, positive inside, 3 mm apart.
        tentorium: height in mm of the tentorium, the same at each of its two layers in z, 3 mm apart.
    """

    tissue: Table
    distance: Table
    tentorium: Table


@lru_cache(maxsize=4)
def load_anatomy(device: str = "cpu") -> Anatomy:
    """The package's anatomy on ``device``, read once."""
    with np.load(Path(__file__).with_name("anatomy.npz")) as f:

        def table(values: np.ndarray, scale: float, low: np.ndarray, step: float) -> Table:
            channels = torch.from_numpy(values.astype(np.float32)).mul_(scale).to(device)
            return table_of(channels, (float(low[0]), float(low[1]), float(low[2])), step)

        sheet = np.repeat(f["tentorium"][None, :, :, None], 2, axis=3)
        return Anatomy(
            tissue=table(f["tissue"], 1 / 31, f["tissue_low_mm"], 1.0),
            distance=table(f["distance"][None], 0.5, f["distance_low_mm"], float(f["distance_step_mm"])),
            tentorium=table(sheet, 1.0, np.append(f["tentorium_low_mm"], 0.0), 3.0),
        )
