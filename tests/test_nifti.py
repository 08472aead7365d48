"""Each kind of good, odd and bad NIfTI file: read exactly, read with its warning, or refused by its code."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from analytic_head import BLEED, BLEED_ML, BRAIN, centered_affine, grid_points, hu_at, rotation_x, rotation_z

from hemorrhage.errors import ScanError
from hemorrhage.geometry import shear_degrees, voxel_volume_ml
from hemorrhage.nifti import read_nifti
from hemorrhage.volume import MAX_VOXELS, Volume

SHAPE = (48, 56, 38)
STEPS = np.diag([4.0, 4.0, 5.0])
AFFINE = centered_affine(SHAPE, STEPS)
HEAD = hu_at(grid_points(SHAPE, AFFINE)).astype(np.int16)
DATA = Path(__file__).resolve().parents[1] / "../shared/data"


def image(
    data: np.ndarray = HEAD,
    affine: np.ndarray = AFFINE,
    kind: type[nib.Nifti1Image] = nib.Nifti1Image,
    **fields: object,
) -> nib.Nifti1Image:
    made = kind(data, affine)
    made.header.set_xyzt_units("mm")
    made.set_qform(affine, 1)
    made.set_sform(affine, 1)
    for name, value in fields.items():
        made.header[name] = value
    return made


def written(folder: Path, made: nib.Nifti1Image | None = None, name: str = "head.nii.gz") -> Path:
    path = folder / name
    nib.save(made or image(), path)
    return path


def patched(folder: Path, field: str, value: object, made: nib.Nifti1Image | None = None, **more: object) -> Path:
    """An uncompressed file whose header was changed behind nibabel's back."""
    path = written(folder, made, "head.nii")
    raw = bytearray(path.read_bytes())
    header = nib.Nifti1Header(bytes(raw[:348]), check=False)
    for key, entry in {field: value, **more}.items():
        header[key] = entry
    raw[:348] = header.binaryblock
    path.write_bytes(raw)
    return path


def codes(volume: Volume) -> list[str]:
    return [warning.code for warning in volume.warnings]


def assert_exact(volume: Volume, affine: np.ndarray) -> None:
    """Every voxel holds what the head has where the result's own affine puts it, and that is where the file put it."""
    assert volume.hu.dtype == np.float32
    np.testing.assert_allclose(volume.affine, affine, atol=1e-4)
    np.testing.assert_array_equal(volume.hu, hu_at(grid_points(volume.hu.shape, volume.affine)).astype(np.float32))


def sampled(steps: np.ndarray, shape: tuple[int, int, int]) -> nib.Nifti1Image:
    affine = image(affine=centered_affine(shape, steps)).affine  # through float32, as a file holds it
    return image(hu_at(grid_points(shape, affine)).astype(np.int16), affine)


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


# --- refused ---------------------------------------------------------------------------------------------------------


def expect_error(path: Path, code: str, **options: float) -> ScanError:
    with pytest.raises(ScanError) as caught:
        read_nifti(path, **options)
    assert caught.value.code == code
    line = str(caught.value)
    assert line.startswith(f"error[{code}] ")
    assert "\n" not in line
    return caught.value


