"""Modules: what they register, print, save and refuse; fused layers equal their parts."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import nn
from fastconv.nn import init


def network():
    fc.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(45, 8),
        nn.Sigmoid(),
        nn.Linear(8, 3),
    )


class Counter(nn.Module):
    """A parameter, a buffer, a child, and one parameter under two names."""

    def __init__(self):
        self.scale = nn.Parameter(np.ones(2, np.float32))
        self.register_buffer("count", fc.zeros(1))
        self.inner = nn.Linear(2, 2, bias=False)
        self.same = self.inner

    def forward(self, x):
        return self.same(self.inner(x)) * self.scale + self.count


def test_registration_and_order():
    model = Counter()
    assert [name for name, _ in model.named_parameters()] == ["scale", "inner.weight"]
    assert list(model.state_dict()) == ["scale", "count", "inner.weight", "same.weight"]
    assert [name for name, _ in model.named_buffers()] == ["count"]
    assert [name for name, _ in model.named_modules()] == ["", "inner"]
    assert [name for name, _ in model.named_children()] == ["inner", "same"]
    assert len(list(model.modules())) == 2
    assert list(network().state_dict()) == [
        f"{i}.{name}" for i in (0, 3, 6, 8) for name in ("weight", "bias")
    ]
    model.inner = None
    assert [name for name, _ in model.named_parameters()] == ["scale", "same.weight"]
    with pytest.raises(TypeError, match="scale is a Parameter and cannot become a Tensor"):
        model.scale = fc.ones(2)
    with pytest.raises(TypeError, match="count must be a Tensor"):
        model.register_buffer("count", 3)
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(1)


def test_state_dict_round_trip():
    source, target = network(), network()
    for p in target.parameters():
        p.data += 1
    state = source.state_dict()
    assert state["0.weight"] is source[0].weight.data
    before = [p.data for p in target.parameters()]
    assert target.load_state_dict(state) == ([], [])
    for p, q, array in zip(source.parameters(), target.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.data, q.data)
        assert q.data is array


def test_load_state_dict_errors_change_nothing():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    before = {key: value.copy() for key, value in model.state_dict().items()}
    new = {key: value + 1 for key, value in before.items()}

    wrong = {**new, "1.weight": np.zeros((1, 3), np.float32), "extra": np.zeros(1)}
    del wrong["0.bias"]
    with pytest.raises(ValueError, match="load_state_dict: Sequential") as error:
        model.load_state_dict(wrong)
    for part in ("missing keys: 0.bias", "unexpected keys: extra", "1.weight", "(1, 2)", "(1, 3)"):
        assert part in str(error.value)
    with pytest.raises(ValueError, match=r"1\.weight has shape \(1, 2\), the state \(1, 3\)"):
        model.load_state_dict(wrong, strict=False)
    with pytest.raises(TypeError, match=r"0\.weight is float32, the state float64"):
        model.load_state_dict({**new, "0.weight": np.zeros((2, 3))})
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])

    del wrong["1.weight"]
    result = model.load_state_dict(wrong, strict=False)
    assert result.missing_keys == ["0.bias", "1.weight"]
    assert result.unexpected_keys == ["extra"]
    np.testing.assert_array_equal(model[0].weight.data, before["0.weight"] + 1)


def test_loading_counts_as_a_change():
    layer = nn.Linear(2, 2)
    loss = layer(fc.ones(1, 2, requires_grad=True)).sum()
    layer.load_state_dict(copy.deepcopy(layer.state_dict()))
    with pytest.raises(RuntimeError, match=r"weight of shape .* was changed in place"):
        loss.backward()


def test_modes_gradients_and_apply():
    model = network()
    assert model.training
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    assert all(m.training for m in model.train().modules())
    model(fc.randn(2, 1, 10, 10)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad(set_to_none=False)
    assert all(not p.grad.data.any() for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    model.requires_grad_(False)
    assert not model(fc.randn(2, 1, 10, 10)).requires_grad
    seen = []
    assert model.apply(lambda m: seen.append(type(m).__name__)) is model
    assert seen == [*(type(m).__name__ for m in model), "Sequential"]


def test_to():
    model = network().to(memory_format="channels_last")
    assert model[0].memory_format == model[3].memory_format == "channels_last"
    x = fc.randn(2, 1, 10, 10)
    strides = model[0](x).data.strides
    assert strides[1] < strides[3]
    assert model[0].weight.data.flags.c_contiguous
    expected = network()(x)
    np.testing.assert_allclose(model(x).data, expected.data, rtol=1e-4, atol=1e-6)
    assert {p.dtype for p in model.double().parameters()} == {np.dtype(np.float64)}
    assert model(x.double()).dtype == np.float64
    assert {p.dtype for p in model.float().parameters()} == {np.dtype(np.float32)}
    with pytest.raises(ValueError, match="memory_format must be one of"):
        model.to(memory_format="NHWC")
    with pytest.raises(TypeError, match="not int64"):
        model.to(np.int64)


def test_repr():
    assert (
        repr(network())
        == """Sequential(
  (0): Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
  (1): ReLU()
  (2): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
  (3): Conv2d(4, 5, kernel_size=(3, 3), stride=(1, 1))
  (4): Tanh()
  (5): Flatten(start_dim=1, end_dim=-1)
  (6): Linear(in_features=45, out_features=8, bias=True)
  (7): Sigmoid()
  (8): Linear(in_features=8, out_features=3, bias=True)
)"""
    )
    layer = nn.Conv2d(4, 6, (3, 1), 2, "valid", (1, 2), 2, False, memory_format="contiguous")
    assert repr(layer) == (
        "Conv2d(4, 6, kernel_size=(3, 1), stride=(2, 2), padding=valid, dilation=(1, 2), "
        "groups=2, bias=False, memory_format=contiguous)"
    )
    assert repr(nn.Sequential(nn.Sequential(nn.Softmax(1)))) == (
        "Sequential(\n  (0): Sequential(\n    (0): Softmax(dim=1)\n  )\n)"
    )
    assert repr(nn.Parameter(np.zeros(1, np.float32))) == (
        "Parameter containing:\ntensor([0.], requires_grad=True)"
    )


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_apart(duplicate):
    model = Counter()
    twin = duplicate(model)
    assert twin.inner is twin.same
    x = fc.randn(3, 2)
    np.testing.assert_array_equal(twin(x).data, model(x).data)
    twin.inner.weight.data += 1
    assert not np.array_equal(twin(x).data, model(x).data)
    assert isinstance(twin.scale, nn.Parameter)
    assert twin.scale.requires_grad


def test_sequential():
    model = network()
    assert len(model) == 9
    assert [type(m) for m in model][:2] == [nn.Conv2d, nn.ReLU]
    assert model[-1] is model[8]
    tail = model[6:]
    assert isinstance(tail, nn.Sequential)
    assert tail[0] is model[6]
    assert tail.append(nn.Softmax(1)) is tail
    assert len(tail) == 4
    np.testing.assert_allclose(tail(fc.randn(2, 45)).sum(1).data, [1, 1], rtol=1e-6)
    named = nn.Sequential({"first": nn.Linear(2, 3), "last": nn.ReLU()})
    assert list(named.state_dict()) == ["first.weight", "first.bias"]
    assert isinstance(named.last, nn.ReLU)
    with pytest.raises(IndexError, match="no layer 9 among 9"):
        model[9]
    with pytest.raises(TypeError, match="layer 1 is a function"):
        nn.Sequential(nn.ReLU(), F.relu)
    with pytest.raises(ValueError, match="cannot be named 'forward'"):
        nn.Sequential({"forward": nn.ReLU()})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("memory_format", [None, "channels_last"])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Tanh])
def test_fused_layers_equal_their_parts_bit_for_bit(activation, memory_format, dtype):
    fc.manual_seed(1)
    fused = nn.Sequential(
        nn.Conv2d(3, 17, 3, padding=1, memory_format=memory_format),
        activation(),
        nn.Flatten(),
        nn.Linear(17 * 36, 19),
        activation(),
    ).to(dtype)
    parts = copy.deepcopy(fused)
    x, y = (fc.tensor(fc.randn(5, 3, 6, 6).data.astype(dtype), True) for _ in range(2))
    y.data = x.data.copy()
    result, expected = fused(x), y
    for layer in parts:
        expected = layer(expected)
    np.testing.assert_array_equal(result.data, expected.data)
    assert len({*_operations(result)}) < len({*_operations(expected)})
    grad = fc.randn(*result.shape).data.astype(dtype)
    result.backward(grad)
    expected.backward(grad)
    np.testing.assert_array_equal(x.grad.data, y.grad.data)
    for p, q in zip(fused.parameters(), parts.parameters(), strict=True):
        np.testing.assert_array_equal(p.grad.data, q.grad.data)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("memory_format", [None, "channels_last"])
@pytest.mark.parametrize("window", [(2,), (3, 2), (3, 2, 1), (3, 1, 1, 2), (2, 3, 0, 1, True)])
def test_pooling_after_a_convolution_equals_its_parts_bit_for_bit(window, memory_format, dtype):
    """Also where windows overlap, and for NaN, infinity and maxima that several cells share."""
    fc.manual_seed(2)
    ceil_mode = window[4:] == (True,)
    fused = nn.Sequential(
        nn.Conv2d(3, 9, 3, padding=1, memory_format=memory_format),
        nn.ReLU(),
        nn.MaxPool2d(*window[:4], ceil_mode=ceil_mode),
        nn.Conv2d(9, 5, 1),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ).to(dtype)
    parts = copy.deepcopy(fused)
    images = fc.randn(3, 3, 11, 12).data.astype(dtype)
    images[0] = np.round(images[0])
    images[1, 0, 3, 4], images[1, 2, 7, 7], images[2, 1, 5, 5] = np.nan, np.inf, -np.inf
    x, expected = fc.tensor(images, requires_grad=True), fc.tensor(images, requires_grad=True)
    y, result = expected, fused(x)
    for layer in parts:
        expected = layer(expected)
    assert len({*_operations(result)}) == 2
    np.testing.assert_array_equal(result.data, expected.data)
    grad = fc.randn(*result.shape).data.astype(dtype)
    result.backward(grad)
    expected.backward(grad)
    np.testing.assert_array_equal(x.grad.data, y.grad.data)
    for p, q in zip(fused.parameters(), parts.parameters(), strict=True):
        np.testing.assert_array_equal(p.grad.data, q.grad.data)
    with fc.no_grad():
        np.testing.assert_array_equal(fused(x).data, expected.data)


@pytest.mark.parametrize("place", range(3))
def test_layers_refuse_what_only_looks_like_a_tensor(place):
    """A masked array has a ``_data``, too."""
    for function, shapes in (
        (F.conv2d, [(1, 2, 5, 5), (3, 2, 3, 3), (3,)]),
        (F.linear, [(4, 5), (3, 5), (3,)]),
    ):
        arguments = [fc.randn(*shape) for shape in shapes]
        arguments[place] = np.ma.ones(shapes[place], np.float32)
        name = ("input", "weight", "bias")[place]
        with pytest.raises(TypeError, match=f"{function.__name__}: {name} must be a Tensor"):
            function(*arguments)


def test_only_pooled_maps_are_kept_for_the_gradients():
    model = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    x = fc.randn(4, 1, 64, 64)
    before = fc.memory.stats()["in_use"]
    y = model(x)
    result_copy_and_indices = y.data.size * (4 + 4 + 8)
    with_the_map_before = y.data.size * (4 + 4 * 4 + 8)
    assert fc.memory.stats()["in_use"] - before < 1.2 * result_copy_and_indices
    assert 1.2 * result_copy_and_indices < with_the_map_before


def test_the_pooled_result_may_be_changed_in_place():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2))
    x, gradients = fc.randn(2, 1, 10, 10), []
    for y in (model(x), model[2](model[1](model[0](x)))):
        y.mul_(-2.0)
        y.sum().backward()
        gradients.append(model[0].weight.grad.data)
        model.zero_grad()
    assert gradients[0].any()
    np.testing.assert_array_equal(*gradients)


def test_pooling_that_gives_indices_or_has_its_own_forward_is_not_fused():
    x, layers = fc.randn(2, 3, 8, 8), (nn.Conv2d(3, 4, 3), nn.ReLU())
    output, indices = nn.Sequential(*layers, nn.MaxPool2d(2, return_indices=True))(x)
    np.testing.assert_array_equal(nn.Sequential(*layers, nn.MaxPool2d(2))(x).data, output.data)
    assert indices.shape == output.shape
    patched = nn.MaxPool2d(2)
    patched.forward = lambda x: x * 0.0
    assert nn.Sequential(*layers, patched)(x).shape == (2, 4, 6, 6)


def _operations(tensor):
    node = tensor.grad_fn
    while node is not None:
        yield id(node)
        node = next((e for e in node.edges if hasattr(e, "edges")), None)


@pytest.mark.parametrize("forward", ["auto", "direct"])
def test_backward_uses_the_algorithm_of_forward(forward):
    """Whatever is set when the backward pass runs: its rounding would differ."""
    generator = np.random.default_rng(0)
    x, w = generator.standard_normal((2, 3, 9, 9)), generator.standard_normal((4, 3, 3, 3))
    gradients = []
    for backward in (forward, "winograd"):
        inputs = [fc.tensor(x, requires_grad=True), fc.tensor(w, requires_grad=True)]
        with fc.algorithm(forward):
            y = F.conv2d(*inputs, padding=1)
        with fc.algorithm(backward):
            y.sum().backward()
        gradients.append([tensor.grad.data for tensor in inputs])
    np.testing.assert_equal(gradients[1], gradients[0])


def test_an_activation_with_its_own_forward_is_not_fused():
    class Shifted(nn.ReLU):
        def forward(self, x):
            return super().forward(x) + 1

    x = fc.randn(2, 3)
    layer = nn.Linear(3, 2)
    expected = np.maximum(layer(x).data, 0) + 1
    np.testing.assert_array_equal(nn.Sequential(layer, Shifted())(x).data, expected)
    patched = nn.ReLU()
    patched.forward = lambda x: x * 0.0
    np.testing.assert_array_equal(nn.Sequential(layer, patched)(x).data, np.zeros((2, 2)))


def test_softmax_is_along_the_last_dimension_by_default():
    x = fc.randn(2, 3, 4)
    for default, last in (
        (nn.Softmax()(x), nn.Softmax(2)(x)),
        (F.softmax(x), F.softmax(x, 2)),
        (F.log_softmax(x), F.log_softmax(x, 2)),
    ):
        np.testing.assert_array_equal(default.data, last.data)


def test_pooling_returns_indices():
    x = fc.tensor(np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4), requires_grad=True)
    y, indices = nn.MaxPool2d(2, return_indices=True)(x)
    assert y.tolist() == [[[[5, 7], [13, 15]]]]
    assert indices.tolist() == [[[[5, 7], [13, 15]]]]
    assert indices.dtype == np.int64
    y.sum().backward()
    assert x.grad.data.ravel().nonzero()[0].tolist() == [5, 7, 13, 15]
    with fc.no_grad():
        assert F.max_pool2d(x, 2, return_indices=True).indices.tolist() == indices.tolist()
        assert F.max_pool2d(x, 2).tolist() == y.tolist()


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nn.Conv2d(0, 1, 3), ValueError, "in_channels must be at least 1, got 0"),
        (lambda: nn.Conv2d(1, 1.5, 3), TypeError, "out_channels must be an integer, got 1.5"),
        (lambda: nn.Conv2d(1, 1, (3, 0)), ValueError, "kernel_size must be at least 1, got 0"),
        (lambda: nn.Conv2d(1, 1, (3, 3, 3)), ValueError, "kernel_size must be an integer or a"),
        (lambda: nn.Conv2d(1, 1, 3, stride=0), ValueError, "stride must be at least 1"),
        (lambda: nn.Conv2d(1, 1, 3, padding=-1), ValueError, "padding must be at least 0"),
        (lambda: nn.Conv2d(1, 1, 3, padding="all"), ValueError, '"same", "valid" or numbers'),
        (lambda: nn.Conv2d(1, 1, 3, padding=((1, 1), 1)), ValueError, "top, bottom"),
        (lambda: nn.Conv2d(1, 1, 3, 2, "same"), ValueError, "needs stride 1"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, r"in_channels \(3\) must be divisible"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, r"out_channels \(3\) must be divisible"),
        (lambda: nn.Conv2d(1, 1, 3, memory_format="NHWC"), ValueError, "memory_format must be"),
        (lambda: nn.Linear(True, 2), TypeError, "in_features must be an integer, got True"),
        (lambda: nn.MaxPool2d("2"), TypeError, "kernel_size must be an integer"),
        (
            lambda: nn.CrossEntropyLoss(reduction="max"),
            ValueError,
            "reduction must be mean, sum or none",
        ),
        (lambda: F.mse_loss(fc.ones(2), fc.ones(3)), ValueError, r"\(2,\) but target .* \(3,\)"),
        (lambda: F.relu(np.ones(2)), TypeError, r"relu: input must be a Tensor, got ndarray"),
        (lambda: F.conv2d(fc.ones(1), None), TypeError, "conv2d: weight must be a Tensor"),
        (lambda: F.relu(fc.tensor([1])), TypeError, "relu"),
        (lambda: init.calculate_gain("step"), ValueError, "unknown nonlinearity 'step'"),
        (lambda: init.xavier_normal_(fc.ones(3)), ValueError, r"got shape \(3,\)"),
        (lambda: init.uniform_(fc.tensor([1])), TypeError, "got int64"),
    ],
)
def test_wrong_arguments(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_shape_errors_name_both_shapes():
    text = r"conv2d: input has 3 channels .* weight \(4, 1, 3, 3\) .* \(2, 3, 8, 8\)"
    with pytest.raises(ValueError, match=text):
        nn.Conv2d(1, 4, 3)(fc.randn(2, 3, 8, 8))
    with pytest.raises(ValueError, match="linear"):
        nn.Linear(4, 2)(fc.randn(2, 3))
    with pytest.raises(TypeError, match="conv2d"):
        nn.Conv2d(1, 4, 3)(fc.zeros(2, 1, 8, 8, dtype=np.float64))


def test_default_initial_values():
    fc.manual_seed(0)
    for layer, bound in (
        (nn.Conv2d(8, 64, 3, groups=2), 1 / math.sqrt(36)),
        (nn.Linear(400, 300), 1 / 20),
    ):
        for p in (layer.weight, layer.bias):
            assert np.abs(p.data).max() <= bound
        assert np.abs(layer.weight.data).max() > 0.99 * bound
        deviation = layer.weight.data.std() * math.sqrt(3) / bound
        assert abs(deviation - 1) < 0.03
    weights = [nn.Linear(3, 3).weight.data for _ in range(2)]
    assert not np.array_equal(*weights)
    fc.manual_seed(0)
    first = nn.Linear(3, 3).weight.data
    fc.manual_seed(0)
    np.testing.assert_array_equal(nn.Linear(3, 3).weight.data, first)


@pytest.mark.parametrize(
    ("fill", "deviation"),
    [
        (lambda t: init.uniform_(t, -1, 2), 3 / math.sqrt(12)),
        (lambda t: init.normal_(t, 1, 0.5), 0.5),
        (lambda t: init.xavier_uniform_(t, 2.0), 2 * math.sqrt(2 / (450 + 900))),
        (lambda t: init.xavier_normal_(t), math.sqrt(2 / (450 + 900))),
        (lambda t: init.kaiming_uniform_(t), math.sqrt(2 / 450)),
        (
            lambda t: init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"),
            math.sqrt(2 / 900),
        ),
        (lambda t: init.kaiming_normal_(t, a=1.0), math.sqrt(1 / 450)),
        (lambda t: init.kaiming_normal_(t, nonlinearity="tanh"), 5 / 3 / math.sqrt(450)),
    ],
)
def test_initial_values(fill, deviation):
    fc.manual_seed(0)
    weight = nn.Parameter(np.empty((100, 50, 3, 3), np.float32))
    assert fill(weight) is weight
    assert abs(float(weight.data.std()) / deviation - 1) < 0.01
    assert weight.is_leaf


def test_constant_initial_values():
    weight = nn.Parameter(np.empty((2, 3), np.float32))
    assert init.constant_(weight, 0.5).tolist() == [[0.5] * 3] * 2
    assert init.zeros_(weight).tolist() == [[0] * 3] * 2
    assert init.ones_(weight).tolist() == [[1] * 3] * 2
