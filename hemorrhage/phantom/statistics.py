"""Volumes, densities and company of real bleeds, as quantile tables.

Facts read off the measurements that FDA's DIDSR published (public domain) over the 192 scans of BHSD (Wu et al.,
MICCAI 2023): volume a scan and subtype, volume-weighted mean HU of it, and which subtypes a scan holds.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from hemorrhage.phantom.draws import Draws

__all__ = [
    "COMBINATIONS",
    "DENSITY_HU",
    "LEVELS",
    "TERCILE_ML",
    "VOLUME_ML",
    "draw_density",
    "draw_subtypes",
    "draw_volume",
    "draw_wanted",
]

LEVELS = (0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98)

VOLUME_ML = {
    "EDH": (0.42, 0.45, 0.78, 2.23, 5.07, 15.85, 31.46, 38.2, 91.64),
    "SDH": (0.57, 0.69, 1.0, 2.29, 6.01, 23.42, 59.77, 74.04, 127.47),
    "SAH": (0.12, 0.21, 0.32, 0.87, 1.95, 9.66, 21.86, 43.97, 66.56),
    "IPH": (0.19, 0.35, 0.72, 2.27, 9.33, 31.65, 58.01, 83.02, 103.71),
    "IVH": (0.08, 0.14, 0.25, 0.59, 2.27, 8.39, 22.78, 45.06, 56.82),
}

# Small bleeds measure less dense: partial volume, and less blood. One table of HU per third of the volumes.
TERCILE_ML = {"EDH": (3.1, 11.7), "SDH": (2.8, 13.8), "SAH": (1.2, 6.1), "IPH": (4.0, 21.1), "IVH": (0.8, 5.2)}
DENSITY_HU = {
    "EDH": (
        (38.2, 38.4, 38.8, 48.3, 57.7, 61.8, 67.2, 73.2, 76.8),
        (44.0, 45.1, 46.8, 50.5, 57.2, 63.8, 66.5, 66.9, 67.1),
        (48.8, 49.4, 50.4, 52.1, 60.3, 63.1, 65.0, 66.7, 67.7),
    ),
    "SDH": (
        (40.7, 42.3, 45.5, 48.0, 50.8, 53.3, 58.8, 61.2, 65.6),
        (34.4, 35.8, 37.0, 41.8, 47.9, 55.2, 59.4, 61.3, 62.7),
        (21.5, 23.4, 24.4, 46.7, 57.3, 64.9, 69.7, 75.0, 83.0),
    ),
    "SAH": (
        (34.9, 35.2, 36.8, 39.6, 44.7, 47.7, 51.6, 52.3, 53.0),
        (29.2, 32.3, 34.2, 39.1, 43.0, 46.1, 47.2, 49.2, 50.2),
        (31.2, 36.7, 39.7, 43.6, 46.3, 48.9, 53.6, 54.8, 56.6),
    ),
    "IPH": (
        (29.3, 31.2, 36.1, 39.2, 45.3, 51.6, 56.8, 58.7, 61.1),
        (31.5, 34.4, 42.0, 46.5, 50.8, 53.4, 58.8, 60.2, 60.5),
        (38.9, 42.5, 43.2, 49.2, 53.7, 56.2, 58.5, 62.1, 64.0),
    ),
    "IVH": (
        (24.6, 25.1, 27.2, 31.0, 34.4, 39.9, 43.0, 46.0, 48.3),
        (29.9, 33.0, 34.4, 35.7, 41.5, 44.8, 46.6, 48.0, 50.0),
        (33.2, 33.8, 34.3, 40.6, 45.7, 50.2, 54.8, 57.0, 59.8),
    ),
}

# Number of scans that hold exactly these subtypes.
COMBINATIONS = {
    ("IVH",): 9,
    ("IPH",): 11,
    ("IPH", "IVH"): 27,
    ("SAH",): 9,
    ("SAH", "IVH"): 8,
    ("SAH", "IPH"): 14,
    ("SAH", "IPH", "IVH"): 28,
    ("SDH",): 10,
    ("SDH", "IVH"): 1,
    ("SDH", "IPH"): 4,
    ("SDH", "IPH", "IVH"): 6,
    ("SDH", "SAH"): 3,
    ("SDH", "SAH", "IVH"): 9,
    ("SDH", "SAH", "IPH"): 17,
    ("SDH", "SAH", "IPH", "IVH"): 13,
    ("EDH",): 11,
    ("EDH", "SAH"): 3,
    ("EDH", "SAH", "IPH", "IVH"): 2,
    ("EDH", "SDH"): 2,
    ("EDH", "SDH", "IPH"): 2,
    ("EDH", "SDH", "SAH"): 1,
    ("EDH", "SDH", "SAH", "IPH"): 1,
    ("EDH", "SDH", "SAH", "IPH", "IVH"): 1,
}


def draw_subtypes(r: Draws) -> tuple[str, ...]:
    """The subtypes of one scan with blood, as often together as in BHSD."""
    return r.choice(list(COMBINATIONS), list(COMBINATIONS.values()))


def draw_volume(subtype: str, r: Draws) -> float:
    """A scan's volume of ``subtype`` in mL."""
    return r.quantile(VOLUME_ML[subtype], LEVELS)


def draw_density(subtype: str, volume_ml: float, r: Draws, faint: float = 1.0) -> float:
    """Mean HU that a bleed of ``volume_ml`` measures in a scan, after partial volume.

    Args:
        subtype: short name.
        volume_ml: mL of it in the scan.
        r: chance.
        faint: 1 draws from the whole table evenly; above 1 the lower quantiles come more often, as u ** ``faint``.
    """
    return r.quantile(DENSITY_HU[subtype][bisect.bisect(TERCILE_ML[subtype], volume_ml)], LEVELS, faint)


def draw_wanted(
    r: Draws, subtypes: Sequence[str] | None, volume_ml: tuple[float, float] | None, positive_fraction: float
) -> tuple[Sequence[str] | None, dict[str, float] | None]:
    """What a head is asked to hold, where a user has said which subtypes.

    Args:
        r: stream; nothing is drawn from it without ``subtypes``.
        subtypes: short names to put into each head with blood; None for as they occur.
        volume_ml: least and largest volume of each, uniform; None for as they occur.
        positive_fraction: share of heads with blood.

    Returns:
        subtypes, none of them for a head without blood, and their volumes in mL; None for what is left to chance.
    """
    if not subtypes:
        return subtypes, None
    if not r.chance(positive_fraction):
        return (), None
    return subtypes, {name: r.uniform(*volume_ml) for name in subtypes} if volume_ml else None