REFUSED: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "N10 four dimensions": ("E_NOT_3D", lambda d: written(d, image(np.stack([HEAD, HEAD], axis=-1)))),
    "N11 RGB": (
        "E_DTYPE",
        lambda d: written(d, nib.Nifti1Image(np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]), AFFINE)),
    ),
    "N12 complex": ("E_DTYPE", lambda d: written(d, image(HEAD.astype(np.complex64)))),
    "N14 all NaN": ("E_EMPTY", lambda d: written(d, image(np.full(SHAPE, np.nan, dtype=np.float32)))),
    "N19 sform of zeros": ("E_AFFINE", lambda d: patched(d, "srow_x", 0, srow_y=0, srow_z=0)),
    "N20 NaN in the sform": ("E_AFFINE", lambda d: patched(d, "srow_y", [0, np.nan, 0, 0])),
    "N21 voxel size zero": ("E_AFFINE", lambda d: patched(d, "pixdim", [1, 4, 0, 5, 0, 0, 0, 0])),
    "voxel size NaN": ("E_AFFINE", lambda d: patched(d, "pixdim", [1, 4, np.nan, 5, 0, 0, 0, 0])),
    "flat sform": ("E_AFFINE", lambda d: patched(d, "srow_z", [4, 0, 0, 0])),
    "qform is no rotation": ("E_AFFINE", lambda d: patched(d, "sform_code", 0, quatern_b=2.0)),
    "shear in every plane": (
        "E_AFFINE",
        lambda d: written(d, sampled(STEPS @ np.array([[1, 0.2, 0.3], [0, 1, 0.2], [0, 0, 1]]), SHAPE)),
    ),
    "N24 micrometers that are not": ("E_UNITS", lambda d: written(d, image(xyzt_units=3))),
    "micrometers that nobody names": ("E_UNITS", lambda d: written(d, image(affine=AFFINE * [[1000]] * 3 + [[1]]))),
    "N26 two dimensions": ("E_NOT_3D", lambda d: written(d, image(HEAD[:, :, 19]))),
    "N27 empty dimension": ("E_DIM", lambda d: patched(d, "dim", [3, 48, 0, 38, 1, 1, 1, 1])),
    "negative dimension": ("E_DIM", lambda d: patched(d, "dim", [3, 48, -56, 38, 1, 1, 1, 1])),
    "rank 9": ("E_DIM", lambda d: patched(d, "dim", [9, 48, 56, 38, 1, 1, 1, 1])),
    "N28 header claims 68 TB": ("E_DIM", lambda d: patched(d, "dim", [3, 32767, 32767, 32767, 1, 1, 1, 1])),
    "N28 header claims more slices": ("E_DIM", lambda d: patched(d, "dim", [3, 48, 56, 60, 1, 1, 1, 1])),
    "N28 header claims fewer slices": ("E_DIM", lambda d: patched(d, "dim", [3, 48, 56, 20, 1, 1, 1, 1])),
    "N28 in gzip": ("E_DIM", lambda d: packed(patched(d, "dim", [3, 32767, 32767, 32767, 1, 1, 1, 1]))),
    "N29 shifted by 1024": ("E_OFFSET", lambda d: written(d, image(HEAD + 1024))),
    "N30 wrapped integers": ("E_NOT_HU", lambda d: written(d, image(HEAD.astype(np.uint16)))),
    "N31 window of 0 to 255": ("E_NOT_HU", lambda d: written(d, image(window_gray(0, 255).astype(np.uint8)))),
    "N32 normalized": ("E_NOT_HU", lambda d: written(d, image(window_gray(0, 1).astype(np.float32)))),
    "N33 constant": ("E_EMPTY", lambda d: written(d, image(np.full(SHAPE, 35, dtype=np.int16)))),
    "N34 mask": ("E_NOT_HU", lambda d: written(d, image((HEAD == 60).astype(np.uint8)))),
    "infinite slope": ("E_SCALE", lambda d: patched(d, "scl_slope", np.inf)),
    "N39 truncated gzip": ("E_TRUNCATED", lambda d: cut(written(d), 0.6)),
    "N40 bad checksum": ("E_CRC", lambda d: damaged(written(d), -8)),
    "N43 truncated": ("E_TRUNCATED", lambda d: cut(written(d, name="head.nii"), 0.6113)),
    "truncated inside the header": ("E_TRUNCATED", lambda d: cut(written(d, name="head.nii"), 0.001)),
    "N44 zero bytes": ("E_EMPTY_FILE", lambda d: saved(d / "a.nii", b"")),
    "N45 text": ("E_NOT_NIFTI", lambda d: saved(d / "a.nii", b"slice,hu\n" * 200)),
    "short text": ("E_NOT_NIFTI", lambda d: saved(d / "a.nii", b"hello")),
    "N46 PNG": ("E_NOT_NIFTI", lambda d: saved(d / "a.nii", b"\x89PNG\r\n\x1a\n" + bytes(1000))),
    "text in gzip": ("E_NOT_NIFTI", lambda d: saved(d / "a.nii.gz", gzip.compress(b"slice,hu\n" * 200))),
    "N47 folder": ("E_NOT_FILE", lambda d: folder(d / "a.nii")),
    "N48 dangling link": ("E_NOT_FOUND", lambda d: link(d / "a.nii", d / "gone.nii")),
    "no such file": ("E_NOT_FOUND", lambda d: d / "gone.nii"),
    "pair without its image": ("E_NOT_FOUND", lambda d: half_a_pair(d)),
    "N55 gzip bomb behind the voxels": ("E_BOMB", lambda d: bomb(d)),
    "N55 gzip bomb in the header": ("E_BOMB", lambda d: header_bomb(d)),
}


