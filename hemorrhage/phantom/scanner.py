"""From perfect slices to what a scanner delivers: kernel, noise, beam effects, motion, offsets, saturation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

from hemorrhage.phantom.beam import beam_effects
from hemorrhage.phantom.draws import Draws
from hemorrhage.phantom.recipe import Recipe

__all__ = ["Scanner", "draw_scanner", "scan_slices"]


@dataclass(frozen=True)
class Scanner:
    """How one series was acquired and reconstructed.

    Attributes:
        noise_hu: root mean square of quantum noise over the brain, after the kernel.
        kernel_mm: SD of the point spread in the slice; smooth about 0.8, sharp about 0.3.
        edge: edge enhancement of the kernel, 0 none to 1.5 bone.
        glare: share of each point's signal that spreads over ``glare_mm`` around it: the long tail of the point spread,
            by which brain is brighter the nearer it lies to bone.
        glare_mm: SD of that spread in the slice.
        tails: share of each neighboring slice in a slice; a spiral's slice reaches beyond its nominal thickness.
        noise_power: exponent of the noise's power spectrum at low frequencies (1: filtered backprojection).
        hardening: share of beam hardening that the scanner's correction leaves.
        streak_hu: strength of streaks along starved rays.
        offset_hu: error of the zero.
        slope: error of the scale.
        motion_mm: movement of the head during a slice, 0 none.
        window: None, or the HU range that an export kept; what was outside is saturated.
        saturated: values that stand for what was below and above ``window``.
        holder: whether a head holder is seen.
        field_mm: radius of the reconstructed circle, beyond it padding; None for the whole square.
    """

    noise_hu: float = 3.0
    kernel_mm: float = 0.55
    edge: float = 0.0
    glare: float = 0.0
    glare_mm: float = 4.0
    tails: float = 0.0
    noise_power: float = 0.8
    hardening: float = 0.3
    streak_hu: float = 0.3
    offset_hu: float = 0.0
    slope: float = 1.0
    motion_mm: float = 0.0
    window: tuple[float, float] | None = None
    saturated: tuple[float, float] | None = None
    holder: bool = True
    field_mm: float | None = None

    def as_dict(self) -> dict:
        """Plain values for a record."""
        return asdict(self)


def draw_scanner(r: Draws, exported: float = 0.0, recipe: Recipe | None = None) -> Scanner:
    """Draw a scanner.

    Args:
        r: chance.
        exported: share of series that lost what lies outside a display window.
        recipe: ingredients.
    """
    recipe = recipe or Recipe()
    window = saturated = None
    if r.chance(exported):
        window = (r.choice((-20.0, 0.0, -40.0, -100.0)), r.choice((80.0, 100.0, 120.0, 200.0)))
        saturated = (-1000.0, 1000.0) if r.chance(0.7) else window
    sharp = r.chance(0.2)
    own = r.spawn()
    return Scanner(
        noise_hu=min(14.0, r.log_uniform(1.3, 7.0) * (1.8 if sharp else 1.0)),
        kernel_mm=r.uniform(0.25, 0.45) if sharp else r.uniform(0.4, 1.0),
        edge=r.uniform(0.05, 0.5) if sharp else max(0.0, r.normal(0.0, 0.06)),
        glare=recipe.glare * min(0.1, abs(own.normal(0.0, 0.02))),
        glare_mm=own.log_uniform(2.0, 15.0),
        # Slices of a table that stands still end sharply, those of a spiral do not.
        tails=recipe.slice_tails * max(0.0, own.uniform(-0.03, 0.06)),
        noise_power=r.uniform(0.2, 1.2),
        # Most scanners leave little of it; an old one, or one without correction for bone, leaves a bright rim.
        hardening=recipe.beam_hardening * (r.uniform(0.8, 3.0) if r.chance(0.15) else max(0.0, r.normal(0.45, 0.4))),
        streak_hu=r.log_uniform(0.1, 2.5),
        offset_hu=r.normal(0.0, 1.8),
        slope=r.normal(1.0, 0.015),
        motion_mm=r.uniform(0.5, 3.0) if r.chance(0.08) else 0.0,
        window=window,
        saturated=saturated,
        holder=r.chance(0.6),
        field_mm=r.uniform(105, 125) if r.chance(0.2) else None,
    )


def scan_slices(
    ideal: torch.Tensor,
    brain: torch.Tensor,
    pixel_mm: float,
    scanner: Scanner,
    r: Draws,
    adjust: Callable[[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]], torch.Tensor] | None = None,
) -> torch.Tensor:
    """Turn perfect slices into measured ones.

    Args:
        ideal: (K, I, J) HU averaged over each slice's thickness; I runs to the right, J to the front,
            where the holder lies at the low end.
        brain: (K, I, J) share of brain, to which ``noise_hu`` refers.
        pixel_mm: size of a pixel.
        scanner: the scanner.
        r: chance, on the device of ``ideal``.
        adjust: from HU behind the kernel, before noise and errors of scale, and the kernel, to HU.

    Returns:
        (K, I, J) integral HU as float32 within the 12-bit range [-1024, 3071].
    """
    hu = ideal
    if scanner.holder:
        hu = _add_holder(hu, pixel_mm, r)
    if scanner.motion_mm > 0:
        hu = _move(hu, scanner.motion_mm / pixel_mm, r)
    hu = _slice_tails(hu, scanner.tails)
    every = max(1, min(len(hu) // 4, round(4.0 / pixel_mm))) if len(hu) >= 100 else 1
    effects = beam_effects(hu[::every], pixel_mm, r.tensors)
    hardening, streaks, spread = (_refill(e, len(hu), every) for e in
                                  (effects.hardening, effects.streaks, effects.noise))  # fmt: skip
    body = (hu > -300).float()
    center = (hardening * brain).sum() / brain.sum().clamp(min=1.0)
    # Scanners are calibrated on the middle of heads, so the mean error there is small.
    hu = hu + scanner.hardening * (hardening - 0.85 * center) * body
    hu = hu + scanner.streak_hu * streaks * body

    frequency = _frequency(hu.shape[1:], pixel_mm, hu.device)
    transfer = torch.exp(-2 * (math.pi * scanner.kernel_mm * frequency) ** 2)
    transfer = transfer * (1 + scanner.edge * (1 - torch.exp(-((frequency / 0.35) ** 2))))
    wide = torch.exp(-2 * (math.pi * scanner.glare_mm * frequency) ** 2)
    glared = (1 - scanner.glare) * transfer + scanner.glare * wide
    spectrum = frequency.clamp(min=0.02) ** (scanner.noise_power / 2) * transfer
    spectrum[0, 0] = 0.0

    def kernel(planes: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(planes) * glared, s=planes.shape[1:])

    hu = kernel(hu)
    if adjust is not None:
        hu = adjust(hu, lambda planes: kernel(_slice_tails(planes, scanner.tails)))
    noise = torch.fft.irfft2(torch.fft.rfft2(r.randn(*hu.shape)) * spectrum, s=hu.shape[1:])
    noise = noise * spread
    rms = torch.sqrt((noise**2 * brain).sum() / brain.sum().clamp(min=1.0))
    if float(brain.sum()) < 1.0:
        rms = noise.std()
    hu = hu + noise * (scanner.noise_hu / rms)

    hu = (hu * scanner.slope + scanner.offset_hu).round_().clamp_(-1024.0, 3071.0)
    if scanner.field_mm is not None:
        hu = hu.masked_fill(_outside_circle(hu.shape[1:], scanner.field_mm / pixel_mm, hu.device), -1024.0)
    if scanner.window is not None and scanner.saturated is not None:
        low, high = scanner.window
        below, above = hu <= low, hu >= high
        hu = hu.masked_fill(below, scanner.saturated[0]).masked_fill(above, scanner.saturated[1])
    return hu


def _slice_tails(planes: torch.Tensor, share: float) -> torch.Tensor:
    """Give each slice (K, I, J) ``share`` of each of its neighbors; the outermost are their own."""
    if not share or len(planes) < 2:
        return planes
    below, above = torch.cat([planes[:1], planes[:-1]]), torch.cat([planes[1:], planes[-1:]])
    return (1 - 2 * share) * planes + share * (below + above)


def _refill(maps: torch.Tensor, count: int, every: int) -> torch.Tensor:
    """Slices that were skipped take the map of the slice before them."""
    return maps if every == 1 else maps.repeat_interleave(every, 0)[:count]


def _frequency(shape: torch.Size, pixel_mm: float, device: torch.device) -> torch.Tensor:
    """(I, J // 2 + 1) spatial frequency in 1/mm of ``torch.fft.rfft2``."""
    first = torch.fft.fftfreq(shape[0], pixel_mm, device=device)
    second = torch.fft.rfftfreq(shape[1], pixel_mm, device=device)
    return torch.sqrt(first[:, None] ** 2 + second**2)


def _outside_circle(shape: torch.Size, radius: float, device: torch.device) -> torch.Tensor:
    i = torch.arange(shape[0], device=device) - (shape[0] - 1) / 2
    j = torch.arange(shape[1], device=device) - (shape[1] - 1) / 2
    return i[:, None] ** 2 + j**2 > radius**2


def _add_holder(hu: torch.Tensor, pixel_mm: float, r: Draws) -> torch.Tensor:
    """A shell of plastic behind the head: an arc, or a trough with straight arms."""
    i = (torch.arange(hu.shape[1], device=hu.device) - hu.shape[1] / 2 + r.uniform(-5, 5)) * pixel_mm
    j = (torch.arange(hu.shape[2], device=hu.device) - hu.shape[2] / 2 + r.uniform(-6, 6)) * pixel_mm
    radius = r.uniform(104, 125)
    middle = r.uniform(-15, 15)
    arc = torch.sqrt(i[:, None] ** 2 + (j - middle) ** 2) - radius
    if r.chance(0.4):
        arms = (i[:, None].abs() - radius).expand(-1, len(j))
        arc = torch.where(j > middle, arms, arc)
    shell = (arc.abs() < r.uniform(0.8, 2.5)) & (j < r.uniform(-40, 60))
    empty = hu < -700
    return torch.where(shell & empty, torch.full_like(hu, r.uniform(-250, 300)), hu)


def _move(hu: torch.Tensor, amount: float, r: Draws) -> torch.Tensor:
    """Average a few slices with a shifted copy of themselves."""
    hit = torch.from_numpy(r.numbers.random(len(hu)) < 0.4).to(hu.device)
    shift = (round(amount * r.sign()), round(0.5 * amount))
    share = r.uniform(0.15, 0.45)
    blurred = hu * (1 - share) + torch.roll(hu, shift, (1, 2)) * share
    return torch.where(hit[:, None, None], blurred, hu)
