"""Averages over blocks are those of probabilities."""

import torch

from hemorrhage.inferers.averaged_blocks import AveragedBlocks


def test_a_network_of_single_voxels_gives_what_it_gives_at_once():
    x = torch.randn(1, 1, 24, 20, 16, generator=torch.Generator().manual_seed(0)) * 3
    answer = AveragedBlocks(roi_size=[8, 8, 8])(x, lambda v: v * 0.7)
    assert torch.allclose(answer, x * 0.7, atol=1e-3)


def test_overlaps_average_probabilities_and_not_logits():
    # A network that answers with the size of the sum of its block: blocks over one another disagree.
    x = torch.zeros(1, 1, 12, 8, 8)
    x[:, :, 8:] = 1
    answers = []

    def network(block):
        logit = torch.where(block.mean((1, 2, 3, 4), keepdim=True) > 0.4, 6.0, -3.0).expand_as(block)
        answers.append(logit)
        return logit

    found = AveragedBlocks(roi_size=[8, 8, 8], overlap=0.5)(x, network)
    middle = torch.sigmoid(torch.tensor([6.0, -3.0])).mean()  # both blocks cover voxels 4 to 7
    assert torch.allclose(found[0, 0, 5, 0, 0].sigmoid(), middle, atol=1e-4)
    assert torch.allclose(found[0, 0, 0, 0, 0], torch.tensor(-3.0), atol=1e-3)
