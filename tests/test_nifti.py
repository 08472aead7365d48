"""Each kind of good and odd NIfTI file: read exactly, or read with its warning."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from analytic_head import BLEED, BLEED_ML, BRAIN, grid_points, hu_at, rotation_x, rotation_z
from nifti_files import AFFINE, HEAD, SHAPE, STEPS, assert_exact, codes, expect_error, image, patched, sampled, written

from hemorrhage.geometry import shear_degrees, voxel_volume_ml
from hemorrhage.nifti import read_nifti

DATA = Path(__file__).resolve().parents[1] / "../shared/data"

GOOD: dict[str, Callable[[], nib.Nifti1Image]] = {
    "N1 clean": image,
    "N2 float64": lambda: image(HEAD.astype(np.float64)),
    "N3 LPS storage": lambda: sampled(np.diag([-4.0, -4.0, 5.0]), SHAPE),
    "N4 left-handed": lambda: sampled(np.diag([-4.0, 4.0, 5.0]), SHAPE),
    "N5 oblique by 25 degrees": lambda: sampled(rotation_x(25) @ rotation_z(10) @ STEPS, (52, 60, 48)),
    "N6 axes permuted": lambda: sampled(STEPS[:, [2, 0, 1]], (38, 48, 56)),
    "N7 anisotropic 0.4 x 0.8 x 10": lambda: sampled(np.diag([0.4, 0.8, 10.0]), (420, 250, 19)),
    "N9 trailing dimension": lambda: image(HEAD[..., None]),
    "N52 big endian": lambda: nib.Nifti1Image(HEAD.astype(">i2"), AFFINE, header=image().header.as_byteswapped(">")),
    "N53 NIfTI-2": lambda: image(kind=nib.Nifti2Image),
    "float32": lambda: image(HEAD.astype(np.float32)),
    "int32": lambda: image(HEAD.astype(np.int32)),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_good_files_are_read_exactly(tmp_path: Path, name: str, suffix: str) -> None:
    made = GOOD[name]()
    volume = read_nifti(written(tmp_path, made, f"head{suffix}"))
    assert codes(volume) == []
    assert_exact(volume, made.affine)


def test_n52_really_writes_big_endian(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD["N52 big endian"](), "big.nii")
    assert path.read_bytes()[:4] == (348).to_bytes(4, "big")


def test_n8_a_thousand_slices_cost_two_copies_at_most(tmp_path: Path) -> None:
    made = sampled(np.diag([4.0, 4.0, 0.19]), (48, 56, 1000))
    path = written(tmp_path, made)
    tracemalloc.start()
    volume = read_nifti(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert_exact(volume, made.affine)
    assert peak < 2.5 * volume.hu.nbytes + 30e6  # 30 MB for the samples of the histograms


@pytest.mark.parametrize("name", ["N50 kopf äöü 頭.nii.gz", "N51 HEAD.NII.GZ", "N51 HEAD.NII"])
def test_odd_names_are_read_exactly(tmp_path: Path, name: str) -> None:
    plain = written(tmp_path, name="plain.nii.gz" if name.lower().endswith("gz") else "plain.nii")
    volume = read_nifti(plain.rename(tmp_path / name))
    assert codes(volume) == []
    assert_exact(volume, AFFINE)


def test_n49_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link.nii.gz").symlink_to(written(tmp_path))
    assert_exact(read_nifti(tmp_path / "link.nii.gz"), AFFINE)


@pytest.mark.parametrize("asked", ["head.hdr", "head.img"])
def test_n54_nifti_pair_is_read_exactly_by_either_name(tmp_path: Path, asked: str) -> None:
    pair = nib.Nifti1Pair(HEAD, AFFINE)
    pair.set_sform(AFFINE, 1)
    pair.set_qform(AFFINE, 1)
    nib.save(pair, tmp_path / "head.hdr")
    assert_exact(read_nifti(tmp_path / asked), AFFINE)


def test_n54_analyze_pair_keeps_its_voxels_and_says_that_sides_are_unknown(tmp_path: Path) -> None:
    made = nib.AnalyzeImage(HEAD, AFFINE)
    made.header.set_zooms((4.0, 4.0, 5.0))
    nib.save(made, tmp_path / "head.hdr")
    volume = read_nifti(tmp_path / "head.hdr")
    np.testing.assert_array_equal(volume.hu, HEAD)
    np.testing.assert_array_equal(volume.affine[:3, :3], STEPS)
    assert codes(volume) == ["W_NO_ORIENTATION"]


def test_n38_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    stored = ((HEAD + 1024) * 2).astype(np.int16)
    volume = read_nifti(patched(tmp_path, "scl_slope", 0.5, image(stored), scl_inter=-1024.0))
    assert codes(volume) == []
    assert_exact(volume, AFFINE)


# --- read, with the doubt or the correction said aloud ---------------------------------------------------------------


def test_n13_nan_outside_the_head_becomes_air(tmp_path: Path) -> None:
    data = HEAD.astype(np.float32)
    data[:3] = np.nan
    volume = read_nifti(written(tmp_path, image(data)))
    assert codes(volume) == ["W_NONFINITE"]
    assert volume.warnings[0].numbers["voxels"] == 3 * 56 * 38
    assert volume.warnings[0].numbers["voxels_in_head"] == 0
    assert_exact(volume, AFFINE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_n13_n15_a_few_bad_voxels_in_the_head_are_counted(tmp_path: Path, bad: float) -> None:
    data = HEAD.astype(np.float32)
    data[24, 28, 10:14] = bad
    volume = read_nifti(written(tmp_path, image(data)))
    assert volume.warnings[0].numbers["voxels_in_head"] == 4
    assert (volume.hu[24, 28, 10:14] == -1000).all()


def test_n13_many_bad_voxels_in_the_head_are_refused(tmp_path: Path) -> None:
    data = HEAD.astype(np.float32)
    data[:, 28:40, 12:24] = np.nan
    expect_error(written(tmp_path, image(data)), "E_NONFINITE")


def test_n16_sform_wins_over_a_qform_that_disagrees_and_the_angle_is_recorded(tmp_path: Path) -> None:
    made = image()
    turned = AFFINE.copy()
    turned[:3, :3] = rotation_z(7.0) @ STEPS
    made.set_qform(turned, 1)
    volume = read_nifti(written(tmp_path, made))
    assert codes(volume) == ["W_XFORM"]
    assert volume.warnings[0].numbers["angle_degrees"] == pytest.approx(7.0, abs=0.01)
    assert_exact(volume, AFFINE)


def test_n17_qform_alone_is_used(tmp_path: Path) -> None:
    made = image()
    made.set_sform(None, 0)
    volume = read_nifti(written(tmp_path, made))
    assert codes(volume) == ["W_XFORM"]
    assert_exact(volume, AFFINE)


@pytest.mark.parametrize("assume_ras", [False, True])
def test_n18_without_orientation_the_sides_are_unknown(tmp_path: Path, assume_ras: bool) -> None:
    made = image()
    made.set_sform(None, 0)
    made.set_qform(None, 0)
    volume = read_nifti(written(tmp_path, made), assume_ras=assume_ras)
    assert codes(volume) == ["W_NO_ORIENTATION"]
    assert volume.warnings[0].numbers["assumed_ras"] == float(assume_ras)
    np.testing.assert_array_equal(volume.hu, HEAD)
    np.testing.assert_array_equal(volume.affine[:3, :3], STEPS)


def test_n22_negative_voxel_sizes_are_taken_as_positive(tmp_path: Path) -> None:
    volume = read_nifti(patched(tmp_path, "pixdim", [1, -4, -4, -5, 0, 0, 0, 0]))
    assert codes(volume) == ["W_XFORM"]
    assert_exact(volume, AFFINE)


@pytest.mark.parametrize("lean", [0, 1, 2])
@pytest.mark.parametrize("degrees", [-15.0, 20.0])
def test_n23_a_sheared_grid_is_made_orthogonal_where_the_head_is(tmp_path: Path, lean: int, degrees: float) -> None:
    steps, shape = np.diag([2.0, 2.0, 2.0]), [100, 120, 100]
    across = (lean + 1) % 3
    steps[across, lean] = 2.0 * np.tan(np.radians(degrees))
    shape[across] += 40
    made = sampled(steps, (shape[0], shape[1], shape[2]))
    volume = read_nifti(written(tmp_path, made))
    assert "W_SHEAR" in codes(volume)
    assert shear_degrees(volume.affine) < 1e-5
    points = grid_points(volume.hu.shape, volume.affine)
    inner = (np.abs(points / (62, 78, 66)) ** 2).sum(axis=-1) < 1
    assert inner.sum() * voxel_volume_ml(volume.affine) == pytest.approx(4 / 3 * np.pi * 62 * 78 * 66 / 1000, rel=0.01)
    bleed = inner & (volume.hu > (BRAIN + BLEED) / 2)
    assert bleed.sum() * voxel_volume_ml(volume.affine) == pytest.approx(sum(BLEED_ML), rel=0.02)
    truth = inner & (hu_at(points) == BLEED)
    np.testing.assert_allclose(points[bleed].mean(axis=0), points[truth].mean(axis=0), atol=0.3)


@pytest.mark.parametrize(("code", "per_unit"), [(3, 1000.0), (1, 0.001)])
def test_n24_units_are_converted(tmp_path: Path, code: int, per_unit: float) -> None:
    scaled = AFFINE.copy()
    scaled[:3] *= per_unit
    volume = read_nifti(written(tmp_path, image(affine=scaled, xyzt_units=code)))
    assert codes(volume) == ["W_UNITS"]
    assert_exact(volume, AFFINE)


def test_n25_a_single_slice_is_for_2d_systems(tmp_path: Path) -> None:
    path = written(tmp_path, image(HEAD[:, :, 19:20]))
    volume = read_nifti(path, min_slices=1)
    assert codes(volume) == ["W_COVERAGE"]
    np.testing.assert_array_equal(volume.hu, HEAD[:, :, 19:20])
    expect_error(path, "E_TOO_FEW")


def test_n29_a_known_shift_is_undone_when_asked(tmp_path: Path) -> None:
    volume = read_nifti(written(tmp_path, image(HEAD + 1024)), hu_offset=-1024)
    assert codes(volume) == ["W_OFFSET"]
    assert_exact(volume, AFFINE)


def test_n35_padding_becomes_air(tmp_path: Path) -> None:
    data = HEAD.copy()
    data[:2] = -3024
    volume = read_nifti(written(tmp_path, image(data)))
    assert codes(volume) == ["W_PADDING"]
    assert_exact(volume, AFFINE)


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_n36_n37_a_slope_of_zero_or_nan_means_none(tmp_path: Path, slope: float) -> None:
    volume = read_nifti(patched(tmp_path, "scl_slope", slope, scl_inter=0.0))
    assert codes(volume) == ["W_SCL"]
    assert_exact(volume, AFFINE)


def test_n41_n42_magic_bytes_decide_and_the_name_is_doubted(tmp_path: Path) -> None:
    packed, plain = written(tmp_path, name="a.nii.gz"), written(tmp_path, name="b.nii")
    (tmp_path / "c.nii.gz").write_bytes(plain.read_bytes())
    (tmp_path / "d.nii").write_bytes(packed.read_bytes())
    for name in ("c.nii.gz", "d.nii"):
        volume = read_nifti(tmp_path / name)
        assert codes(volume) == ["W_NAME"]
        assert_exact(volume, AFFINE)


def test_n56_n57_nothing_of_descrip_or_extensions_leaves_the_reader(tmp_path: Path) -> None:
    made = image(descrip=b"DOE^JANE", aux_file=b"DOE^JANE", db_name=b"DOE^JANE")
    made.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"DOE^JANE born 1950"))
    path = written(tmp_path, made)
    assert b"DOE^JANE" in gzip.decompress(path.read_bytes())
    volume = read_nifti(path)
    assert_exact(volume, AFFINE)
    assert "DOE" not in repr((volume.warnings, volume.source))


@pytest.mark.parametrize("folder_name", ["ct_ich_v100", "cpaisd_no_blood", "phe_sich_blood"])
def test_real_slices_exported_through_a_window_are_read_with_that_doubt(folder_name: str) -> None:
    paths = sorted((DATA / folder_name).glob("*_ct.nii.gz"))
    if not paths:
        pytest.skip("shared/data is not beside this checkout")
    for path in paths:
        volume = read_nifti(path, min_slices=1)
        assert codes(volume)[:2] == ["W_WINDOWED", "W_COVERAGE"]
        np.testing.assert_array_equal(volume.hu, np.asanyarray(nib.load(path).dataobj))
