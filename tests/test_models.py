"""The networks, their names in PyTorch, and the summary table."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fastconv import nn
from fastconv.autograd.engine import no_grad
from fastconv.autograd.tensor import Tensor
from fastconv.files import FileFormatError, load_weights, save_weights
from fastconv.models import (
    MODELS,
    conv_conv_pool,
    convnetjs,
    lenet5,
    lenet_3x3,
    sigmoid_net,
    summary,
    xo_net,
)
from fastconv.random import manual_seed


def batch(count: int, shape: tuple[int, ...] = (1, 28, 28), seed: int = 0) -> Tensor:
    numbers = np.random.default_rng(seed).standard_normal((count, *shape))
    return Tensor(numbers.astype(np.float32))


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name].input_shape[1] <= 32])
def test_every_model_runs_and_starts_from_its_seed(name: str) -> None:
    entry = MODELS[name]
    outputs = []
    for seed in (0, 0, 1):
        manual_seed(seed)
        model = entry.build(num_classes=7)
        outputs.append(model(batch(3, entry.input_shape)).data)
    assert outputs[0].shape == (3, 7)
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])


@pytest.mark.parametrize(
    ("build", "count", "keys"),
    [
        (conv_conv_pool, 6_440, [*(f"conv{i}" for i in range(1, 7)), "fc"]),
        (convnetjs, 22_466, ["conv1", "conv2", "conv3", "fc"]),
        (lenet5, 61_706, ["conv1", "conv2", "fc1", "fc2", "fc3"]),
        (lenet_3x3, 81_194, ["conv1", "conv2", "fc1", "fc2", "fc3"]),
        (sigmoid_net, 51_902, ["conv1", "conv2", "fc1", "fc2"]),
        (xo_net, 2_818, ["conv1", "conv2", "votes"]),
    ],
)
def test_parameters_and_keys(build, count: int, keys: list[str]) -> None:
    model = build()
    assert sum(p.numel() for p in model.parameters()) == count
    expected = [f"{key}.{part}" for key in keys for part in ("weight", "bias")]
    assert list(model.state_dict()) == expected


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_lenet5_equals_its_twin_in_pytorch(tmp_path, memory_format: str) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    t = torch.nn
    twin = t.Sequential()
    for name, layer in lenet5().named_children():
        kind = getattr(t, type(layer).__name__)
        if isinstance(layer, nn.Conv2d):
            made = kind(
                layer.in_channels, layer.out_channels, layer.kernel_size, padding=layer.padding
            )
        elif isinstance(layer, nn.Linear):
            made = kind(layer.in_features, layer.out_features)
        elif isinstance(layer, nn.MaxPool2d):
            made = kind(layer.kernel_size)
        else:
            made = kind()
        twin.add_module(name, made)
    model = lenet5().to(memory_format=memory_format)
    save_weights(model, tmp_path / "lenet5.safetensors")
    twin.load_state_dict(load_file(tmp_path / "lenet5.safetensors"))
    inputs = batch(5)
    with torch.no_grad():
        expected = twin(torch.from_numpy(inputs.data)).numpy()
    np.testing.assert_allclose(model(inputs).data, expected, rtol=1e-4, atol=1e-5)


def test_weights_come_back_also_without_autograd(tmp_path) -> None:
    file = tmp_path / "w.safetensors"
    manual_seed(1)
    model, other = xo_net(), xo_net()
    save_weights(model, file)
    load_weights(other, file)
    with no_grad():
        np.testing.assert_array_equal(model(batch(2)).data, other(batch(2)).data)
    assert all(p.requires_grad for p in other.parameters())


def test_weights_of_another_model_are_refused(tmp_path) -> None:
    file = tmp_path / "w.safetensors"
    save_weights(xo_net(), file)
    with pytest.raises(ValueError, match=r"fc1\.weight"):
        load_weights(lenet5(), file)
    with pytest.raises(ValueError, match=r"votes\.weight.*\(3, 784\).*\(2, 784\)"):
        load_weights(xo_net(3), file)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(FileFormatError, match=r"w\.safetensors"):
        load_weights(xo_net(), file)


SIZES = re.compile(r"^ *(\w[\w, ]*?)  +(\d+(?: x +\d+)*)(?:  .*)?$", re.MULTILINE)


@pytest.mark.parametrize(
    "build", [conv_conv_pool, convnetjs, lenet5, lenet_3x3, sigmoid_net, xo_net]
)
def test_the_docstring_says_the_sizes(build) -> None:
    listed = {
        name: tuple(map(int, size.split("x")))
        for names, size in SIZES.findall(build.__doc__)
        for name in names.split(", ")
    }
    input_shape = listed.pop("input")
    assert input_shape == MODELS[build.__name__].input_shape
    computed = {row.name: row.output_shape for row in summary(build(), input_shape).rows}
    assert {name: computed[name] for name in listed} == listed
    assert computed.keys() - listed.keys() <= {"flatten", "fc", "fc2", "fc3", "votes"}


def test_lenet5_takes_the_papers_images_without_padding() -> None:
    rows = summary(lenet5(padding=0), (1, 32, 32)).rows
    assert [row.output_shape for row in rows][:3] == [(6, 28, 28), (6, 28, 28), (6, 14, 14)]


# --- summary -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: nn.Conv2d(3, 10, 5, stride=1, padding=2), (10, 32, 32)),
        (lambda: nn.Conv2d(3, 10, 5, stride=2, padding=2), (10, 16, 16)),
    ],
)
def test_the_lectures_layers(layer, shape: tuple[int, ...]) -> None:
    table = summary(layer(), (3, 32, 32))
    assert [(row.output_shape, row.parameters) for row in table.rows] == [(shape, 760)]
    assert table.parameters == 760


def test_the_lectures_six_filters_without_padding() -> None:
    (row,) = summary(nn.Conv2d(3, 6, 5), (3, 32, 32)).rows
    assert (row.name, row.kind, row.output_shape) == ("Conv2d", "Conv2d", (6, 28, 28))


def test_summary_of_lenet5() -> None:
    table = summary(lenet5(), (1, 28, 28))
    assert [(row.name, row.output_shape, row.parameters) for row in table.rows] == [
        ("conv1", (6, 28, 28), 156),
        ("relu1", (6, 28, 28), 0),
        ("pool1", (6, 14, 14), 0),
        ("conv2", (16, 10, 10), 2416),
        ("relu2", (16, 10, 10), 0),
        ("pool2", (16, 5, 5), 0),
        ("flatten", (400,), 0),
        ("fc1", (120,), 48120),
        ("relu3", (120,), 0),
        ("fc2", (84,), 10164),
        ("relu4", (84,), 0),
        ("fc3", (10,), 850),
    ]
    assert table.parameters == 61_706
    lines = str(table).splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "shape", "parameters"]
    assert lines[2].split() == ["conv1", "Conv2d", "6", "x", "28", "x", "28", "156"]
    assert lines[-1].split() == ["total", "61,706"]
    assert len({len(line) for line in lines}) == 1


def test_summary_leaves_the_model_as_it_was() -> None:
    model = lenet5()
    model.train()
    summary(model, (1, 28, 28))
    assert model.training and model.conv1.training
    assert not any("forward" in module.__dict__ for module in model.modules())
    with pytest.raises(ValueError, match="channels"):
        summary(model, (3, 28, 28))
    assert not any("forward" in module.__dict__ for module in model.modules())
    assert all(p.grad is None for p in model.parameters())


def test_summary_counts_a_shared_layer_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.layer(x))

    table = summary(Twice(), (4,))
    assert [row.parameters for row in table.rows] == [20, 0] and table.parameters == 20


def test_summary_restores_each_mode_and_own_forward() -> None:
    model = lenet5()
    model.train()
    model.conv1.eval()
    own = model.relu1.forward
    model.relu1.forward = own
    summary(model, (1, 28, 28))
    assert model.training and model.conv2.training and not model.conv1.training
    assert model.relu1.__dict__["forward"] is own
    assert "forward" not in model.conv1.__dict__


def test_summary_passes_keywords_and_the_parameters_type() -> None:
    seen = []

    class Scale(nn.Linear):
        def forward(self, x: Tensor, *, scale: float = 1.0) -> Tensor:
            seen.append((x.dtype, scale))
            return super().forward(x) * scale

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = Scale(4, 2)

        def forward(self, x: Tensor, *, scale: float = 1.0) -> Tensor:
            return self.layer(x, scale=scale)

    model = Outer()
    for parameter in model.parameters():
        parameter.data = parameter.data.astype(np.float64)
    (row,) = summary(model, (4,), scale=3.0).rows
    assert (row.output_shape, seen) == ((2,), [(np.float64, 3.0)])
