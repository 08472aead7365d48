"""The forest in tensors is scikit-learn's forest; its features are what they say."""

import numpy as np
import torch
from scipy import ndimage, stats
from sklearn.ensemble import RandomForestClassifier

from hemorrhage.baselines import VoxelForest, fit_forest
from hemorrhage.baselines.voxel_features import FEATURES, voxel_features

SIZE = (16, 16, 16)


def head(seed=0):
    generator = np.random.default_rng(seed)
    hu = np.zeros(SIZE, np.float32)
    hu[2:14, 2:14, 2:14] = generator.normal(32, 3, size=(12, 12, 12))
    low = generator.integers(3, 8)
    hu[low : low + 4, 5:9, 5:9] += 28
    label = np.zeros(SIZE, np.float32)
    label[low : low + 4, 5:9, 5:9] = 1
    return {"image": torch.from_numpy(hu / 40)[None], "label": torch.from_numpy(label)[None]}


def features_of(item, spacing=3.0):
    nothing = torch.zeros(1, 1, *SIZE)
    return dict(zip(FEATURES, voxel_features(item["image"][None], spacing, nothing, nothing + 1)[0], strict=True))


def test_tensors_answer_as_scikit_learn_does():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(500, len(FEATURES))).astype(np.float32)
    truth = (rows[:, 0] * rows[:, 3] > 0.2).astype(int)
    forest = RandomForestClassifier(n_estimators=7, max_depth=6, random_state=0).fit(rows, truth)
    network = VoxelForest(SIZE, 3.0, trees=7, depth=6)
    network.take(forest)
    assert np.allclose(network.probability(torch.from_numpy(rows)), forest.predict_proba(rows)[:, 1], atol=1e-6)


def test_local_moments_against_scipy():
    item = head()
    hu = item["image"][0].numpy() * 40
    found = features_of(item)
    place = (7, 7, 7)
    around = hu[6:9, 6:9, 6:9].ravel()
    assert np.isclose(found["local mean"][place], around.mean(), atol=1e-3)
    assert np.isclose(found["local SD"][place], around.std(), atol=1e-3)
    assert np.isclose(found["local skew"][place], stats.skew(around), atol=1e-2)
    assert np.isclose(found["local kurtosis"][place], stats.kurtosis(around, fisher=False), atol=1e-2)
    assert np.isclose(found["share of 40 to 80 HU"][place], ((around >= 40) & (around <= 80)).mean(), atol=1e-5)


def test_scores_of_a_plane_and_place():
    item = head()
    hu = item["image"][0].numpy() * 40
    found = features_of(item)
    plane = hu[:, :, 7]
    inside = plane[plane != 0]
    assert np.isclose(found["z axial"][7, 7, 7], (hu[7, 7, 7] - inside.mean()) / inside.std(), atol=1e-3)
    center = ndimage.center_of_mass(hu != 0)
    assert np.isclose(found["mm to center"][3, 4, 5], 3 * np.linalg.norm(np.subtract((3, 4, 5), center)), atol=1e-3)
    mirrored = {"image": item["image"].flip(1)}
    assert torch.allclose(features_of(mirrored)["left minus right"], -found["left minus right"], atol=1e-3)


def test_a_fitted_forest_finds_blood_in_another_head(tmp_path):
    network = VoxelForest(SIZE, 3.0, trees=5, depth=6)
    fit_forest([head(n) for n in range(4)], network, str(tmp_path), voxels_per_case=400)
    loaded = VoxelForest(SIZE, 3.0, trees=5, depth=6)
    loaded.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    item = head(9)
    answer = loaded(item["image"][None])[0] > 0
    truth = item["label"] > 0
    assert 2 * (answer & truth).sum() / (answer.sum() + truth.sum()) > 0.8
    assert not answer[item["image"] == 0].any()
