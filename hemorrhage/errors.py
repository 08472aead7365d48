"""What can be wrong with a scan, in two grades: an error ends it, a warning travels with its result.

Every refusal is one line that names the file, the cause with its numbers and the remedy; every correction or doubt is
a :class:`ScanWarning` that ends up in ``findings.json``, in the log and on the report. Nothing else is allowed to
happen to bad input.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = [
    "EXIT_INPUT",
    "EXIT_INTERNAL",
    "EXIT_RESOURCE",
    "ScanError",
    "ScanWarning",
    "add_warnings",
    "first_sentence",
    "printable",
    "scan_error_in",
    "warnings_of",
]

EXIT_INPUT = 2
EXIT_INTERNAL = 3
EXIT_RESOURCE = 4

# MONAI collates the meta data of a batch: text survives that whole, a list of records of unequal length does not.
_META_KEY = "scan_warnings"


def printable(text: object, limit: int = 300) -> str:
    """``text`` on one line without control or direction characters, so that a file name cannot forge a log line."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    return shown if len(shown) <= limit else shown[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def first_sentence(error: BaseException, limit: int = 200) -> str:
    """What a library's exception begins with, without its advice and its final period."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return printable(line.split(". ")[0].rstrip("."), limit)


class ScanError(Exception):
    """Input that cannot become a result that one could defend.

    Args:
        code: stable name of the cause, such as ``"E_AFFINE"``.
        file: the file or folder at fault, as the user named it.
        cause: what is wrong, with its numbers, without a final period.
        remedy: what the user can do, as a sentence.
        exit_code: status of the process if this ends a run.
    """

    def __init__(self, code: str, file: object, cause: str, remedy: str, exit_code: int = EXIT_INPUT) -> None:
        self.code = code
        self.file = printable(file)
        self.cause = printable(cause, 600)
        self.remedy = printable(remedy, 600)
        self.exit_code = exit_code
        super().__init__(code, self.file, self.cause, self.remedy, exit_code)  # all of it, so that it can be pickled

    def __str__(self) -> str:
        return f"error[{self.code}] {self.file}: {self.cause}. {self.remedy}"


def scan_error_in(error: BaseException) -> ScanError | None:
    """The :class:`ScanError` behind ``error``, or None.

    MONAI's ``Compose`` and ``Dataset`` wrap what a transform raises in RuntimeErrors, and a DataLoader's worker process
    sends text only: the chain of causes is followed first, then the one line is sought in the text.
    """
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        if isinstance(link, ScanError):
            return link
        seen.add(id(link))
        link = link.__cause__ or link.__context__
    line = re.search(r"error\[(E_[A-Z0-9_]+)\] (.+?): (.+)\. (.+)", str(error))
    return ScanError(line[1], line[2], line[3], line[4]) if line else None


@dataclass(frozen=True)
class ScanWarning:
    """A correction that was made, or a doubt that the reader of a result must know of.

    Attributes:
        code: stable name, such as ``"W_TILT"``.
        text: one sentence for people.
        files: names of the files concerned (no folders).
        numbers: the figures behind it, units in their names (``{"tilt_degrees": 15.0}``).
    """

    code: str
    text: str
    files: tuple[str, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"warning[{self.code}] {self.text}"


def warnings_of(meta: Mapping[str, Any]) -> list[ScanWarning]:
    """The warnings that ``meta`` (of a MetaTensor) carries, oldest first."""
    records = json.loads(meta.get(_META_KEY, "[]"))
    return [ScanWarning(r["code"], r["text"], tuple(r["files"]), r["numbers"]) for r in records]


def add_warnings(meta: MutableMapping[str, Any], warnings: Iterable[ScanWarning]) -> None:
    """Append ``warnings`` to those of ``meta``, in place."""
    meta[_META_KEY] = json.dumps([asdict(w) for w in [*warnings_of(meta), *warnings]])
