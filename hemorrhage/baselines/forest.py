"""A random forest over voxel features, after PItcHPERFeCT: trained by scikit-learn, run as a torch module.

Muschelli et al., NeuroImage: Clinical 2017. The forest becomes tensors, so that it is saved, loaded and run over scans
like any network; nothing is unpickled.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.networks.layers import GaussianFilter
from sklearn.ensemble import RandomForestClassifier
from torch import nn
from tqdm import tqdm

from hemorrhage.baselines.thresholds import HU_OF_ONE
from hemorrhage.baselines.voxel_features import FEATURES, voxel_features
from hemorrhage.errors import ScanError
from hemorrhage.files import write_atomically

__all__ = ["VoxelForest", "fit_forest"]

logger = logging.getLogger(__name__)
_AT_ONCE = 65536  # voxels that walk down the trees together


class VoxelForest(nn.Module):
    """Mean probability of decision trees at each voxel of the brain.

    Trees are stored whole, down to ``depth``: node n has its children at 2n + 1 (feature at most the threshold) and
    2n + 2, so that all voxels walk down all trees in ``depth`` steps of tensor operations. A branch that ends earlier
    repeats its answer in all leaves below it.

    Args:
        size: (I, J, K) of the grid in the template's space.
        spacing_mm: distance between its voxels.
        trees: number of trees.
        depth: most questions from the root to a leaf.
    """

    def __init__(self, size: Sequence[int], spacing_mm: float, trees: int = 50, depth: int = 12) -> None:
        super().__init__()
        self.spacing_mm = float(spacing_mm)
        self.trees, self.depth = trees, depth
        nodes = 2**depth - 1
        self.feature: torch.Tensor
        self.threshold: torch.Tensor
        self.leaf: torch.Tensor
        self.mean_hu: torch.Tensor
        self.sd_hu: torch.Tensor
        self.register_buffer("feature", torch.zeros(trees, nodes, dtype=torch.int16))
        self.register_buffer("threshold", torch.full((trees, nodes), torch.inf))
        self.register_buffer("leaf", torch.zeros(trees, nodes + 1))
        self.register_buffer("mean_hu", torch.zeros(1, 1, *size))
        self.register_buffer("sd_hu", torch.ones(1, 1, *size))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 15, I, J, K) of ``x`` (B, 1, I, J, K)."""
        return voxel_features(x, self.spacing_mm, self.mean_hu, self.sd_hu)

    def probability(self, rows: torch.Tensor) -> torch.Tensor:
        """(N,) probability of blood of ``rows`` (N, 15)."""
        total = rows.new_zeros(len(rows))
        for tree in range(self.trees):
            node = torch.zeros(len(rows), dtype=torch.long, device=rows.device)
            for _ in range(self.depth):
                asked = rows.gather(1, self.feature[tree, node].long()[:, None])[:, 0]
                node = 2 * node + 1 + (asked > self.threshold[tree, node]).long()
            total += self.leaf[tree, node - (2**self.depth - 1)]
        return total / self.trees

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, 1, I, J, K) of ``x`` (B, 1, I, J, K), normalized and 0 outside the brain."""
        inside = torch.as_tensor(x[:, 0] != 0)
        rows = self.features(torch.as_tensor(x)).movedim(1, -1)[inside]
        found = torch.cat([self.probability(part) for part in rows.split(_AT_ONCE)]) if len(rows) else rows.new_zeros(0)
        answer = rows.new_zeros(inside.shape)
        answer[inside] = found
        return torch.logit(answer, eps=1e-4)[:, None]

    def take(self, forest: RandomForestClassifier) -> None:
        """Copy a fitted forest of two classes, of as many trees and at most the depth of this one."""
        for number, estimator in enumerate(forest.estimators_):
            tree = estimator.tree_
            share = tree.value[:, 0, 1] / tree.value[:, 0].sum(1)
            stack = [(0, 0, 0)]
            while stack:
                node, place, level = stack.pop()
                end = tree.children_left[node] < 0
                if level == self.depth:
                    self.leaf[number, place - (2**self.depth - 1)] = float(share[node])
                    continue
                if not end:
                    self.feature[number, place] = int(tree.feature[node])
                    self.threshold[number, place] = float(tree.threshold[node])
                children = (node, node) if end else (tree.children_left[node], tree.children_right[node])
                stack.extend((child, 2 * place + 1 + n, level + 1) for n, child in enumerate(children))


def _cases(dataset: Any, count: int | None, say: str) -> Iterator[Mapping[str, Any]]:
    for n in tqdm(range(len(dataset) if count is None else min(count, len(dataset))), desc=say, unit="case"):
        yield dataset[n]


def _learn_template(network: VoxelForest, dataset: Any, count: int | None) -> None:
    """Mean and SD of blurred heads at each voxel, where most heads have brain."""
    smooth = GaussianFilter(3, 3.0 / network.spacing_mm)
    total, squares, number = torch.zeros_like(network.mean_hu), torch.zeros_like(network.mean_hu), 0
    for item in _cases(dataset, count, "mean head"):
        hu = smooth(torch.as_tensor(item["image"]).float()[None] * HU_OF_ONE)
        total, squares, number = total + hu, squares + hu**2, number + 1
    network.mean_hu.copy_(total / max(number, 1))
    network.sd_hu.copy_((squares / max(number, 1) - network.mean_hu**2).clamp(min=1).sqrt())


def fit_forest(
    dataset: Any,
    network: VoxelForest,
    output_dir: str,
    cases: int | None = None,
    voxels_per_case: int = 4000,
    seed: int = 0,
) -> None:
    """Train the forest on voxels of training cases and write ``model.pt``.

    Half of a case's voxels are drawn from its blood and half from the rest of its brain; each weighs as many voxels as
    it stands for, so that probabilities are those of whole brains.

    Args:
        dataset: items with "image" (1, I, J, K), normalized and 0 outside the brain, and "label".
        network: gets the trees.
        output_dir: folder of ``model.pt``.
        cases: how many cases at the most; None takes all.
        voxels_per_case: voxels drawn from each.
        seed: of the draws and of the trees.

    Raises:
        ScanError: E_DATALIST if no case has blood.
    """
    _learn_template(network, dataset, cases)
    generator = np.random.default_rng(seed)
    rows, truth, weights = [], [], []
    for item in _cases(dataset, cases, "voxels"):
        image = torch.as_tensor(item["image"]).float()[None]
        found = network.features(image)[0].movedim(0, -1)
        label = torch.as_tensor(item["label"])[0] > 0
        inside = torch.as_tensor(image[0, 0] != 0)
        for blood in (True, False):
            places = torch.nonzero((label == blood) & inside)
            drawn = places[generator.permutation(len(places))[: voxels_per_case // 2]]
            if len(drawn):
                rows.append(found[tuple(drawn.T)].numpy())
                truth.append(np.full(len(drawn), int(blood)))
                weights.append(np.full(len(drawn), len(places) / len(drawn)))
    if not any(t.any() for t in truth):
        raise ScanError("E_DATALIST", "training cases", "none of them has blood", "Add cases with blood.")
    forest = RandomForestClassifier(
        n_estimators=network.trees, max_depth=network.depth, min_samples_leaf=5, random_state=seed, n_jobs=-1
    )
    forest.fit(np.concatenate(rows), np.concatenate(truth), np.concatenate(weights))
    network.take(forest)
    used = sorted(zip(forest.feature_importances_, FEATURES, strict=True), reverse=True)[:5]
    logger.info("the forest asks most for: %s", ", ".join(f"{name} ({share:.2f})" for share, name in used))
    write_atomically(Path(output_dir) / "model.pt", lambda path: torch.save(network.state_dict(), path))
