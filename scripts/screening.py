"""Which of many things matters, from few trainings: each is left out of half of them, all in different halves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.linalg import hadamard
from scipy.stats import t as student

SPARE = 4  # trainings beyond what the estimates need, to learn from how far the trainings scatter


def screening_design(names: Sequence[str], repeats: int = 1) -> pd.DataFrame:
    """What each training of a screening has in it.

    Columns of a Hadamard matrix: each name is there in half of the trainings, and each two names are together in a
    quarter of them, so that the difference between with and without is that of one name alone. The first training has
    everything.

    Args:
        names: what may be left out.
        repeats: how often the whole design is repeated.

    Returns:
        booleans, a row a training and a column a name.
    """
    runs = 1 << (len(names) + SPARE - 1).bit_length()  # the next power of two
    columns = hadamard(runs)[:, 1 : len(names) + 1] > 0
    return pd.DataFrame(np.tile(columns, (repeats, 1)), columns=list(names))


def main_effects(design: pd.DataFrame, outcome: Sequence[float], level: float = 0.95) -> pd.DataFrame:
    """How much higher an outcome is with each name than without it, by least squares on all trainings.

    Args:
        design: booleans of :func:`screening_design`, or the rows of it that were run.
        outcome: one number a training.
        level: of the intervals.

    Returns:
        a row a name with "with", "without" (means), "effect", "low" and "high" (Student's interval; NaN where there are
        just as many trainings as it takes to tell the names apart, so that nothing is left to know the scatter from).

    Raises:
        ValueError: there are too few trainings to tell the names apart.
    """
    x = np.column_stack([np.ones(len(design)), design.to_numpy(dtype=float)])
    y = np.asarray(outcome, dtype=float)
    freedom = len(y) - x.shape[1]
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise ValueError(f"{len(y)} trainings cannot tell {design.shape[1]} ingredients apart")
    found, *_ = np.linalg.lstsq(x, y, rcond=None)
    variance = float(((y - x @ found) ** 2).sum()) / freedom if freedom else float("nan")
    error = np.sqrt(variance * np.diag(np.linalg.inv(x.T @ x)))
    reach = error * (float(student.ppf(0.5 + level / 2, freedom)) if freedom else 1.0)
    present = design.to_numpy(dtype=bool)
    return pd.DataFrame({
        "with": [y[present[:, j]].mean() for j in range(present.shape[1])],
        "without": [y[~present[:, j]].mean() for j in range(present.shape[1])],
        "effect": found[1:], "low": (found - reach)[1:], "high": (found + reach)[1:],
    }, index=design.columns)  # fmt: skip


def screening_table(design: pd.DataFrame, outcomes: pd.DataFrame) -> str:
    """A Markdown table: what each group adds to the outcomes, with 95 % intervals.

    Args:
        design: see :func:`screening_design`.
        outcomes: a row a training with "dice_while_7_clean", "pixel_ap" and "ml", the last NaN where no whole head was
            read.
    """
    shown = {
        "dice_while_7_clean": ("Dice while 7 of 8 are clean", 3),
        "pixel_ap": ("average precision of pixels", 3),
        "ml": ("mL in a whole head without blood", 1),
    }
    shown = {name: how for name, how in shown.items() if not outcomes[name].isna().any()}
    lines = ["| |" + "".join(f" {title}: with, without | difference |" for title, _ in shown.values())]
    lines.append("| --- |" + " --- | --- |" * len(shown))
    effects = {name: main_effects(design, outcomes[name]) for name in shown}
    for group in design.columns:
        cells = [group]
        for name, (_, digits) in shown.items():
            one = effects[name].loc[group]
            interval = "" if np.isnan(one["low"]) else f" ({one['low']:+.{digits}f} to {one['high']:+.{digits}f})"
            cells += [
                f"{one['with']:.{digits}f}, {one['without']:.{digits}f}",
                f"{one['effect']:+.{digits}f}{interval}",
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
