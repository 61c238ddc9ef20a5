"""Layer and group normalisation: kernels, tape, layers."""

from __future__ import annotations

import numpy as np
import pytest
from gradcheck import check_gradients
from hypothesis import given, settings
from hypothesis import strategies as st

import fastconv as fc
from fastconv import nn, ops, reference
from fastconv.nn import functional as F
from fastconv.testing import (
    LAYOUTS,
    assert_exact,
    assert_matches,
    lay_out,
    normal,
    relative_l2,
    tolerance,
)

# (shape, groups): vectors' tails, single planes, pixels of few channels, groups that no core's
# cache holds, planes of one pixel, nothing at all.
GROUPED = (
    ((3, 6, 5, 7), 2), ((2, 32, 9, 9), 8), ((20, 8, 3, 3), 1), ((2, 70, 5, 5), 70), ((5, 12), 4),
    ((4, 10, 1, 1), 5), ((2, 9, 31), 3), ((1, 4, 3, 4, 5), 2), ((1, 8, 200, 190), 1),
    ((2, 3, 120, 130), 3), ((0, 4, 3, 3), 2), ((2, 4, 0, 3), 2),
)  # fmt: skip
# (shape, normalized dimensions): short and long rows, many, several dimensions, nothing.
LAYERED = (
    ((40, 10), 1), ((3, 5, 192), 1), ((2, 3, 4, 5), 3), ((300, 17), 1), ((2, 70_001), 1),
    ((7,), 1), ((0, 5), 1), ((3, 0), 1), ((2, 3, 4), 2),
)  # fmt: skip


def group_passes(module, x, grad, weight, bias, groups):
    y, *kept = module.group_norm(x, groups, weight, bias)
    return (y, *kept, *module.group_norm_backward(grad, x, groups, weight, *kept))


def layer_passes(module, x, grad, weight, bias, count):
    shape = x.shape[x.ndim - count :]
    y, *kept = module.layer_norm(x, shape, weight, bias)
    return (y, *kept, *module.layer_norm_backward(grad, x, shape, weight, *kept))


def arrays(shape, weights, dtype, affine=True):
    """x, the gradient, weight and bias."""
    x = normal(shape, 0, dtype) + np.dtype(dtype).type(0.7)
    weight, bias = (normal(weights, seed, dtype) if affine else None for seed in (2, 3))
    return x, normal(shape, 1, dtype), weight, bias


def in_longdouble(values):
    return [None if value is None else value.astype(np.longdouble) for value in values]


def operands_of_dx(x, grad, weight, bias, groups):
    """Sizes of what dx is the difference of: |s| * invstd and |x| * invstd^2 * |mean(s * z)|, with
    s = grad * weight. Groups of two or three values cancel most of it."""
    _, mean, invstd = reference.group_norm(x, groups)
    channels = (1, -1, *(1,) * (x.ndim - 2))
    scaled = grad if weight is None else grad * weight.reshape(channels)
    values, scaled = (array.reshape(*mean.shape, -1) for array in (x, scaled))
    mean, invstd = mean[..., None], invstd[..., None]
    slope = (scaled * (values - mean) * invstd).mean(-1, keepdims=True)
    return invstd * (np.abs(scaled) + np.abs(values) * invstd * np.abs(slope))


def assert_dx_matches(dx, expected, operands, dtype, terms, repeat):
    assert dx.dtype == dtype and dx.shape == expected.shape, repeat
    error = np.linalg.norm((dx - expected).astype(np.float64))
    bound = tolerance(dtype, terms) * np.linalg.norm(operands.astype(np.float64))
    assert error <= bound, f"dx: error {error:.3g} > {bound:.3g}\n{repeat}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "groups"), GROUPED, ids=str)
def test_group_norm_equals_the_definition(cpu, shape, groups, dtype):
    for affine in (True, False):
        x, grad, *weights = arrays(shape, shape[1:2], dtype, affine)
        wide = in_longdouble([x, grad, *weights])
        expected = group_passes(reference, *wide, groups)
        terms = max(1, x.size // groups)
        few_values = np.prod(shape[1:]) // groups < 4
        for layout in LAYOUTS if x.size < 10_000 else ("contiguous", "channels_last"):
            placed = [lay_out(array, layout) for array in (x, grad)]
            got = list(group_passes(cpu.ops, *placed, *weights, groups))
            wanted, repeat = list(expected), f"{shape} {groups} {layout} {affine}"
            if few_values and x.size:
                operands = operands_of_dx(*wide, groups)
                assert_dx_matches(got.pop(3), wanted.pop(3), operands, dtype, terms, repeat)
            for result, value in zip(got, wanted, strict=True):
                assert_matches(result, value, dtype, terms, repeat)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "count"), LAYERED, ids=str)