def window_gray(low: float, high: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 4, SHAPE)
    return low + (np.clip(HEAD + noise, -40, 120) + 40) / 160 * (high - low)


def saved(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    return saved(path, content[: int(len(content) * share)])


def damaged(path: Path, position: int) -> Path:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x5A
    return saved(path, bytes(content))


def packed(path: Path) -> Path:
    return saved(path.with_suffix(".nii.gz"), gzip.compress(path.read_bytes()))


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def link(path: Path, target: Path) -> Path:
    path.symlink_to(target)
    return path


def half_a_pair(directory: Path) -> Path:
    nib.save(nib.Nifti1Pair(HEAD, AFFINE), directory / "head.hdr")
    (directory / "head.img").unlink()
    return directory / "head.hdr"


def bomb(directory: Path) -> Path:
    plain = written(directory, name="head.nii").read_bytes()
    deflate = zlib.compressobj(9, wbits=31)
    parts = [deflate.compress(plain)] + [deflate.compress(bytes(1 << 20)) for _ in range(64)]
    return saved(directory / "bomb.nii.gz", b"".join([*parts, deflate.flush()]))


def header_bomb(directory: Path) -> Path:
    """A header of 2,200 slices of 512 x 512 whose 1.1 GB of zeros fit into about a megabyte."""
    made = image(np.zeros((1, 1, 1), dtype=np.int16))
    block = patched(directory, "dim", [3, 512, 512, 2200, 1, 1, 1, 1], made).read_bytes()[:352]
    assert MAX_VOXELS < 512 * 512 * 2200
    return saved(directory / "bomb.nii.gz", gzip.compress(block) + bytes(1_200_000))


@pytest.mark.parametrize("name", REFUSED)
def test_bad_files_are_refused_by_code(tmp_path: Path, name: str) -> None:
    code, make = REFUSED[name]
    expect_error(make(tmp_path), code)


def test_bombs_and_lying_headers_cost_no_memory(tmp_path: Path) -> None:
    paths = [bomb(tmp_path), REFUSED["N28 header claims 68 TB"][1](tmp_path)]
    for path in paths:
        tracemalloc.start()
        with pytest.raises(ScanError):
            read_nifti(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10e6


@pytest.fixture(scope="module")
def noisy_gzip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    noise = np.random.default_rng(3).normal(0, 5, SHAPE)
    return written(tmp_path_factory.mktemp("gz"), image((HEAD + noise).astype(np.int16)))


@pytest.mark.parametrize("share", np.linspace(0.0, 0.9999, 50).round(4))
def test_every_truncation_is_an_error(tmp_path: Path, noisy_gzip: Path, share: float) -> None:
    content = noisy_gzip.read_bytes()
    path = saved(tmp_path / "cut.nii.gz", content[: int(len(content) * share)])
    with pytest.raises(ScanError):
        read_nifti(path)


@pytest.mark.parametrize("seed", range(50))
def test_every_flipped_byte_is_an_error(tmp_path: Path, noisy_gzip: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    content = bytearray(noisy_gzip.read_bytes())
    name_end = (
        content.index(0, 10) + 1
    )  # before it lie the time and the name, which no checksum covers and nobody reads
    content[random.integers(name_end, len(content))] ^= int(random.integers(1, 256))
    with pytest.raises(ScanError):
        read_nifti(saved(tmp_path / "flip.nii.gz", bytes(content)))


@pytest.mark.parametrize("folder_name", ["ct_ich_v100", "cpaisd_no_blood", "phe_sich_blood"])
def test_real_slices_exported_through_a_window_are_read_with_that_doubt(folder_name: str) -> None:
    paths = sorted((DATA / folder_name).glob("*_ct.nii.gz"))
    if not paths:
        pytest.skip("shared/data is not beside this checkout")
    for path in paths:
        volume = read_nifti(path, min_slices=1)
        assert codes(volume)[:2] == ["W_WINDOWED", "W_COVERAGE"]
        np.testing.assert_array_equal(volume.hu, np.asanyarray(nib.load(path).dataobj))
