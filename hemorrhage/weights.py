"""Which weights a run uses: they exist, they are plain tensors, and they are the ones that were published."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from hemorrhage.errors import ScanError
from hemorrhage.files import sha256_of, write_atomically

__all__ = [
    "CALIBRATION",
    "averaged_weights",
    "check_weights",
    "joined_weights",
    "load_weights",
    "members_of",
    "publish_weights",
    "read_weights",
]

CALIBRATION = "calibration.json"  # beside weights: what their score is worth
MEMBER = "members."  # first word of the names in a file that holds several trainings
RUNNING = ("running_mean", "running_var")  # of normalization layers


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
            "Train them (python -m monai.bundle run --config_file configs/train.yaml), name others with --checkpoint "
            "FILE, or read with a system whose weights are here (--args_file configs/args/read_with_slice_unet.yaml).",
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


def read_weights(path: Path, map_location: Any = "cpu") -> tuple[dict[str, torch.Tensor], str]:
    """Read the tensors of ``path``, and nothing but tensors.

    Args:
        path: a state dictionary as ``torch.save`` writes it, bare or under the key "model" or "network".
        map_location: where tensors are read to.

    Returns:
        the state dictionary and the file's SHA-256.

    Raises:
        ScanError: E_WEIGHTS as in :func:`check_weights`; E_CHECKPOINT if it is not a plain weights file.
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
    if not isinstance(content, dict) or not all(isinstance(t, torch.Tensor) for t in content.values()):
        raise ScanError("E_CHECKPOINT", path, "it holds no weights by name", "Use a checkpoint that training wrote.")
    return content, found


def joined_weights(contents: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The weights of several trainings of one network as those of :class:`hemorrhage.networks.MeanOfNetworks`."""
    return {f"{MEMBER}{n}.{name}": t for n, content in enumerate(contents) for name, t in content.items()}


def averaged_weights(contents: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of the weights of several trainings of one network, as one network, in float32.

    It is worth something where one training went on from another: between the two the loss stays low, and what the
    first knew of other data is not lost (Wortsman et al. 2022, arXiv:2109.01903). What is no floating number, such as a
    count of batches, is the last one's.
    """
    first, last = contents[0], contents[-1]
    return {
        name: torch.stack([content[name].float() for content in contents]).mean(0)
        if tensor.is_floating_point()
        else last[name]
        for name, tensor in first.items()
    }


def members_of(content: Mapping[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """The trainings whose weights were joined in ``content``: itself alone where none were."""
    if not content or not all(name.startswith(MEMBER) for name in content):
        return [dict(content)]
    members: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in content.items():
        number, own = name.removeprefix(MEMBER).split(".", 1)
        members.setdefault(number, {})[own] = tensor
    return list(members.values())


def load_weights(network: torch.nn.Module, path: Path, map_location: Any = "cpu", first_member: bool = False) -> str:
    """Load ``path`` into ``network``, every tensor in its place, and nothing but tensors.

    Args:
        network: the module to fill.
        path: as in :func:`read_weights`.
        map_location: where tensors are read to.
        first_member: whether of several trainings joined in ``path`` the first is wanted, to train on from.

    Returns:
        the file's SHA-256.

    Raises:
        ScanError: as :func:`read_weights`; E_CHECKPOINT also if the weights do not fit the network, or hold values that
            are no finite numbers where a network multiplies by them.
    """
    content, found = read_weights(path, map_location)
    if first_member:
        content = members_of(content)[0]
    # Buffers of other kinds may hold infinities on purpose: the leaves of a forest do.
    factors = {name for name, _ in network.named_parameters()}
    broken = _not_finite({n: t for n, t in content.items() if n in factors or n.endswith(RUNNING)})
    if broken:
        raise ScanError(
            "E_CHECKPOINT",
            path,
            f"{broken} holds values that are no finite numbers",
            "Train again from weights that are whole, or convert these without overflow.",
        )
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


def publish_weights(content: dict[str, torch.Tensor], path: Path) -> str:
    """Write weights in half precision, with a file of their hash beside them that readers check.

    A tensor with values that half precision cannot hold (beyond 65504; variances of a batch normalization get there)
    keeps its own precision: an infinite number silences a channel, and the network still answers.

    A calibration of other weights that lay there is removed: nothing would be read with it.

    Args:
        content: a state dictionary; the same one always gives the same file.
        path: where it is written; its folder is made.

    Returns:
        the file's SHA-256.

    Raises:
        ValueError: a tensor holds values that are no finite numbers.
    """
    broken = _not_finite(content)
    if broken:
        raise ValueError(f"{broken} holds values that are no finite numbers: such weights are not published")
    half = {name: _halved(t) if t.is_floating_point() else t for name, t in content.items()}
    buffer = io.BytesIO()  # torch.save would put the name of a temporary file into the file
    torch.save(half, buffer)
    found = hashlib.sha256(buffer.getvalue()).hexdigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or sha256_of(path) != found:
        path.with_name(CALIBRATION).unlink(missing_ok=True)
    write_atomically(path, lambda part: part.write_bytes(buffer.getvalue()))
    write_atomically(path.with_name(path.name + ".sha256"), lambda part: part.write_text(f"{found}  {path.name}\n"))
    return found


def _halved(tensor: torch.Tensor) -> torch.Tensor:
    half = tensor.half()
    return half if bool(half.isfinite().all()) else tensor


def _not_finite(content: dict[str, torch.Tensor]) -> str | None:
    """Name of the first tensor with an infinite value or none at all, None where there is no such."""
    return next((n for n, t in content.items() if t.is_floating_point() and not bool(t.isfinite().all())), None)