def test_layer_norm_equals_the_definition(cpu, shape, count, dtype):
    for affine in (True, False):
        x, grad, *weights = arrays(shape, shape[len(shape) - count :], dtype, affine)
        expected = layer_passes(reference, *in_longdouble([x, grad, *weights]), count)
        for result, value in zip(
            layer_passes(cpu.ops, x, grad, *weights, count), expected, strict=True
        ):
            assert_matches(result, value, dtype, max(1, x.size), f"{shape} {count} {affine}")


def test_exact_where_every_number_is_a_power_of_two(backend):
    """Half of a group 1 and half 3: mean 2 and variance 1."""
    rng = np.random.default_rng(0)
    rows = rng.permuted(np.tile(np.array([1, 3], np.float32), (2 * 4, 3 * 4 * 5 // 2)), axis=1)
    weight, bias = np.full(12, 4, np.float32), np.full(12, -8, np.float32)
    x = rows.reshape(2, 12, 4, 5)
    for layout in ("contiguous", "channels_last"):
        placed = lay_out(x, layout)
        y, mean, invstd = backend.ops.group_norm(placed, 4, weight, bias, eps=0)
        assert_exact(y, (x - 2) * 4 - 8, np.float32)
        assert_exact(mean, np.full((2, 4), 2), np.float32)
        assert_exact(invstd, np.ones((2, 4)), np.float32)
        dx, dw, db = backend.ops.group_norm_backward(placed, placed, 4, weight, mean, invstd)
        assert_exact(dx, np.zeros(x.shape), np.float32)  # along the mean and the deviation
        assert_exact(dw, ((x - 2) * x).sum((0, 2, 3)), np.float32)
        assert_exact(db, x.sum((0, 2, 3)), np.float32)
    rows_of = weight[0] * np.ones(60, np.float32)
    y, mean, invstd = backend.ops.layer_norm(rows, (60,), rows_of, -2 * rows_of, eps=0)
    assert_exact(y, (rows - 2) * 4 - 8, np.float32)
    dx, dw, db = backend.ops.layer_norm_backward(rows, rows, (60,), rows_of, mean, invstd)
    assert_exact(dx, np.zeros(rows.shape), np.float32)
    assert_exact(dw, ((rows - 2) * rows).sum(0), np.float32)
    assert_exact(db, rows.sum(0), np.float32)


@settings(max_examples=40)
@given(
    st.integers(0, 20),
    st.integers(1, 6),
    st.integers(1, 24),
    st.lists(st.integers(1, 12), max_size=3),
    st.sampled_from(sorted(LAYOUTS)),
)
def test_any_groups(cpu, batch, groups, members, spatial, layout):
    shape = (batch, groups * members, *spatial)
    x, grad, *weights = arrays(shape, shape[1:2], "float64")
    placed = [lay_out(array, layout) for array in (x, grad)]
    got = group_passes(cpu.ops, *placed, *weights, groups)
    expected = group_passes(reference, x, grad, *weights, groups)
    for result, value in zip(got, expected, strict=True):
        # A group of few values may have a variance near 0.
        np.testing.assert_allclose(result, value, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_a_mean_far_from_zero_costs_no_digits(cpu, layout, dtype):
    x = lay_out((normal((3, 20, 9, 9), 3, dtype) + 1000).astype(dtype), layout)
    wide = x.astype(np.longdouble).reshape(3, 4, -1)
    expected = (1 / np.sqrt(wide.var(2))).astype(np.float64)
    eps = np.finfo(dtype).eps
    _, mean, invstd = cpu.ops.group_norm(x, 4, eps=0)
    assert relative_l2(mean, wide.mean(2).astype(np.float64)) < eps
    assert relative_l2(invstd, expected) < 2 * eps
    _, _, invstd = cpu.ops.layer_norm(np.ascontiguousarray(x).reshape(3, 4, -1), (405,), eps=0)
    assert relative_l2(invstd, expected) < 2 * eps


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize(("shape", "groups"), [((2, 16, 70, 71), 4), ((40, 16, 25, 26), 2)])
def test_the_same_bits_for_any_number_of_threads(restore_threads, shape, groups, layout):
    x, grad, *weights = arrays(shape, shape[1:2], "float32")
    placed = [lay_out(array, layout) for array in (x, grad)]
    rows = [np.ascontiguousarray(array).reshape(-1, shape[-1]) for array in (x, grad)]
    results = []
    for threads in (1, 2, 5):
        fc.set_num_threads(threads)
        results.append(
            group_passes(ops, *placed, *weights, groups) + layer_passes(ops, *rows, None, None, 1)
        )
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert_exact(b, a, np.float32)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_results_that_go_past_the_caches_are_the_same(cpu, layout):
    x, grad, *weights = arrays((2, 9, 500, 501), (9,), "float32")
    x, grad = lay_out(x, layout), lay_out(grad, layout)
    together = group_passes(cpu.ops, x, grad, *weights, 3)
    for i in range(2):
        alone = group_passes(cpu.ops, x[i : i + 1], grad[i : i + 1], *weights, 3)
        for a, b in zip(together[:4], alone[:4], strict=True):
            assert_exact(a[i : i + 1], b, np.float32)


def test_results_lie_as_the_input_does(cpu):
    x, grad, *weights = arrays((2, 6, 4, 3), (6,), "float32")
    last = lay_out(x, "channels_last")
    results = group_passes(cpu.ops, last, grad, *weights, 2)
    assert results[0].strides == results[3].strides == last.strides


def test_only_the_gradients_asked_for(cpu):
    x, grad, weight, bias = arrays((3, 4, 5, 5), (4,), "float32")
    for mask in ((True, False, False), (False, True, False), (False, False, True)):
        for layout in ("contiguous", "channels_last"):
            placed = [lay_out(array, layout) for array in (x, grad)]
            full = group_passes(cpu.ops, *placed, weight, bias, 2)
            some = cpu.ops.group_norm_backward(
                placed[1], placed[0], 2, weight, *full[1:3], output_mask=mask
            )
            for wanted, part, whole in zip(mask, some, full[3:], strict=True):
                assert (part is not None) == wanted
                if wanted:
                    assert_exact(part, whole, np.float32)
        rows = [array.reshape(-1, 5) for array in (x, grad)]
        full = layer_passes(cpu.ops, *rows, None, None, 1)
        some = cpu.ops.layer_norm_backward(
            rows[1], rows[0], (5,), None, *full[1:3], output_mask=mask
        )
        assert [part is not None for part in some] == list(mask)


def test_nan_stays_in_its_group(cpu):
    x = normal((2, 6, 4, 3), 0, "float32")
    x[1, 3, 2, 2] = np.nan
    for layout in ("contiguous", "channels_last"):
        y, _, _ = cpu.ops.group_norm(lay_out(x, layout), 3)
        assert np.isnan(y[1, 2:4]).all()
        assert np.isnan(y).sum() == 24


def test_gradients_by_finite_differences():
    def group(x, weight, bias):
        return F.group_norm(x, 2, weight, bias, 1e-3)

    def layer(x, weight, bias):
        return F.layer_norm(x, (3, 2), weight, bias, 1e-3)

    check_gradients(
        group, *[normal(s, i, "float64") for i, s in enumerate([(2, 4, 3), (4,), (4,)])]
    )
    shapes = [(3, 3, 2), (3, 2), (3, 2)]
    check_gradients(layer, *[normal(shape, i, "float64") for i, shape in enumerate(shapes)])


def test_layers():
    assert repr(nn.LayerNorm(5)) == "LayerNorm((5,), eps=1e-05, elementwise_affine=True)"
    assert repr(nn.GroupNorm(2, 6)) == "GroupNorm(2, 6, eps=1e-05, affine=True)"
    assert list(nn.LayerNorm((2, 3)).state_dict()) == ["weight", "bias"]
    assert list(nn.LayerNorm(4, bias=False).state_dict()) == ["weight"]
    assert list(nn.GroupNorm(2, 4, affine=False).state_dict()) == []
    assert list(nn.InstanceNorm2d(4).state_dict()) == []
    layer = nn.GroupNorm(2, 4)
    layer.weight.data[...] = 7
    layer.reset_parameters()
    assert_exact(layer.weight.data, np.ones(4), np.float32)


X = np.zeros((2, 6, 4, 4), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: ops.group_norm(X, 4),
            ValueError,
            "group_norm: num_groups=4 does not divide the 6 channels of input (2, 6, 4, 4)",
        ),
        (lambda: ops.group_norm(X, 0), ValueError, "num_groups must be at least 1, got 0"),
        (lambda: ops.group_norm(X, 2.0), TypeError, "group_norm: num_groups must be an integer"),
        (lambda: ops.group_norm(X, 2, eps=-1), ValueError, "group_norm: eps must be at least 0"),
        (
            lambda: ops.group_norm(X, 2, X[0, 0, 0]),
            ValueError,
            "group_norm: weight has shape (4,), expected (6,)",
        ),
        (
            lambda: ops.layer_norm(X, (4, 3)),
            ValueError,
            "layer_norm: normalized_shape (4, 3) is not the end of the input's shape (2, 6, 4, 4)",
        ),
        (lambda: ops.layer_norm(X, ()), ValueError, "layer_norm: normalized_shape ()"),
        (lambda: ops.layer_norm(X[0, 0, 0], (4, 4)), ValueError, "is not the end of the input's"),
        (
            lambda: ops.layer_norm(X, (4,), None, np.zeros(4)),
            TypeError,
            "layer_norm: bias",
        ),
        (
            lambda: ops.layer_norm_backward(X, X, (4,), None, X, X),
            ValueError,
            "layer_norm_backward: mean has shape (2, 6, 4, 4), expected (2, 6, 4)",
        ),
        (
            lambda: ops.group_norm_backward(X[:1], X, 2, None, X, X),
            ValueError,
            "group_norm_backward: grad has shape (1, 6, 4, 4), expected (2, 6, 4, 4)",
        ),
        (lambda: F.layer_norm(X, (4,)), TypeError, "layer_norm: input must be a Tensor"),
        (lambda: nn.LayerNorm(0), ValueError, "LayerNorm: normalized_shape must be at least 1"),
        (lambda: nn.GroupNorm(4, 6), ValueError, "GroupNorm: num_groups=4 does not divide"),
        (
            lambda: nn.InstanceNorm2d(3)(fc.tensor(X)),
            ValueError,
            "InstanceNorm2d: input has shape (2, 6, 4, 4), expected (N, 3, H, W)",
        ),
        (
            lambda: nn.InstanceNorm2d(3, track_running_stats=True),
            ValueError,
            "InstanceNorm2d: track_running_stats=True is not supported",
        ),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_layers_equal_pytorchs(layout, dtype):
    torch = pytest.importorskip("torch")
    pairs = (
        (nn.LayerNorm((5, 7), eps=1e-3), torch.nn.LayerNorm((5, 7), eps=1e-3)),
        (nn.GroupNorm(4, 12), torch.nn.GroupNorm(4, 12)),
        (nn.InstanceNorm2d(12, affine=True), torch.nn.InstanceNorm2d(12, affine=True)),
    )
    x, grad = (normal((3, 12, 5, 7), seed, dtype) for seed in (0, 1))
    for ours, theirs in pairs:
        ours, theirs = ours.to(dtype=dtype), theirs.to(getattr(torch, dtype))
        for i, parameter in enumerate(theirs.parameters()):
            parameter.data.copy_(torch.from_numpy(normal(tuple(parameter.shape), i + 2, dtype)))
        ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
        here = fc.tensor(lay_out(x, layout), requires_grad=True)
        there = torch.from_numpy(x.copy()).requires_grad_()
        y, expected = ours(here), theirs(there)
        y.backward(lay_out(grad, layout))
        expected.backward(torch.from_numpy(grad.copy()))
        results = [(y, expected), (here.grad, there.grad)]
        results += [(ours.weight.grad, theirs.weight.grad), (ours.bias.grad, theirs.bias.grad)]
        for mine, other in results:
            assert_matches(mine.data, other.detach().numpy().astype(np.float64), dtype, 400)
