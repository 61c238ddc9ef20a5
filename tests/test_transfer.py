"""Transfer: load a trained network, put another head on it, train that on other data."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn as nn
from fastconv.data import ArrayDataset, DataLoader, drawings
from fastconv.models import xo_net
from fastconv.train.trainer import Trainer


def stripes(count: int) -> ArrayDataset:
    """Level, upright and slanted stripes, moved at random, under noise: three classes."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:28, :28]
    ways = np.stack([y, x, y + x])
    classes = rng.integers(3, size=count)
    phases = rng.integers(7, size=(count, 1, 1))
    pictures = np.where((ways[classes] + phases) % 7 < 3, 1.0, -1.0)
    pictures += 0.3 * rng.standard_normal(pictures.shape)
    return ArrayDataset(pictures[:, None].astype(np.float32), classes)


def trained(model: nn.Module, data: ArrayDataset, lr: float, epochs: int) -> None:
    optimizer = fc.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=1e-3)
    loader = DataLoader(data, 50, shuffle=True, seed=0)
    Trainer(model, optimizer, memory_format=None).fit(loader, None, epochs)


def accuracy(model: nn.Module, data: ArrayDataset) -> float:
    share = Trainer(model, None, memory_format=None).evaluate(DataLoader(data, 500))[1]
    assert share is not None
    return share


def test_a_network_learns_from_one_data_set_for_another(tmp_path):
    file = tmp_path / "stripes.safetensors"
    fc.manual_seed(0)
    first = xo_net(num_classes=3)
    trained(first, stripes(600), lr=0.02, epochs=2)
    fc.save_weights(first, file)

    model = xo_net(num_classes=3)
    assert fc.load_weights(model, file) == ([], [])
    model.requires_grad_(False)
    model.votes = nn.Linear(16 * 7 * 7, 2)
    learned = [name for name, p in model.named_parameters() if p.requires_grad]
    assert learned == ["votes.weight", "votes.bias"]

    train, test = drawings()
    assert accuracy(model, test) < 0.8
    trained(model, train, lr=0.05, epochs=2)
    assert accuracy(model, test) > 0.95
    old, new = first.state_dict(), model.state_dict()
    for name in ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"):
        np.testing.assert_array_equal(new[name], old[name])
    assert all(p.grad is None for p in model.conv1.parameters())


def test_loading_what_fits_by_name(tmp_path):
    file = tmp_path / "w.safetensors"
    fc.manual_seed(0)
    whole = xo_net(num_classes=3)
    fc.save_weights(whole, file)
    bodies = xo_net(num_classes=5)
    bodies.new_votes = nn.Linear(16 * 7 * 7, 5)
    del bodies.votes
    with pytest.raises(ValueError, match=r"missing keys: new_votes\.weight.*unexpected keys: vot"):
        fc.load_weights(bodies, file)
    result = fc.load_weights(bodies, file, strict=False)
    assert result.missing_keys == ["new_votes.weight", "new_votes.bias"]
    assert result.unexpected_keys == ["votes.bias", "votes.weight"]
    np.testing.assert_array_equal(bodies.conv2.weight.data, whole.conv2.weight.data)
    with pytest.raises(ValueError, match=r"votes\.weight has shape \(5, 784\), the state \(3, 784"):
        fc.load_weights(xo_net(num_classes=5), file, strict=False)


def test_a_frozen_parameter_stays_whatever_is_left_in_its_gradient():
    for kind in (fc.optim.SGD, fc.optim.Adam, fc.optim.RMSprop):
        frozen, free = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))
        optimizer = kind([frozen, free], lr=0.1, weight_decay=0.5)
        (frozen * free).sum().backward()
        optimizer.step()
        frozen.requires_grad = False
        before, moved = frozen.data.copy(), free.data.copy()
        (frozen * free).sum().backward()
        optimizer.step()
        np.testing.assert_array_equal(frozen.data, before)
        assert not np.array_equal(free.data, moved)


def test_a_layer_of_a_sequential_is_replaced_in_its_place():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4))
    model[2] = nn.Linear(3, 5)
    model[-3] = nn.Linear(1, 3)
    assert [name for name, _ in model.named_children()] == ["0", "1", "2"]
    assert model(fc.ones(1, 1)).shape == (1, 5)
    with pytest.raises(IndexError, match="Sequential: no layer 3 among 3"):
        model[3] = nn.ReLU()
    with pytest.raises(TypeError, match="Sequential: layer 0 is a int, not a Module"):
        model[0] = 3


def test_a_chain_is_a_sequential_without_one():
    fc.manual_seed(0)
    layers = [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)]
    x = fc.randn(2, 1, 8, 8)
    np.testing.assert_array_equal(nn.chain(x, *layers).data, nn.Sequential(*layers)(x).data)
    assert nn.chain(x) is x
