import pytest

from hemorrhage.report.subtype_volumes import volume_doubts


@pytest.mark.parametrize(
    ("grid", "native", "codes"),
    [
        (30.0, 75.0, ["W_VOLUMES"]),
        (75.0, 30.0, ["W_VOLUMES"]),
        (30.0, 37.0, []),  # within a fifth of the larger
        (0.2, 1.1, []),  # within a milliliter
        (0.0, 1.1, ["W_VOLUMES"]),
        (0.0, 0.0, []),
    ],
)
def test_two_volumes_far_apart_are_doubted(grid, native, codes):
    doubts = volume_doubts(grid, native)
    assert [d.code for d in doubts] == codes
    for doubt in doubts:
        assert doubt.numbers == {"volume_ml": grid, "volume_ml_native": native}
        assert f"{grid:.1f} mL" in doubt.text
