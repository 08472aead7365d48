"""Import head CT from DICOM folders to NIfTI, geometry proven: python scripts/import_dicom.py SOURCE OUT."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.dicom.scan_folder import read_headers
from hemorrhage.dicom.series import series_uids
from hemorrhage.dicom.to_nifti import write_series
from hemorrhage.errors import ScanError
from hemorrhage.scans import NIFTI_ENDINGS, find_scans


def main(
    source: Annotated[Path, typer.Argument(help="A DICOM folder, or a folder in which such folders lie at any depth.")],
    out: Annotated[Path, typer.Argument(help="Gets NAME.nii.gz and its record NAME.json for each folder.")],
    series: Annotated[
        str,
        typer.Option(help="SeriesInstanceUID to take where a folder holds several CT series; 'all' takes each."),
    ] = "",
    min_slices: Annotated[int, typer.Option(min=1, help="Refuse series with fewer slices.")] = 3,
    overwrite: Annotated[bool, typer.Option(help="Make again what is there.")] = False,
) -> None:
    """Write every series in HU on an orthogonal grid in RAS+ mm; run it again to go on where it stopped.

    Gantry tilt is undone, unequal slices are resampled on the finest distance, each from the position of every slice.
    What was corrected or is in doubt is printed and kept in the record. What cannot be read in a way that one could
    defend is refused in one line, and the others go on; the exit code then says so.
    """
    try:
        scans = [scan for scan in find_scans(source) if not scan.path.name.lower().endswith(NIFTI_ENDINGS)]
        if not scans:
            raise ScanError("E_NO_DICOM", source, "it holds NIfTI files only", "Name a folder with DICOM files.")
        jobs = [job for scan in scans for job in _jobs(scan.path, scan.name, series)]
    except ScanError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None
    kept, codes = 0, [0]
    bar = tqdm(jobs, unit="series", desc="import", disable=None)
    for folder, name, uid in bar:
        bar.set_postfix_str(name)
        try:
            doubts = write_series(folder, out / name, series_uid=uid, min_slices=min_slices, overwrite=overwrite)
        except ScanError as error:
            bar.write(f"{name}: {error}", file=sys.stderr)
            codes.append(error.exit_code)
            continue
        kept += doubts is None
        for doubt in doubts or ():
            bar.write(f"{name}: {doubt}", file=sys.stderr)
    failed = len(codes) - 1
    typer.echo(f"{len(jobs) - kept - failed} imported, {kept} were there already, {failed} refused")
    raise typer.Exit(max(codes))


def _jobs(folder: Path, name: str, series: str) -> list[tuple[Path, str, str | None]]:
    if series != "all":
        return [(folder, name, series or None)]
    try:
        uids = series_uids(read_headers(folder)[0])
    except ScanError:
        return [(folder, name, None)]  # refused with its cause when its turn comes
    if len(uids) < 2:
        return [(folder, name, None)]
    return [(folder, f"{name}_{k + 1}", uid) for k, uid in enumerate(uids)]


if __name__ == "__main__":
    typer.run(main)
