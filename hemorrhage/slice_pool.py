"""Training data of 2D networks: the slices of many scans, kept on disk as small as the network sees them."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import get_track_meta, set_track_meta
from monai.data.utils import pickle_hashing
from monai.transforms import Compose, RandomizableTrait
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler
from tqdm import tqdm

from hemorrhage.errors import ScanError
from hemorrhage.files import write_atomically
from hemorrhage.geometry import voxel_sizes_mm
from hemorrhage.phantom_scans import start_method
from hemorrhage.subtypes import SUBTYPES
from hemorrhage.transforms.adjacent_slices import neighbor_indices, neighbor_step

__all__ = ["SlicePool", "balanced_slices"]

MORE = ("asymmetry", "excess")  # what a network may be shown of a slice beside the slice


class SlicePool(Dataset):
    """All slices with brain of a list of scans, each between its neighbors.

    Every scan is prepared once and kept in ``cache_dir`` in 8 bits, as the papers rescale it (255 is the top of the
    window, 0 is outside the brain), and read through memory maps, so that a pool may be larger than the memory. What
    is kept is found again by the item and its preparation; a change in either makes it anew.

    Args:
        data: items such as :func:`hemorrhage.datalist.read_cases` or :func:`phantom_slabs` give.
        prepare: from an item to "image" (1, I, J, K) in [0, 1], 0 outside the brain, "target" (1, I, J, K) with
            subtypes, slices along the last axis, and perhaps "asymmetry" and "excess" (1, I, J, K) in [-1, 1]. No
            random step.
        transform: from a slice to the network's input, or to a list of crops.
        cache_dir: folder of what is kept.
        distance_mm: see :class:`hemorrhage.transforms.adjacent_slices.AdjacentSlicesd`.
        farthest_mm: likewise.
        least_brain_mm2: slices with less brain are left out.
        num_workers: processes that prepare scans.
        names_subtypes: whether the masks have to name subtypes, see below.

    Raises:
        ScanError: E_DATALIST where masks have to name subtypes and no mask holds anything but 1, which would teach that
            all blood is epidural, or one holds a value that is no subtype's.

    Items are dictionaries: "image" (3, I, J) float32 in [0, 1]; "label" (1, I, J) uint8; "region" (1, I, J) uint8, 0
    outside the brain, 1 brain, 2 hemorrhage; and "asymmetry" and "excess" (1, I, J) float32 of the middle slice, where
    they were made.

    Attributes:
        positive: (N,) bool, whether each slice holds hemorrhage.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        prepare: Compose,
        transform: Callable[[dict[str, Any]], Any] | None = None,
        cache_dir: str = "cache",
        distance_mm: float | None = None,
        farthest_mm: float = 10.0,
        least_brain_mm2: float = 300.0,
        num_workers: int = 0,
        names_subtypes: bool = False,
    ) -> None:
        self.transform = transform
        folder = Path(cache_dir)
        folder.mkdir(parents=True, exist_ok=True)
        kept = _Kept(data, prepare, folder)
        start = start_method(data) if num_workers else None
        loader = DataLoader(kept, batch_size=None, num_workers=num_workers, multiprocessing_context=start)
        self.volumes: list[np.ndarray] = []
        self.more: tuple[str, ...] = ()
        self.slices: list[tuple[int, np.ndarray]] = []
        positive = []
        for path in (p for paths in tqdm(loader, "prepare scans", len(kept)) for p in paths):
            with np.load(Path(path).with_suffix(".npz")) as numbers:
                spacing, brain_mm2, blood = (numbers[k] for k in ("spacing_mm", "brain_mm2", "blood"))
                self.more = tuple(numbers["more"])
            step = neighbor_step(float(spacing), distance_mm, farthest_mm)
            for k, row in enumerate(neighbor_indices(len(blood), step)):
                if brain_mm2[k] >= least_brain_mm2:
                    self.slices.append((len(self.volumes), row))
                    positive.append(bool(blood[k] > 0))
            self.volumes.append(np.load(path, mmap_mode="r"))
        self.positive = np.array(positive, dtype=bool)
        if names_subtypes and self.positive.any():
            _check_subtypes(max(int(volume[1].max()) for volume in self.volumes))

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: int) -> Any:
        volume, row = self.slices[index]
        stack = self.volumes[volume]
        label = torch.from_numpy(np.array(stack[1, row[1]]))[None]
        image = torch.from_numpy(np.array(stack[0, row]))
        region = (image[1:2] > 0).to(torch.uint8)
        item = {"image": image.float() / 255.0, "label": label, "region": torch.where(label > 0, 2, region)}
        for name, kept in zip(self.more, stack[2:, row[1]], strict=True):
            item[name] = (torch.from_numpy(np.array(kept))[None].float() - 128.0) / 127.0
        if self.transform is None:
            return item
        with _plain_tensors():
            return self.transform(item)


