"""The large networks: names and counts, gradients, and equality with PyTorch."""

from __future__ import annotations

import math
from collections import OrderedDict

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn as nn
import fastconv.nn.functional as F
from fastconv.models import MODELS, alexnet_two_towers, resnet18, resnet50, summary
from fastconv.models.resnet import BasicBlock, Bottleneck

COUNTS = {
    "alexnet": 61_100_840,
    "alexnet_two_towers": 60_965_224,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
}


def images(count: int, size: int, dtype=np.float32):
    numbers = np.random.default_rng(0).standard_normal((count, 3, size, size))
    return fc.tensor(numbers.astype(dtype))


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_with_1000_classes(name):
    build = MODELS[name].build
    with nn.init.skip():  # memory that nobody writes takes no room
        model = build()
    assert sum(p.numel() for p in model.parameters()) == COUNTS[name]
    assert f"{COUNTS[name]:,} parameters" in build.__doc__


def test_names_are_torchvisions():
    with nn.init.skip():
        names = {name: list(MODELS[name].build().state_dict()) for name in COUNTS}
    assert names["vgg16"][-4:] == [
        *("classifier.3.weight", "classifier.3.bias", "classifier.6.weight", "classifier.6.bias")
    ]
    assert {"features.28.weight", "features.28.bias"} < set(names["vgg16"])
    assert "features.1.running_mean" in names["vgg16_bn"]
    assert names["alexnet"][:4] == [
        *("features.0.weight", "features.0.bias", "features.3.weight", "features.3.bias")
    ]
    assert len(names["resnet18"]) == 122 and len(names["resnet50"]) == 320
    assert {
        *("conv1.weight", "bn1.num_batches_tracked", "layer1.0.conv1.weight", "layer4.1.bn2.bias"),
        *("layer2.0.downsample.0.weight", "layer2.0.downsample.1.running_var", "fc.bias"),
    } < set(names["resnet18"])
    assert "layer1.0.downsample.0.weight" not in names["resnet18"]
    assert "layer1.0.downsample.0.weight" in names["resnet50"]


def test_the_two_towers_have_the_papers_sizes():
    with nn.init.skip():
        table = summary(alexnet_two_towers(), (3, 227, 227))
    assert (table.parameters, table.units) == (60_965_224, 659_272)
    sizes = {row.name: row.output_shape for row in table.rows}
    assert sizes["conv1"] == (96, 55, 55) and sizes["pool1"] == (96, 27, 27)
    assert sizes["conv2"] == (256, 27, 27) and sizes["pool2"] == (256, 13, 13)
    assert sizes["conv4"] == (384, 13, 13) and sizes["pool5"] == (256, 6, 6)


def small(name: str) -> tuple[nn.Sequential, int]:
    """A network with small linear layers, whose size is not what is tested, and random values; and
    the side of the images that it gets."""
    fc.manual_seed(0)
    with nn.init.skip():
        model = MODELS[name].build()
    holder = model.classifier if hasattr(model, "classifier") else model
    names = [n for n, layer in holder.named_children() if isinstance(layer, nn.Linear)]
    features = getattr(holder, names[0]).in_features
    features = 256 if name == "alexnet_two_towers" else features  # of a map of one pixel
    for linear in names:
        setattr(holder, linear, nn.Linear(features, 8))
        features = 8
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
        else:
            nn.init.uniform_(parameter, 0.5, 1.0)
    sides = {"alexnet": 63, "alexnet_two_towers": 67}
    return model, sides.get(name, 33)


@pytest.mark.parametrize("name", COUNTS)
def test_every_parameter_gets_a_gradient(name):
    model, side = small(name)
    loss = F.cross_entropy(model(images(2, side)), fc.tensor([0, 1]))
    loss.backward()
    assert math.isfinite(loss.item())
    for key, parameter in model.named_parameters():
        grad = parameter.grad.data
        assert np.all(np.isfinite(grad)), key
        if parameter.ndim > 1:  # of a bias before batch normalisation it is 0
            assert np.any(grad != 0), key


def test_initial_values():
    fc.manual_seed(0)
    model = resnet18(num_classes=3)
    weight = dict(model.named_parameters())["layer2.0.conv1.weight"].data
    np.testing.assert_allclose(weight.std(), math.sqrt(2 / (128 * 9)), rtol=0.01)
    x = images(2, 64)
    model.train()
    assert 0.1 < model(x).data.std() < 10


