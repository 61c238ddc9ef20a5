"""scikit-learn's own checks of the estimators, and what they are for."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")

from deadlines import HANG
from sklearn.base import clone
from sklearn.datasets import make_moons
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastconv
from fastconv import models, nn, optim
from fastconv.data.drawings import draw
from fastconv.estimators import ConvNetClassifier, ConvNetRegressor, default_module
from fastconv.random import get_state, manual_seed


@parametrize_with_checks(
    [ConvNetClassifier(epochs=6, lr=0.03), ConvNetRegressor(epochs=6, lr=0.03)]
)
def test_scikit_learns_checks(estimator, check) -> None:
    check(estimator)


def xo(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A module that images, not features, go through."""
    assert shape == (1, 28, 28)
    return models.xo_net(outputs)


def wide(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(shape[0], 128), nn.Dropout(0.1), nn.ReLU(), nn.Linear(128, outputs)
    )


@pytest.mark.parametrize("module", [default_module, xo])
def test_images_are_learnt_and_labels_are_of_any_kind(module) -> None:
    images, labels = draw(900)
    names = np.array(["X", "O"])[labels]
    net = ConvNetClassifier(module, epochs=6, random_state=0).fit(images[:800], names[:800])
    assert net.score(images[800:], names[800:]) > 0.9
    assert list(net.classes_) == ["O", "X"] and net.input_shape_ == (1, 28, 28)
    shares = net.predict_proba(images[800:])
    assert shares.dtype == np.float32, "float32 images are computed in float32"
    np.testing.assert_array_equal(net.classes_[shares.argmax(1)], net.predict(images[800:]))
    assert [record["epoch"] for record in net.history_] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(ValueError, match=r"samples of shape \(1, 28, 27\), .* to \(1, 28, 28\)"):
        net.predict(images[:2, :, :, :27])
    with pytest.raises(ValueError, match=r"expected X \(N, features\) or .* found 3 dimensions"):
        net.fit(images[:, 0], names)


def test_small_images_are_taken() -> None:
    images = np.random.default_rng(0).standard_normal((20, 2, 3, 1))
    target = images.mean((1, 2, 3))
    net = ConvNetRegressor(epochs=1, random_state=0).fit(images, target)
    assert net.predict(images).shape == (20,)


def test_pipeline_grid_and_cross_validation() -> None:
    features, labels = make_moons(200, noise=0.1, random_state=0)
    features *= 1000
    steps = make_pipeline(StandardScaler(), ConvNetClassifier(lr=0.02, epochs=15, random_state=0))
    assert cross_val_score(steps, features, labels, cv=3).mean() > 0.9
    grid = {"convnetclassifier__lr": [1e-5, 0.02], "convnetclassifier__module": [wide]}
    search = GridSearchCV(steps, grid, cv=2).fit(features, labels)
    assert search.best_params_["convnetclassifier__lr"] == 0.02


def test_regression_takes_targets_of_any_scale() -> None:
    features = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    target = np.stack([1e6 + 1e5 * features[:, 0] ** 2, features.sum(1), np.full(300, 7.0)], 1)
    net = ConvNetRegressor(lr=0.02, random_state=0).fit(features, target)
    found = net.predict(features)
    assert found.shape == (300, 3)
    spread = np.sqrt(((found - target) ** 2).mean(0)) / target.std(0).clip(1e-3)
    assert (spread[:2] < 0.3).all(), spread
    np.testing.assert_allclose(found[:, 2], 7, atol=0.5)


def test_random_state_decides_and_the_callers_numbers_stay() -> None:
    features, labels = make_moons(60, random_state=0)
    manual_seed(5)
    before = get_state()
    nets = [
        ConvNetClassifier(wide, epochs=2, random_state=seed).fit(features, labels)
        for seed in (1, 1, 2)
    ]
    assert get_state() == before
    first, again, other = (net.predict_proba(features) for net in nets)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    with fastconv.threads(2):
        threaded = clone(nets[0]).fit(features, labels)
    np.testing.assert_array_equal(threaded.predict_proba(features), first)
    kept = pickle.loads(pickle.dumps(nets[0]))
    np.testing.assert_array_equal(kept.predict_proba(features), first)


def test_a_module_goes_on_from_its_weights_and_is_left_alone() -> None:
    features, labels = make_moons(60, random_state=0)
    module = wide((2,), 2)
    before = [p.data.copy() for p in module.parameters()]
    still = ConvNetClassifier(module, lr=0.0, epochs=1).fit(features.astype(np.float32), labels)
    moved = ConvNetClassifier(module, epochs=1).fit(features, labels)
    for own, given, old in zip(
        still.module_.parameters(), module.parameters(), before, strict=True
    ):
        np.testing.assert_array_equal(own.data, old)
        np.testing.assert_array_equal(given.data, old)
        assert given.grad is None
    assert (next(moved.module_.parameters()).data != before[0]).any()


@pytest.mark.parametrize("optimizer", ["sgd", "AdamW", optim.RMSprop])
def test_optimizers_by_name_and_by_function(optimizer) -> None:
    features, labels = make_moons(40, random_state=0)
    net = ConvNetClassifier(optimizer=optimizer, lr=0.01, weight_decay=0.1, epochs=1)
    assert net.fit(features, labels).predict(features).shape == (40,)


def test_bad_parameters_are_told_when_fitting() -> None:
    features, labels = make_moons(40, random_state=0)
    with pytest.raises(ValueError, match=r"optimizer must be one of fastconv\.optim .* got 'adm'"):
        ConvNetClassifier(optimizer="adm").fit(features, labels)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        ConvNetRegressor(batch_size=0).fit(features, labels)


def test_without_scikit_learn_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['sklearn'] = None; import fastconv.estimators"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG, env=os.environ
    )
    assert done.returncode == 1 and "pip install 'fastconv[sklearn]'" in done.stderr
