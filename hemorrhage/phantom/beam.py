"""What a polychromatic beam does to an image: cupping, dark bands between dense bones, streaks of starved rays.

A slice is projected at low resolution, hardened by a spectrum of three energies, corrected for water as scanners do,
and the remaining error is projected back: the physics of Brooks and Di Chiro (Phys Med Biol 1976; 21:390) at the cost
of two sparse products.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional

__all__ = ["BeamEffects", "beam_effects"]

PIXELS = 64
ANGLES = 60
BINS = 92

# Share of the detected spectrum and attenuation in 1/cm of water and of cortical bone of 1.92 g/cm3 at 50, 70 and
# 90 keV (NIST XCOM); the middle energy defines the HU scale.
WEIGHTS = (0.36, 0.40, 0.24)
WATER = (0.2269, 0.1929, 0.1759)
BONE = (0.814, 0.515, 0.390)
BONE_HU = 1000.0 * (BONE[1] / WATER[1] - 1.0)


@dataclass(frozen=True)
class BeamEffects:
    """Images of the slices' own size (K, I, J).

    Attributes:
        hardening: HU that an uncorrected beam adds (cupping, rims, dark bands).
        streaks: noise along starved rays, SD about 1 over the head of an average slice.
        noise: relative SD of quantum noise, 1 at the middle of a typical slice through the vault.
    """

    hardening: torch.Tensor
    streaks: torch.Tensor
    noise: torch.Tensor


@lru_cache(maxsize=4)
def _system(device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Projector (rays x pixels) and its transpose as sparse matrices in pixel units, and the ramp filter."""
    ticks = np.arange(PIXELS) - (PIXELS - 1) / 2
    u, v = np.meshgrid(ticks, ticks, indexing="ij")
    rows, cols, values = [], [], []
    for n, angle in enumerate(np.arange(ANGLES) * np.pi / ANGLES):
        t = u.ravel() * np.cos(angle) + v.ravel() * np.sin(angle) + (BINS - 1) / 2
        left = np.floor(t).astype(int)
        for bin_, weight in ((left, 1 - (t - left)), (left + 1, t - left)):
            keep = (bin_ >= 0) & (bin_ < BINS)
            rows.append(n * BINS + bin_[keep])
            cols.append(np.flatnonzero(keep))
            values.append(weight[keep])
    index = torch.from_numpy(np.stack([np.concatenate(rows), np.concatenate(cols)]))
    value = torch.from_numpy(np.concatenate(values).astype(np.float32))
    offset = np.subtract.outer(np.arange(BINS), np.arange(BINS))
    with np.errstate(divide="ignore"):
        ramp = np.where(offset % 2 == 1, -1.0 / (np.pi * offset) ** 2, 0.0)
    ramp[np.diag_indices(BINS)] = 0.25
    kernel = torch.from_numpy(ramp.astype(np.float32)).to(device)
    with warnings.catch_warnings():
        # torch announces at each start that compressed sparse tensors are young; products with them are tested here.
        warnings.simplefilter("ignore", UserWarning)
        # Unchecked: the check asks whether memory is pinned, which fails in a data loader's process beside a GPU
        # (pytorch issues 144687 and 153143).
        forward = torch.sparse_coo_tensor(index, value, (ANGLES * BINS, PIXELS**2), check_invariants=False).coalesce()
        back = forward.T.coalesce()
        return forward.to_sparse_csr().to(device), back.to_sparse_csr().to(device), kernel


@lru_cache(maxsize=1)
def _water_correction() -> tuple[float, ...]:
    """Polynomial that turns the measured attenuation of water into its path in cm, exact for up to 30 cm of it."""
    path = np.linspace(0, 30, 200)
    measured = -np.log(sum(w * np.exp(-m * path) for w, m in zip(WEIGHTS, WATER, strict=True)))
    basis = np.stack([measured**k for k in range(1, 5)], 1)
    return tuple(np.linalg.lstsq(basis, path, rcond=None)[0])


def beam_effects(hu: torch.Tensor, pixel_mm: float, generator: torch.Generator) -> BeamEffects:
    """Effects of the beam on slices.

    Args:
        hu: (K, I, J) slices.
        pixel_mm: size of a pixel.
        generator: chance of the starved rays, on the device of ``hu``.
    """
    count, height, width = hu.shape
    side = max(height, width)
    square = functional.pad(hu, (0, side - width, 0, side - height), value=-1000.0)
    small = functional.adaptive_avg_pool2d(square[:, None], PIXELS).reshape(count, -1).T
    cm = pixel_mm * side / PIXELS / 10.0
    bone = ((small - 90.0) / BONE_HU).clamp(min=0.0)
    water = (1.0 + small / 1000.0).clamp(min=0.0) - bone * (1.0 + BONE_HU / 1000.0)
    project, back, ramp = _system(str(hu.device))
    paths = torch.sparse.mm(project, torch.cat([water.clamp(min=0), bone], 1).contiguous()) * cm
    water_path, bone_path = paths[:, :count], paths[:, count:]
    measured = torch.stack(
        [np.log(w) - m * water_path - b * bone_path for w, m, b in zip(WEIGHTS, WATER, BONE, strict=True)]
    )
    measured = -torch.logsumexp(measured, 0)
    c = _water_correction()
    corrected = measured * (c[0] + measured * (c[1] + measured * (c[2] + measured * c[3])))
    true = water_path + bone_path * (BONE[1] / WATER[1])
    white = torch.randn(measured.shape, generator=generator, device=hu.device)
    starved = white * (torch.exp(0.5 * (measured - 4.6)) - 0.5).clamp(min=0)
    rays = torch.cat([corrected - true, starved], 1).reshape(ANGLES, BINS, 2 * count)
    filtered = torch.einsum("bc,acn->abn", ramp, rays).reshape(ANGLES * BINS, 2 * count)
    quanta = torch.exp(measured.clamp(max=9.0))
    images = torch.sparse.mm(back, torch.cat([filtered, quanta], 1)) * (torch.pi / ANGLES)
    maps = images.T.reshape(3 * count, 1, PIXELS, PIXELS)
    maps = functional.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)[:, 0, :height, :width]
    hardening = maps[:count] * (1000.0 / cm)
    noise = torch.sqrt(maps[2 * count :] / (torch.pi * np.exp(4.6)))
    return BeamEffects(hardening=hardening, streaks=maps[count : 2 * count] * 2.0, noise=noise)