def test_blocks_fold_normalisation_in_evaluation(monkeypatch):
    fc.manual_seed(0)
    for block in (BasicBlock(8, 16, stride=2), Bottleneck(8, 4), Bottleneck(16, 4)):
        channels = block.conv1.in_channels
        x = fc.randn(8, channels, 12, 12)
        for _ in range(3):
            block(x)
        block.eval()
        recorded = block(x)
        with fc.no_grad():
            folded = block(x)
            with monkeypatch.context() as patch:
                patch.setattr(F, "batch_norm", None)  # nobody calls it
                block(x)
        np.testing.assert_allclose(folded.data, recorded.data, rtol=1e-4, atol=1e-5)


def test_networks_of_pooled_maps_take_data_of_other_sizes():
    assert MODELS["resnet18"].takes((3, 32, 32)) and not MODELS["resnet18"].takes((1, 28, 28))
    assert MODELS["vgg16"].takes((3, 32, 48)) and not MODELS["vgg16"].takes((3, 31, 32))
    assert MODELS["alexnet"].takes((3, 63, 63)) and not MODELS["alexnet"].takes((3, 62, 63))
    assert not MODELS["alexnet_two_towers"].takes((3, 224, 224))
    assert resnet50(2).eval()(images(1, 1)).shape == (1, 2)


def test_summary_counts_what_a_module_holds_besides_its_layers():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(3, 2)
            self.scale = nn.Parameter(np.ones(2, np.float32))

        def forward(self, x):
            return self.layer(x) * self.scale

    table = summary(nn.Sequential(Scaled()), (3,))
    assert [(row.name, row.parameters) for row in table.rows] == [("0.layer", 8), ("0", 2)]
    assert table.parameters == 10


# --- PyTorch -------------------------------------------------------------------------------------


def twin_layer(torch, layer: nn.Module):
    """The same layer in PyTorch."""
    t = torch.nn
    kind = getattr(t, type(layer).__name__, None)
    if isinstance(layer, nn.Sequential):
        children = [(name, twin_layer(torch, child)) for name, child in layer.named_children()]
        return t.Sequential(OrderedDict(children))
    if isinstance(layer, nn.Conv2d):
        sizes = (layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride)
        return kind(*sizes, layer.padding, groups=layer.groups, bias=layer.bias is not None)
    if isinstance(layer, nn.Linear):
        return kind(layer.in_features, layer.out_features)
    if isinstance(layer, nn.BatchNorm2d):
        return kind(layer.num_features)
    if isinstance(layer, nn.MaxPool2d):
        return kind(layer.kernel_size, layer.stride, layer.padding)
    if isinstance(layer, nn.LocalResponseNorm):
        return kind(layer.size, layer.alpha, layer.beta, layer.k)
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        return kind(layer.output_size)
    if isinstance(layer, (BasicBlock, Bottleneck)):
        return twin_block(torch, layer)
    return kind()  # ReLU, Flatten, Dropout


def twin_block(torch, block):
    class Block(torch.nn.Module):
        def forward(self, x):
            shortcut = self.downsample(x) if hasattr(self, "downsample") else x
            y = torch.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            if hasattr(self, "conv3"):
                y = self.bn3(self.conv3(torch.relu(y)))
            return torch.relu(y + shortcut)

    made = Block()
    for name, child in block.named_children():
        made.add_module(name, twin_layer(torch, child))
    return made


@pytest.mark.parametrize("name", ["alexnet", "alexnet_two_towers", "resnet18", "vgg11_bn"])
def test_values_and_gradients_equal_pytorchs(name):
    torch = pytest.importorskip("torch")
    model, side = small(name)
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    model.double()
    twin = twin_layer(torch, model).double()
    for layer in twin.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    twin.load_state_dict({k: torch.tensor(v) for k, v in model.state_dict().items()})
    x = images(2, side, np.float64)
    x.requires_grad = True
    y = torch.tensor(x.data, requires_grad=True)
    classes = np.array([3, 5])
    first = F.cross_entropy(model(x), fc.tensor(classes))
    second = torch.nn.functional.cross_entropy(twin(y), torch.tensor(classes))
    first.backward()
    second.backward()
    np.testing.assert_allclose(first.item(), second.item(), rtol=1e-10)
    pairs = [("input", x.grad.data, y.grad.numpy())]
    ours = dict(model.named_parameters())
    pairs += [(key, ours[key].grad.data, p.grad.numpy()) for key, p in twin.named_parameters()]
    largest = max(np.abs(expected).max() for _, _, expected in pairs)
    for key, got, expected in pairs:  # a bias before batch normalisation has none but rounding
        atol = max(1e-9 * np.abs(expected).max(), 1e-14 * largest)
        np.testing.assert_allclose(got, expected, rtol=1e-7, atol=atol, err_msg=key)
    model.eval()
    twin.eval()
    with fc.no_grad(), torch.no_grad():
        got, expected = model(x).data, twin(y).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-9 * np.abs(expected).max())
