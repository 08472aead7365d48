"""A run over many scans: what is still to do, and the table of what was found."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from monai.engines import Workflow
from rich.console import Console
from rich.table import Table

from hemorrhage.datalist import read_cases
from hemorrhage.datasets import Failure
from hemorrhage.errors import ScanError, scan_error_in
from hemorrhage.files import sha256_of, write_atomically
from hemorrhage.scans import find_scans
from hemorrhage.subtypes import SUBTYPES

__all__ = [
    "FINDINGS",
    "check_cases",
    "check_input",
    "finish_run",
    "pending_scans",
    "read_findings",
    "refuse_in_one_line",
    "run_engine",
    "run_step",
]

FINDINGS = "findings.json"


def read_findings(folder: Path) -> dict[str, Any] | None:
    """The findings in a result folder, or None where there is no whole result."""
    try:
        return json.loads((folder / FINDINGS).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None


def pending_scans(
    dataset_dir: str,
    output_dir: str,
    overwrite: bool = False,
    brain_dir: str = "",
    weights: str = "",
    settings: Mapping[str, Any] | None = None,
) -> list[dict[str, str]]:
    """The items of an inference run: every scan of ``dataset_dir`` that has no result in ``output_dir`` yet.

    Args:
        dataset_dir: as :func:`hemorrhage.scans.find_scans` takes it; empty means no scans.
        output_dir: folder of the results.
        overwrite: take all scans.
        brain_dir: folder with the user's own brain mask of each scan, ``NAME.nii.gz`` or ``NAME.nii``; empty has them
            made.
        weights: the file that this run reads scans with.
        settings: what else decides a result, as :class:`hemorrhage.handlers.ScanWriter` records it.

    Returns:
        dictionaries with "image" (absolute path), "name", and "brain" where there is a ``brain_dir``.

    Raises:
        ScanError: E_NOT_FOUND and E_NO_SCANS of :func:`find_scans`; E_NOT_FOUND if a brain mask is missing;
            E_WOULD_OVERWRITE if a result would take the place of something else; E_OTHER_INPUT if a result there is
            that of another scan with the same name; E_OTHER_RUN if it was made with other weights or settings.
    """
    if not dataset_dir:
        return []
    out = Path(output_dir).expanduser().absolute()
    file = Path(weights).expanduser()
    way = {**(settings or {}), **({"weights": sha256_of(file)} if weights and file.is_file() else {})}
    pending = []
    for scan in find_scans(Path(dataset_dir).expanduser().absolute()):
        target = out / scan.name
        if target.exists() and scan.path.is_dir() and target.samefile(scan.path):
            raise ScanError(
                "E_WOULD_OVERWRITE",
                scan.path.name,
                "its result would take the place of the scan itself",
                "Name another --output_dir.",
            )
        if overwrite or not _has_result(target, scan.path, way):
            mask = {"brain": str(_brain_mask(Path(brain_dir).expanduser(), scan.name))} if brain_dir else {}
            pending.append({"image": str(scan.path), "name": scan.name, **mask})
    return pending


def _brain_mask(folder: Path, name: str) -> Path:
    for ending in (".nii.gz", ".nii"):
        if (folder / (name + ending)).is_file():
            return (folder / (name + ending)).absolute()
    raise ScanError(
        "E_NOT_FOUND",
        folder / f"{name}.nii.gz",
        f"no brain mask for the scan {name}",
        "Add it, or leave out --brain_dir to have all masks made.",
    )


@contextlib.contextmanager
def _clean_exit() -> Iterator[None]:
    """Turn a refusal into its one line and its exit code, wherever in a config's nesting it was raised."""
    try:
        yield
    except Exception as error:
        cause = scan_error_in(error)
        if cause is None:
            raise
        print(cause, file=sys.stderr)
        raise SystemExit(cause.exit_code) from None


