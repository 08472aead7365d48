"""Which weights a run uses: they exist, they are plain tensors, and they are the ones that were published."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch

from hemorrhage.errors import ScanError
from hemorrhage.files import sha256_of

__all__ = ["check_weights", "load_weights"]


def check_weights(path: Path) -> str:
    """Make sure that ``path`` can be used as weights.

    A file ``path + ".sha256"`` beside it, if there is one, holds the hash of the published weights.

    Returns:
        its SHA-256.

    Raises:
        ScanError: E_WEIGHTS if the file is missing or its hash is not the published one.
    """
    if not path.is_file():
        raise ScanError(
            "E_WEIGHTS",
            path,
            "there are no weights here",
            "Train them (python -m monai.bundle run --config_file configs/train.yaml) or name others with "
            "--checkpoint FILE.",
        )
    found = sha256_of(path)
    published = path.with_name(path.name + ".sha256")
    if published.is_file():
        wanted = published.read_text().split()[0].lower()
        if wanted != found:
            raise ScanError(
                "E_WEIGHTS",
                path,
                f"its SHA-256 begins {found[:12]} but {published.name} says {wanted[:12]}",
                "The file was changed or cut off: get it again; if these are weights of your own, give them a name "
                "of their own.",
            )
    return found


def load_weights(network: torch.nn.Module, path: Path, map_location: Any = "cpu") -> str:
    """Load ``path`` into ``network``, every tensor in its place, and nothing but tensors.

    Args:
        network: the module to fill.
        path: a state dictionary as ``torch.save`` writes it, bare or under the key "model" or "network".
        map_location: where tensors are read to.

    Returns:
        the file's SHA-256.

    Raises:
        ScanError: E_WEIGHTS as in :func:`check_weights`; E_CHECKPOINT if it is not a plain weights file or does not
            fit the network.
    """
    found = check_weights(path)
    try:
        content = torch.load(path, map_location=map_location, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ScanError(
            "E_CHECKPOINT",
            path,
            "it is not a plain weights file: it holds more than tensors, or is cut off",
            "Use a checkpoint that training wrote; nothing in this file was executed.",
        ) from error
    for key in ("model", "network"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    try:
        network.load_state_dict(content)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = json.dumps(str(error).splitlines()[-1].strip())
        raise ScanError(
            "E_CHECKPOINT",
            path,
            f"it does not fit the network {type(network).__name__}: {reason}",
            "Use the config (and its overrides, such as network_def) that the weights were trained with.",
        ) from error
    return found
