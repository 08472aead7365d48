"""Datasets whose items may fail or be made on the fly, named from configs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from monai.data import CacheDataset, Dataset, PersistentDataset
from monai.data.utils import pickle_hashing
from monai.transforms import Compose
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from hemorrhage.errors import EXIT_INTERNAL, ScanError, printable, scan_error_in
from hemorrhage.phantom_scans import PhantomScans, start_method

__all__ = ["FAILURE_KEY", "Failure", "ScanDataset", "cases_or_phantoms"]

FAILURE_KEY = "failure"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """Why a scan has no result.

    Attributes:
        name: name of the result that is missing.
        message: the one line for the user.
        exit_code: status that this alone would end a run with.
    """

    name: str
    message: str
    exit_code: int

    @classmethod
    def of(cls, name: str, error: Exception) -> Failure:
        """The failure that ``error`` means, looking for a ScanError in what it was raised from."""
        cause = scan_error_in(error)
        if cause is not None:
            # A table of findings is passed on: it need not tell where on this machine the scans lie.
            file = Path(cause.file).name if Path(cause.file).is_absolute() else cause.file
            shown = ScanError(cause.code, file or cause.file, cause.cause, cause.remedy)
            return cls(name, str(shown), cause.exit_code)
        logger.debug("unforeseen error in %s", name, exc_info=error)
        root: BaseException = error
        while root.__cause__ is not None:
            root = root.__cause__
        unforeseen = ScanError(
            "E_INTERNAL",
            name,
            f"{type(root).__name__}: {printable(root)}",
            "This is a fault of the software: please report it with this line.",
            EXIT_INTERNAL,
        )
        return cls(name, str(unforeseen), EXIT_INTERNAL)

    @classmethod
    def from_json(cls, text: str) -> Failure:
        """The inverse of :meth:`to_json`."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Text, because text passes MONAI's collation whole."""
        return json.dumps(asdict(self))


def _kept_on_disk(
    data: Sequence[dict[str, Any]], transform: Callable[[Any], Any], folder: str | None
) -> PersistentDataset:
    """Cases whose preparation up to the first random step is done once and kept in ``folder``.

    The folder is a user's own, because what lies in it is unpickled; None keeps nothing. With MONAI's
    default, ``weights_only``, the meta data of an image cannot be read back: every file counts as corrupt and is made
    anew at each epoch.
    """
    return PersistentDataset(
        data, transform, folder, hash_transform=pickle_hashing, track_meta=True, weights_only=False
    )


class _Indices(torch.utils.data.Dataset):
    """Prepares each item of a data set and answers with its number, which is soon sent from process to process."""

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> int:
        self.data[index]
        return index


def _make_all(kept: PersistentDataset, num_workers: int, start: str | None) -> None:
    """Prepare each item once, so that it is found on disk from then on; of several processes each does its share."""
    share = Subset(_Indices(kept), range(idist.get_rank(), len(kept), idist.get_world_size()))
    context = start if num_workers else None
    loader = DataLoader(share, batch_size=None, num_workers=num_workers, multiprocessing_context=context)
    for _ in tqdm(loader, "prepare phantoms", len(share)):
        pass


class ScanDataset(Dataset):
    """MONAI's ``Dataset`` for scans to infer: an item whose transforms fail becomes a record of the failure.

    An exception would end the data loader and with it every scan still waiting.

    Args:
        data: dictionaries with at least "image" (a path) and "name" (of the result).
        transform: the preprocessing.
        cache_dir: folder that keeps prepared scans, so that several systems can be scored on them; None keeps none.
    """

    def __init__(
        self,
        data: Sequence[dict[str, Any]],
        transform: Callable[[dict[str, Any]], Any] | None = None,
        cache_dir: str | None = None,
    ) -> None:
        super().__init__(data, transform)
        self.kept = _kept_on_disk(data, transform, cache_dir) if cache_dir and transform else None

    def _transform(self, index: int) -> dict[str, Any]:
        item = self.data[index]
        try:
            prepared = super()._transform(index) if self.kept is None else self.kept[index]
            return {"name": item.get("name", str(index)), **prepared}
        except Exception as error:  # whatever it is, the other scans go on and this one is reported
            return {"name": item.get("name", str(index)), FAILURE_KEY: Failure.of(item["name"], error).to_json()}


def cases_or_phantoms(
    data: Sequence[dict[str, Any]],
    transform: Compose,
    phantoms: Sequence[dict[str, Any]],
    phantom_transform: Compose,
    cache_dir: str | None = None,
    kept_phantoms: int = 0,
    num_workers: int = 0,
) -> Dataset:
    """The dataset of a training: the user's own cases, or phantoms where there are none.

    Args:
        data: cases with "image" and "label"; empty takes the phantoms.
        transform: from files to the network's input. What comes before its first random step is done once a case and
            kept in ``cache_dir``.
        phantoms: a data set that makes its cases, such as :class:`hemorrhage.phantom.TemplatePhantoms`, or the items of
            :class:`hemorrhage.phantom_scans.PhantomScans`.
        phantom_transform: from a phantom, or its item, to the network's input.
        cache_dir: folder of the cache for files and for what is made of items; None keeps none.
        kept_phantoms: as many phantoms are made at once and kept in memory (up to the first random step), the others
            each time they are asked for. Of items, what is made is kept in ``cache_dir``, where a training that is
            resumed finds it; 0 makes them each time.
        num_workers: processes that make what items ask for.
    """
    if data:
        return _kept_on_disk(data, transform, cache_dir)
    if isinstance(phantoms, PhantomScans):
        kept = _kept_on_disk(phantoms, phantom_transform, cache_dir if kept_phantoms else None)
        if kept_phantoms:
            _make_all(kept, num_workers, start_method(phantoms))
        return kept
    if kept_phantoms:
        workers = min(4, torch.get_num_threads())
        return CacheDataset(phantoms, phantom_transform, cache_num=kept_phantoms, num_workers=workers, copy_cache=False)
    return Dataset(phantoms, phantom_transform)
