"""The same expression on fastconv's tensors and on PyTorch's: equal values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, mutually_broadcastable_shapes

import fastconv as fc
import fastconv.nn.functional as fc_functional

torch = pytest.importorskip("torch")


def both(function, *values, dtype=np.float64, exact=False):
    """Run ``function(library, functional, *tensors)`` in both; compare results and gradients."""
    values = [np.asarray(v, dtype) for v in values]
    ours = [fc.tensor(v.copy(), requires_grad=True) for v in values]
    theirs = [torch.tensor(v, requires_grad=True) for v in values]
    result = function(fc, fc_functional, *ours)
    expected = function(torch, torch.nn.functional, *theirs)
    assert tuple(result.shape) == tuple(expected.shape)
    grad = np.random.default_rng(0).standard_normal(result.shape).astype(dtype)
    result.backward(grad)
    expected.backward(torch.tensor(grad))
    pairs = [(result.data, expected.detach())]
    for x, y in zip(ours, theirs, strict=True):
        pairs.append((x.grad.data, torch.zeros_like(y) if y.grad is None else y.grad))
    relative = 1e-11 if dtype == np.float64 else 2e-5
    pairs = [(actual, wanted.numpy()) for actual, wanted in pairs]
    scales = [np.abs(w[np.isfinite(w)]).max(initial=0) for _, w in pairs]
    for (actual, wanted), scale in zip(pairs, scales, strict=True):
        assert actual.dtype == dtype
        if exact:
            np.testing.assert_array_equal(actual, wanted)
        else:
            # A sum over broadcast cells may cancel: its error is that of what it adds up.
            if dtype == np.float32 and wanted.size < result.data.size:
                scale = max(scales)
            np.testing.assert_allclose(actual, wanted, rtol=relative, atol=relative * scale)


FINITE = {"allow_nan": False, "allow_infinity": False, "width": 32}
numbers = st.floats(-3, 3, **FINITE)
positive = st.floats(0.125, 3, **FINITE)
few = st.sampled_from([-1.0, 0.0, 1.0, 2.0])
DTYPES = st.sampled_from([np.float32, np.float64])

BINARY = {
    "add": lambda lib, F, a, b: a + b,
    "sub": lambda lib, F, a, b: a - b,
    "mul": lambda lib, F, a, b: a * b,
    "div": lambda lib, F, a, b: a / b,
    "pow": lambda lib, F, a, b: a**b,
    "mixed": lambda lib, F, a, b: (2 - a) * (b / 3 + a) / (1 + b * b) - (-a) ** 2,
    "in place": lambda lib, F, a, b: ((a + b) * 1.0).mul_(b).add_(a, alpha=2).sub_(b).div_(2),
}


@pytest.mark.parametrize("name", BINARY)
@given(data=st.data(), dtype=DTYPES)
def test_broadcast_arithmetic(name, data, dtype):
    shapes = data.draw(mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4))
    if name == "in place" and shapes.input_shapes[0] != shapes.result_shape:
        return
    a, b = (data.draw(arrays(np.float64, s, elements=positive)) for s in shapes.input_shapes)
    both(BINARY[name], a, b, dtype=dtype)


UNARY = {
    "exp": lambda lib, F, x: x.exp(),
    "square": lambda lib, F, x: x**2,
    "cube": lambda lib, F, x: x**3.0,
    "nothing": lambda lib, F, x: x**0 + x,
    "base": lambda lib, F, x: 1.5**x,
    "relu": lambda lib, F, x: F.relu(x),
    "sigmoid": lambda lib, F, x: x.sigmoid(),
    "tanh": lambda lib, F, x: x.tanh(),
    "sum": lambda lib, F, x: x.sum(),
    "sum, last": lambda lib, F, x: x.sum(-1),
    "mean, first, kept": lambda lib, F, x: x.mean(0, keepdim=True),
    "mean": lambda lib, F, x: x.mean(),
    "softmax": lambda lib, F, x: F.softmax(x, dim=0),
    "log_softmax": lambda lib, F, x: F.log_softmax(x, dim=-1),
    "flatten": lambda lib, F, x: x.flatten(0, -1) * 2,
    "transpose": lambda lib, F, x: x.transpose(0, -1).reshape(-1),
    "iterate": lambda lib, F, x: sum(row.sum() * i for i, row in enumerate(x, 1)),
    "cat": lambda lib, F, x: lib.cat([x, x * 2, x[:1]], 0),
    "detached": lambda lib, F, x: x.detach() * x,
    "pick": lambda lib, F, x: x[..., -1][None],
}


@pytest.mark.parametrize("name", UNARY)
@given(data=st.data(), dtype=DTYPES)
def test_functions_of_one_tensor(name, data, dtype):
    shape = data.draw(array_shapes(min_dims=1, max_dims=4, max_side=5))
    both(UNARY[name], data.draw(arrays(np.float64, shape, elements=numbers)), dtype=dtype)


@pytest.mark.parametrize("name", ["log", "sqrt"])
@given(x=arrays(np.float64, array_shapes(max_dims=3, max_side=5), elements=positive), dtype=DTYPES)
def test_log_and_sqrt(name, x, dtype):
    both(lambda lib, F, x: getattr(x, name)(), x, dtype=dtype)


@given(data=st.data())
def test_maxima_with_ties(data):
    shape = data.draw(array_shapes(max_dims=3, max_side=5))
    x = data.draw(arrays(np.float64, shape, elements=few))
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    keepdim = data.draw(st.booleans())
    both(lambda lib, F, x: x.max(), x)
    both(lambda lib, F, x: x.max(dim, keepdim).values, x, exact=True)
    both(lambda lib, F, x: x.max(dim, keepdim)[0] * 2, x, exact=True)
    ours, theirs = fc.tensor(x), torch.tensor(x)
    assert ours.max(dim, keepdim).indices.tolist() == theirs.max(dim, keepdim).indices.tolist()
    assert ours.argmax(dim, keepdim).tolist() == theirs.argmax(dim, keepdim).tolist()
    assert ours.argmax().item() == theirs.argmax().item()


def test_maxima_of_nan():
    nan = float("nan")
    for values in ([1.0, nan, 3.0, nan], [nan, 1.0], [2.0, nan]):
        x = fc.tensor(np.array(values), requires_grad=True)
        y = torch.tensor(np.array(values), requires_grad=True)
        x.max().backward()
        y.max().backward()
        np.testing.assert_array_equal(x.grad.data, y.grad.numpy())
        assert x.max(0).indices.item() == y.max(0).indices.item()


def test_powers_of_zero():
    a, b = [0.0, 0.0, 2.0, 0.0, -2.0], [0.0, 2.0, 3.0, 1.0, 2.0]
    both(lambda lib, F, a, b: a**b, a[:4], b[:4], exact=True)
    both(lambda lib, F, a: a**0, a, exact=True)
    both(lambda lib, F, b: 0.0**b, b, exact=True)


MATRICES = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 1, 2, 3), (6, 3, 1)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 2)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("left", "right"), MATRICES)
def test_matrix_products(left, right, dtype):
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal(left), rng.standard_normal(right)
    both(lambda lib, F, a, b: a @ b, a, b, dtype=dtype)


INDICES = {
    "integer": lambda lib, x: x[1],
    "negative": lambda lib, x: x[-1, :, -2],
    "slices": lambda lib, x: x[1:, ::2],
    "new axis": lambda lib, x: x[:, None, ..., 0],
    "element": lambda lib, x: x[2, 1, 3],
    "repeated rows": lambda lib, x: x[lib.tensor([0, 2, 0])],
    "pairs": lambda lib, x: x[lib.tensor([0, 1]), lib.tensor([2, 2])],
    "column of pairs": lambda lib, x: x[:, lib.tensor([[0], [1]])],
    "mask": lambda lib, x: x[x.detach() > 0],
    "list": lambda lib, x: x[[2, 0, 2]],
}


@pytest.mark.parametrize("name", INDICES)
def test_indexing(name):
    x = np.random.default_rng(5).standard_normal((3, 4, 5))
    both(lambda lib, F, x: INDICES[name](lib, x) * 2, x, exact=True)


def test_changes_of_parts():
    def change(lib, F, x, w):
        y = x * 2
        y[1] = w
        y[:, 0] = (y.detach() * 3)[:, 1]
        y[lib.tensor([0, 2]), 1] = w[0]
        return y

    rng = np.random.default_rng(6)
    both(change, rng.standard_normal((3, 4)), rng.standard_normal(4), exact=True)


LAYERS = {
    "conv2d": lambda lib, F, x, w, b: F.conv2d(x, w, b),
    "conv2d, strided": lambda lib, F, x, w, b: F.conv2d(x, w, b, 2, 1),
    "conv2d, dilated": lambda lib, F, x, w, b: F.conv2d(x, w, b, (1, 2), (0, 2), (2, 1)),
    "conv2d, same": lambda lib, F, x, w, b: F.conv2d(x, w, b, padding="same"),
    "conv2d, groups": lambda lib, F, x, w, b: F.conv2d(x, w[:, :1], b, 1, 1, 1, 4),
    "pooled": lambda lib, F, x, w, b: F.max_pool2d(F.relu(F.conv2d(x, w, b)), 2, 1),
    "pooled, ceil": lambda lib, F, x, w, b: F.max_pool2d(F.conv2d(x, w, b), 3, 2, 1, 1, True),
    "classified": lambda lib, F, x, w, b: F.cross_entropy(
        F.conv2d(x, w, b).flatten(1), lib.tensor([3, 200, 0])
    ),
    "classified, sum": lambda lib, F, x, w, b: F.cross_entropy(
        F.tanh(F.conv2d(x, w, b)).view(3, -1), lib.tensor([3, 200, 0]), reduction="sum"
    ),
    "connected": lambda lib, F, x, w, b: F.linear(x.flatten(1)[:, :36], w.view(8, -1), b),
    "compared": lambda lib, F, x, w, b: F.mse_loss(F.conv2d(x, w, b), F.conv2d(x, w)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, dtype):
    rng = np.random.default_rng(7)
    x, w, b = (rng.standard_normal(s) for s in ((3, 4, 9, 8), (8, 4, 3, 3), (8,)))
    both(LAYERS[name], x, w / 6, b, dtype=dtype)


ONES = [(1, 1), (1, 1, 1, 1), ()]
ROWS = [(1, 3), (1, 1, 3), (3,)]


@pytest.mark.parametrize(
    ("index", "shape"),
    [(i, shape) for i in (0, slice(None)) for shape in ONES + ROWS] + [((0, 1), s) for s in ONES],
)
def test_assigned_values_may_have_leading_ones(index, shape):
    def assign(lib, F, x, v):
        y = x * 1.0
        y[index] = v
        return y

    both(assign, np.arange(6.0).reshape(2, 3), np.full(shape, 7.0))


INFINITE = {
    "division by zero": lambda lib, F, a: a / (a - a),
    "number by zero": lambda lib, F, a: 1 / (a * 0),
    "in place": lambda lib, F, a: (a * 1.0).div_(0),
    "logarithm": lambda lib, F, a: a.log(),
    "root": lambda lib, F, a: (a * 1.0).sqrt(),
    "exponential": lambda lib, F, a: (a * 1e4).exp(),
    "negative power": lambda lib, F, a: a**-0.5,
    "square": lambda lib, F, a: (a * 1e300) ** 2,
    "sum": lambda lib, F, a: (a[2:] * 1e308 + 1e308).sum(),
    "mean": lambda lib, F, a: (a / 0).mean(),
    "double to single": lambda lib, F, a: (a * 1e300).float().double(),
}


@pytest.mark.parametrize("name", INFINITE)
def test_infinities_and_nan_come_silently(name):
    """NumPy's warnings are errors in these tests."""
    both(INFINITE[name], [0.0, -1.0, 2.0, 3.0])