def _check_subtypes(highest: int) -> None:
    """Refuse masks whose ``highest`` value says that they name no subtypes, or others than ours."""
    if 2 <= highest <= len(SUBTYPES):
        return
    names = ", ".join(f"{s.index} {s.short}" for s in SUBTYPES)
    if highest < 2:
        cause = f"no mask holds a value above 1: they mark blood, or the subtype {SUBTYPES[0].short} alone"
    else:
        cause = f"a mask holds the value {highest}, which is no subtype's"
    remedy = f"Give masks of subtypes ({names}), or train a config without subtypes, such as slice_unet.yaml."
    raise ScanError("E_DATALIST", "training cases", cause, remedy)


@contextlib.contextmanager
def _plain_tensors() -> Iterator[None]:
    """Let transforms work on tensors without meta data: crops of a pool have none, and it takes half the time."""
    tracked = get_track_meta()
    set_track_meta(False)
    try:
        yield
    finally:
        set_track_meta(tracked)


class _Kept(Dataset):
    """Prepares the scans of one item and answers with the paths of what it kept."""

    def __init__(self, data: Sequence[Mapping[str, Any]], prepare: Compose, folder: Path) -> None:
        if any(isinstance(t, RandomizableTrait) for t in prepare.flatten().transforms):
            raise ValueError("a pool is prepared once: random steps belong into its transform")
        self.data = data
        self.prepare = prepare
        self.folder = folder
        self.recipe = pickle_hashing((MORE, prepare.flatten().transforms))

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> list[str]:
        key = hashlib.sha256(pickle_hashing(self.data[index]) + self.recipe).hexdigest()[:32]
        whole = self.folder / f"{key}.json"  # written last: what it names is there
        if not whole.exists():
            items = self.prepare(dict(self.data[index]))
            paths = [self.folder / f"{key}_{n}.npy" for n in range(len(items) if isinstance(items, list) else 1)]
            for path, item in zip(paths, items if isinstance(items, list) else [items], strict=True):
                _keep(item, path)
            write_atomically(whole, lambda path: path.write_text(json.dumps([p.name for p in paths])))
        return [str(self.folder / name) for name in json.loads(whole.read_text())]


def _keep(item: Mapping[str, Any], path: Path) -> None:
    names = [name for name in MORE if name in item]
    image, label, *more = (item[k][0].permute(2, 0, 1).numpy() for k in ("image", "target", *names))
    sizes = voxel_sizes_mm(np.asarray(item["image"].affine))
    gray = np.clip(np.rint(image * 255.0), 0, 255).astype(np.uint8)
    blood = np.where(gray > 0, label, 0).astype(np.uint8)  # what the mask hides cannot be learned
    np.savez(
        path.with_suffix(".npz"),
        spacing_mm=sizes[2],
        brain_mm2=(gray > 0).sum((1, 2)) * sizes[0] * sizes[1],
        blood=(blood > 0).sum((1, 2)),
        more=np.array(names, dtype=str),
    )
    np.save(path, np.stack([gray, blood, *(np.rint(128 + 127 * np.clip(a, -1, 1)).astype(np.uint8) for a in more)]))


def balanced_slices(pool: SlicePool, num_samples: int, positive_fraction: float | None) -> WeightedRandomSampler:
    """A sampler of slices with hemorrhage at a stated share, drawn with replacement.

    Kuo et al. 2019, "Implementation details": 30 % of each minibatch's patches come from positive images.

    Args:
        pool: the slices.
        num_samples: slices an epoch.
        positive_fraction: expected share of slices with hemorrhage; None takes slices as often as they occur.

    Raises:
        ScanError: E_DATALIST if a share is asked for and there are no slices of one kind.
    """
    share = pool.positive.mean() if len(pool.positive) else 0.0
    if positive_fraction is None:
        weights = np.ones(len(pool.positive))
    elif not 0 < share < 1 and 0 < positive_fraction < 1:
        raise ScanError(
            "E_DATALIST",
            "training cases",
            f"{int(pool.positive.sum())} of {len(pool.positive)} slices hold hemorrhage",
            "Give cases with and without, or set positive_fraction to null.",
        )
    else:
        weights = np.where(
            pool.positive, positive_fraction / max(share, 1e-9), (1 - positive_fraction) / max(1 - share, 1e-9)
        )
    return WeightedRandomSampler(weights.tolist(), num_samples)