def refuse_in_one_line() -> None:
    """Have a refusal end a program in its line and exit code also where a part of a config raises it.

    MONAI makes the parts before any step of a run is called, so that no step can catch what they raise. Other
    exceptions keep the hook that was there, and what calls :func:`monai.bundle.run` still gets them all.
    """
    usual = sys.excepthook

    def say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        cause = scan_error_in(error)
        if cause is None:
            usual(kind, error, trace)
            return
        print(cause, file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(cause.exit_code)  # the interpreter would end with 1 whatever a hook does

    sys.excepthook = say


def check_input(dataset_dir: str, output_dir: str, **options: Any) -> None:
    """First step of an inference run: say in one line what is wrong with its input, before anything is built.

    Args:
        dataset_dir: as for :func:`pending_scans`, but empty is an error here.
        output_dir: as for :func:`pending_scans`.
        options: likewise.

    Raises:
        SystemExit: with the status of the error, after printing its line.
    """
    with _clean_exit():
        if not dataset_dir:
            raise ScanError(
                "E_NOT_FOUND",
                "--dataset_dir",
                "no input was named",
                "Give --dataset_dir with a scan, a folder of scans or a DICOM folder.",
            )
        pending_scans(dataset_dir, output_dir, **options)


def check_cases(dataset_dir: str | None, datalist: str | None, fold: int | None, held_out: bool) -> None:
    """Say in one line what is wrong with a folder or list of cases, before anything is built from it.

    Args:
        dataset_dir: as for :func:`hemorrhage.datalist.read_cases`.
        datalist: likewise.
        fold: likewise.
        held_out: likewise.

    Raises:
        SystemExit: with the status of the error, after printing its line.
    """
    with _clean_exit():
        read_cases(dataset_dir, datalist, fold, held_out)


def run_engine(engine: Workflow) -> None:
    """Run a trainer or evaluator; what it refuses ends in one line and an exit code instead of a traceback.

    Raises:
        SystemExit: with the status of the error, after printing its line.
    """
    with _clean_exit():
        engine.run()


def run_step(step: Callable[[], object]) -> None:
    """Call what is no engine, such as the training of a method without a network; refusals as in :func:`run_engine`.

    Args:
        step: called without arguments; a config makes one with ``_mode_: callable``.

    Raises:
        SystemExit: with the status of the error, after printing its line.
    """
    with _clean_exit():
        step()


def _has_result(folder: Path, source: Path, way: Mapping[str, Any]) -> bool:
    found = read_findings(folder)
    if found is None:
        if folder.exists():
            raise ScanError(
                "E_WOULD_OVERWRITE",
                folder,
                "the folder exists and holds no result of ours",
                "Move it away or name another --output_dir.",
            )
        return False
    if found["input"]["sha256"] != sha256_of(source):
        raise ScanError(
            "E_OTHER_INPUT",
            folder,
            f"it holds the result of another scan than {source.name} (their SHA-256 differ)",
            "Name another --output_dir, or set --overwrite True to replace it.",
        )
    before = {"threshold": found["threshold"], **found.get("settings", {}), "weights": found["weights"]["sha256"]}
    differing = [k for k, v in way.items() if before.get(k, v) != v]
    if differing:
        raise ScanError(
            "E_OTHER_RUN",
            folder,
            f"it holds a result made with another {', '.join(differing)}",
            "Name another --output_dir, or set --overwrite True to make all results anew.",
        )
    return True


def finish_run(output_dir: str, failures: Sequence[Failure]) -> None:
    """Write ``findings.csv`` over all results in a folder, print them as a table, and report failures.

    Args:
        output_dir: folder of the results.
        failures: the scans of this run that have none.

    Raises:
        SystemExit: with the gravest exit code among the failures, if there are any.
    """
    out = Path(output_dir).absolute()
    records = [r for r in (read_findings(p.parent) for p in sorted(out.glob(f"*/{FINDINGS}"))) if r is not None]
    rows = [_row(r) for r in records] + [{"name": f.name, "error": f.message} for f in failures]
    if rows:
        write_atomically(out / "findings.csv", lambda path: _save_csv(path, rows))
        _print_table(rows, out)
    for failure in failures:
        print(failure.message, file=sys.stderr)
    if failures:
        print(f"{len(failures)} scan(s) failed, {len(records)} have a result", file=sys.stderr)
        raise SystemExit(max(f.exit_code for f in failures))


_COLUMNS = (
    "name", "volume_ml", "volume_left_ml", "volume_right_ml", "side", "number_of_components", "largest_component_ml",
    "scan_score", "brain_ml", "warnings", "seconds", "file", "sha256", "weights_sha256", "error",
)  # fmt: skip
_BY_SUBTYPE = tuple(f"{s.short}_ml" for s in SUBTYPES)  # behind the volumes, where a result names subtypes


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    found = record["findings"]
    return {
        **{k: found[k] for k in _COLUMNS if k in found},
        **{f"{short}_ml": ml for short, ml in found.get("volume_ml_by_subtype", {}).items()},
        "name": record["name"],
        "warnings": " ".join(dict.fromkeys(w["code"] for w in record["warnings"])),
        "seconds": round(sum(record["seconds"].values()), 1),
        "file": record["input"]["file"],
        "sha256": record["input"]["sha256"],
        "weights_sha256": record["weights"]["sha256"],
    }


def _save_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, _columns(rows), restval="")
        table.writeheader()
        for row in rows:
            table.writerow({k: _cell(v) for k, v in row.items()})


def _columns(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    behind = _COLUMNS.index("volume_right_ml") + 1
    named = _BY_SUBTYPE if _names_subtypes(rows) else ()
    return (*_COLUMNS[:behind], *named, *_COLUMNS[behind:])


def _names_subtypes(rows: Sequence[Mapping[str, Any]]) -> bool:
    return any(_BY_SUBTYPE[0] in row for row in rows)


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value  # a spreadsheet would run it as a formula
    return value


def _print_table(rows: Sequence[Mapping[str, Any]], output_dir: Path) -> None:
    table = Table(title="Hemorrhage on head CT (research use, not for diagnosis)")
    named = ("of which",) if _names_subtypes(rows) else ()
    for column in ("scan", "mL", *named, "left", "right", "bleeds", "score", "warnings", "s"):
        table.add_column(column, justify="left" if column in ("scan", "of which", "warnings") else "right")
    for row in rows:
        if "error" in row:
            table.add_row(row["name"], "[red]failed[/red]", *[""] * (6 + len(named)))
            continue
        volumes = [
            "" if v is None else f"{v:.1f}" for v in map(row.get, ("volume_ml", "volume_left_ml", "volume_right_ml"))
        ]
        if named:
            volumes.insert(1, ", ".join(f"{c.removesuffix('_ml')} {row[c]:.1f}" for c in _BY_SUBTYPE if row.get(c)))
        score, seconds = f"{row['scan_score']:.2f}", f"{row['seconds']:.1f}"
        table.add_row(row["name"], *volumes, str(row["number_of_components"]), score, row["warnings"], seconds)
    console = Console()
    console.print(table)
    console.print(f"masks, probabilities, findings.json and overlay.png of each scan: {output_dir}", soft_wrap=True)
