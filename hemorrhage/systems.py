"""The systems of this bundle: which configs, in which order, read, train or evaluate each."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

__all__ = ["USES", "bundle_command", "configs_of", "systems", "weights_of"]

USES = ("read_with", "train", "evaluate")


def systems(root: Path) -> list[str]:
    """Names of all systems that have argument files below the bundle's folder ``root``."""
    return sorted(p.stem.removeprefix("train_") for p in (root / "configs/args").glob("train_*.yaml"))


def configs_of(root: Path, system: str, use: str) -> tuple[str, ...]:
    """Names of the configs of ``system``, the first of them a program, the others overlays on it.

    Args:
        root: the bundle's folder.
        system: one of :func:`systems`.
        use: one of ``USES``.

    Returns:
        names without folder and ending, as in the argument file ``configs/args/USE_SYSTEM.yaml``.
    """
    arguments = yaml.safe_load((root / f"configs/args/{use}_{system}.yaml").read_text(encoding="utf-8"))
    return tuple(Path(name).stem for name in arguments["config_file"])


def weights_of(root: Path, system: str) -> Path:
    """Where a folder of models holds the weights of ``system``: what its configs read, without the folder.

    Args:
        root: the bundle's folder.
        system: one of :func:`systems`.
    """
    parser = ConfigParser()
    parser.read_config([str(root / f"configs/{name}.yaml") for name in configs_of(root, system, "read_with")])
    parser["bundle_root"] = str(root)
    return Path(parser.get_parsed_content("checkpoint")).relative_to(root / "models")


def bundle_command(root: Path, configs: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """The command that runs ``configs`` as a bundle, with ``values`` in place of theirs.

    Args:
        root: the bundle's folder.
        configs: names as of :func:`configs_of`.
        values: what to set, by the name of the knob.

    Returns:
        words for :mod:`subprocess`; warnings of libraries stay hidden.
    """
    files = [str(root / f"configs/{name}.yaml") for name in configs]
    words = [word for name, value in values.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file", json.dumps(files), *words]
