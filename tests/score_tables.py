"""Tables of scores as an evaluation writes them, without an evaluation."""

import json

import numpy as np
import pandas as pd


def scans(dice, names=None, reference=None, combinations=("ICH only", "ICH + IVH")):
    """A row a scan, each of another patient, its volume 2 mL short; combinations take turns."""
    count = len(dice)
    reference = np.asarray(reference if reference is not None else [10.0] * count, dtype=float)
    return pd.DataFrame(
        {
            "name": names or [str(n) for n in range(count)],
            "patient": names or [str(n) for n in range(count)],
            "reference_ml": reference,
            "automatic_ml": reference - 2.0,
            "difference_ml": -2.0,
            "dice": dice,
            "jaccard": 0.5,
            "surface_dice": 0.5,
            "hd95_mm": 1.0,
            "lesions": 1,
            "lesions_found": 1,
            "false_positive_lesions": 0,
            "scan_score": np.where(reference > 0, 0.9, 0.1),
            "combination": [combinations[n % len(combinations)] for n in range(count)],
        }
    )


def write_run(folder, name, table):
    """A folder as a finished evaluation leaves it, as far as comparisons read it."""
    folder.mkdir(parents=True)
    settings = {"name": name, "threshold": 0.5, "smallest_bleed_mm3": 50, "weights_sha256": "0123456789abcdef" * 4}
    (folder / "run.json").write_text(json.dumps(settings))
    table.to_csv(folder / "scans.csv", index=False, float_format="%.6g")
    return folder
