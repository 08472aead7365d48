import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SimpleInferer

from hemorrhage.inferers import MagnifiedInferer, windows_for


def slices(count=2):
    x = torch.zeros(1, 1, 32, 32, count)
    x[:, :, 8:24, 8:24] = 0.5
    return x


def test_a_factor_of_one_changes_nothing():
    x = slices()
    assert torch.equal(MagnifiedInferer([1.0], [SimpleInferer()])(x, lambda scan: scan), x)


def test_the_answer_is_the_mean_over_magnifications_on_the_scans_own_grid():
    seen = []

    def network(scan):
        seen.append(tuple(scan.shape))
        return torch.full_like(scan, scan.shape[2] / 32)

    answer = MagnifiedInferer([1.0, 1.5], [SimpleInferer(), SimpleInferer()])(slices(), network)
    assert seen == [(1, 1, 32, 32, 2), (1, 1, 48, 48, 2)]
    assert torch.allclose(answer, torch.full((1, 1, 32, 32, 2), 1.25))


def test_tissue_keeps_its_value_up_to_the_edge_of_the_brain_and_outside_stays_nothing():
    shown = []
    MagnifiedInferer([1.3], [SimpleInferer()])(slices(), lambda scan: shown.append(scan) or scan)
    tissue = shown[0][shown[0] != 0]
    assert torch.allclose(tissue, torch.full_like(tissue, 0.5), atol=1e-6)
    assert 20**2 * 2 <= len(tissue) <= 22**2 * 2  # 16 pixels become 20.8


def test_slices_keep_their_place_and_what_is_shown_larger_comes_back_where_it_was():
    x = slices(3)
    x[..., 1] = 0
    x[:, :, 4:10, 20:26, 1] = 0.8
    answer = MagnifiedInferer([1.5], [SimpleInferer()])(x, lambda scan: (scan > 0.1).float())
    assert torch.equal((answer > 0.5), (x > 0.1))


def test_scores_of_slices_are_averaged_and_meta_data_stay():
    def network(scan):
        return {"pixels": scan, "patches": torch.full((1, 1, 2), scan.shape[2] / 32)}

    affine = torch.diag(torch.tensor([0.9, 0.9, 5.0, 1.0], dtype=torch.float64))
    answer = MagnifiedInferer([1.0, 2.0], [SimpleInferer()] * 2)(MetaTensor(slices(), affine=affine), network)
    assert torch.equal(answer["patches"], torch.full((1, 1, 2), 1.5))
    assert torch.equal(answer["pixels"].affine, affine)


def test_windows_grow_with_the_slices():
    """A pooling network answers the same to windows and to whole slices, so that both factors agree with one pass."""
    inferers = windows_for([1.0, 1.5], 32, beta=1.5)
    assert [i.window for i in inferers] == [32, 48]
    assert [i.window for i in windows_for([1.0, 1.3], 256)] == [256, 336]
    assert [i.window for i in windows_for([1.0, 1.3], 250, multiple=1)] == [250, 325]

    def network(scan):
        logits = scan.mean((2, 3), keepdim=True).expand(-1, -1, *scan.shape[2:])
        return torch.cat([-logits, logits], 1)

    x = slices()
    plain = inferers[0](x, network)
    assert torch.allclose(MagnifiedInferer([1.0, 1.5], inferers)(x, network), plain, atol=0.01)


@pytest.mark.parametrize(("factors", "count"), [([], 0), ([1.0], 2), ([1.0, 0.0], 2)])
def test_factors_without_inferers_are_refused(factors, count):
    with pytest.raises(ValueError, match="an inferer for each factor"):
        MagnifiedInferer(factors, [SimpleInferer()] * count)
