"""Batch normalisation: kernels, tape, layers, and what Sequential makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from gradcheck import check_gradients
from hypothesis import given
from hypothesis import strategies as st

import fastconv as fc
from fastconv import nn, ops, reference
from fastconv.nn import functional as F
from fastconv.testing import LAYOUTS, assert_exact, assert_matches, lay_out, normal, relative_l2

# Rows that hold several pixels, tails of vectors and rows, planes of part of a vector, one channel,
# channels that no core's cache holds in arrays that go past all caches, nothing at all.
SHAPES = (
    (5, 3), (64, 10), (7, 300), (3, 5, 4), (2, 1, 9), (4, 6, 9, 7), (2, 70, 5, 5),
    (33, 16, 14, 14), (2, 3, 40, 50), (3, 17, 3, 3), (1, 1, 300, 301), (73, 16, 60, 61),
    (2, 3, 4, 5, 6), (0, 3, 4, 4), (2, 3, 0),
)  # fmt: skip


def arrays(shape, dtype, seed=0, offset=0.5):
    """x, its gradient, weight, bias and running statistics."""
    channels = shape[1:2]
    return (
        normal(shape, seed, dtype) + np.dtype(dtype).type(offset),
        normal(shape, seed + 1, dtype),
        normal(channels, seed + 2, dtype),
        normal(channels, seed + 3, dtype),
        normal(channels, seed + 4, dtype),
        np.abs(normal(channels, seed + 5, dtype)) + np.dtype(dtype).type(0.5),
    )


def both_passes(module, x, grad, weight, bias, mean, var, training, activation):
    """y, dx, dw, db and the running statistics afterwards."""
    mean, var = mean.copy(), var.copy()
    y, *kept = module.batch_norm(x, mean, var, weight, bias, training, activation=activation)
    gradients = module.batch_norm_backward(
        grad, x, weight, bias, *kept, training, activation=activation
    )
    return (y, *gradients, mean, var, *kept)


def in_float64(values):
    return [None if value is None else np.asarray(value, np.float64) for value in values]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_definition(cpu, shape, training, dtype):
    x, grad, *rest = arrays(shape, dtype)
    terms = max(1, x.size // shape[1])
    for layout in LAYOUTS if x.size < 10_000 else ("contiguous", "channels_last"):
        for activation in (None, "relu"):
            placed = [lay_out(array, layout) for array in (x, grad)]
            got = both_passes(cpu.ops, *placed, *rest, training, activation)
            wide = in_float64([x, grad, *rest])
            expected = both_passes(reference, *wide, training, activation)
            for result, value in zip(got, expected, strict=True):
                assert_matches(result, value, dtype, terms, f"{shape} {layout} {activation}")


@pytest.mark.parametrize("shape", [(4, 8, 4, 4), (16, 5), (2, 64, 8, 8), (8, 3, 16)], ids=str)
def test_exact_where_every_number_is_a_power_of_two(backend, shape):
    """Half of a channel 1 and half 3: mean 2, variance 1, and powers of two everywhere else."""
    count = np.prod(shape) // shape[1]
    values = np.resize(np.array([1.0, 3.0], np.float32), count)
    channel = np.random.default_rng(0).permuted(np.tile(values, (shape[1], 1)), axis=1)
    x = np.moveaxis(channel.reshape(shape[1], shape[0], *shape[2:]), 0, 1).copy()
    weight, bias = np.full(shape[1], 4, np.float32), np.full(shape[1], -8, np.float32)
    for layout in ("contiguous", "channels_last"):
        placed = lay_out(x, layout)
        y, mean, invstd = backend.ops.batch_norm(placed, None, None, weight, bias, True, eps=0)
        assert_exact(y, (x - 2) * 4 - 8, np.float32)
        assert_exact(mean, np.full(shape[1], 2), np.float32)
        assert_exact(invstd, np.ones(shape[1]), np.float32)
        dx, dw, db = backend.ops.batch_norm_backward(
            placed, placed, weight, bias, mean, invstd, True
        )
        assert_exact(dx, np.zeros(shape), np.float32)  # along the mean and the deviation: no slope
        assert_exact(dw, np.full(shape[1], count), np.float32)
        assert_exact(db, np.full(shape[1], 2 * count), np.float32)


@given(
    st.integers(1, 6),
    st.integers(1, 130),
    st.lists(st.integers(1, 12), max_size=3),
    st.booleans(),
    st.sampled_from([None, "relu"]),
    st.sampled_from(sorted(LAYOUTS)),
)
def test_any_shape(cpu, batch, channels, spatial, training, activation, layout):
    shape = (batch + 1, channels, *spatial)
    x, grad, *rest = arrays(shape, "float64", seed=9)
    placed = [lay_out(array, layout) for array in (x, grad)]
    got = both_passes(cpu.ops, *placed, *rest, training, activation)
    expected = both_passes(reference, x, grad, *rest, training, activation)
    for result, value in zip(got, expected, strict=True):
        # A channel of few values may have a variance near 0.
        np.testing.assert_allclose(result, value, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_a_mean_far_from_zero_costs_no_digits(cpu, layout, dtype):
    """Mean a thousand deviations away: the variance is that of the numbers as they are held."""
    x = lay_out((normal((16, 20, 9, 9), 3, dtype) + 1000).astype(dtype), layout)
    y, mean, invstd = cpu.ops.batch_norm(x, None, None, training=True, eps=0)
    wide = x.astype(np.longdouble)
    expected_mean, expected_var = wide.mean((0, 2, 3)), wide.var((0, 2, 3))
    eps = np.finfo(dtype).eps
    assert relative_l2(mean, expected_mean.astype(np.float64)) < eps
    assert relative_l2(invstd, (1 / np.sqrt(expected_var)).astype(np.float64)) < 2 * eps
    expected = (wide - expected_mean[:, None, None]) / np.sqrt(expected_var)[:, None, None]
    assert relative_l2(y, expected.astype(np.float64)) < 1500 * eps


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("shape", [(9, 40, 21, 21), (2, 16, 200, 200), (300, 70)], ids=str)
def test_the_same_bits_for_any_number_of_threads(restore_threads, shape, layout):
    x, grad, *rest = arrays(shape, "float32")
    placed = [lay_out(array, layout) for array in (x, grad)]
    results = []
    for threads in (1, 2, 5):
        fc.set_num_threads(threads)
        results.append(both_passes(ops, *placed, *rest, True, "relu"))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert_exact(b, a, np.float32)


def test_results_lie_as_the_input_does(cpu):
    x, grad, *_ = arrays((2, 5, 4, 3), "float32")
    last = lay_out(x, "channels_last")
    y, mean, invstd = cpu.ops.batch_norm(last, None, None, training=True)
    assert y.strides == last.strides
    dx, _, _ = cpu.ops.batch_norm_backward(grad, last, None, None, mean, invstd, True)
    assert dx.strides == last.strides


def test_only_the_gradients_asked_for(cpu):
    x, grad, weight, bias, mean, var = arrays((3, 4, 5, 5), "float32")
    for training in (True, False):
        _, *kept = cpu.ops.batch_norm(x, mean.copy(), var.copy(), weight, bias, training)
        arguments = (grad, x, weight, bias, *kept, training)
        everything = cpu.ops.batch_norm_backward(*arguments)
        for i in range(3):
            mask = tuple(j == i for j in range(3))
            some = cpu.ops.batch_norm_backward(*arguments, output_mask=mask)
            assert [value is not None for value in some] == list(mask)
            assert_exact(some[i], everything[i], np.float32)


def test_not_finite_numbers_stay_in_their_channel(cpu):
    x, grad, weight, bias, mean, var = arrays((3, 20, 5, 5), "float32")
    x[1, 3, 2, 2], x[0, 7, 1, 1] = np.inf, np.nan
    y, *kept = cpu.ops.batch_norm(x, None, None, weight, bias, True)
    assert [c for c in range(20) if not np.isfinite(y[:, c]).all()] == [3, 7]
    # Given statistics have no gradient: what x is does not matter to it.
    _, *kept = cpu.ops.batch_norm(x, mean, var, weight, bias, activation="relu")
    dx, _, _ = cpu.ops.batch_norm_backward(grad, x, weight, bias, *kept, False, activation="relu")
    assert np.isfinite(dx).all()


def test_an_empty_batch_changes_nothing():
    layer = nn.BatchNorm2d(3)
    x = fc.tensor(np.empty((0, 3, 4, 4), np.float32), requires_grad=True)
    layer(x).backward(np.empty(x.shape, np.float32))
    assert x.grad.shape == x.shape
    assert_exact(layer.weight.grad.data, np.zeros(3), np.float32)
    assert_exact(layer.running_mean.data, np.zeros(3), np.float32)
    assert_exact(layer.running_var.data, np.ones(3), np.float32)


X = np.zeros((2, 3, 4, 4), np.float32)
C = np.ones(3, np.float32)
BAD = [
    (
        lambda: ops.batch_norm(X[0, 0, 0], None, None, training=True),
        "input has shape (4,), expected",
    ),
    (
        lambda: ops.batch_norm(X, C, np.ones(4, np.float32)),
        "batch_norm: running_var has shape (4,), expected (3,)",
    ),
    (lambda: ops.batch_norm(X, C, C, C[:2]), "batch_norm: weight has shape (2,), expected (3,)"),
    (lambda: ops.batch_norm(X, None, None), "evaluation needs running_mean and running_var"),
    (lambda: ops.batch_norm(X, C, None), "must be given together"),
    (lambda: ops.batch_norm(X, C, C, training=True), "running_mean overlaps running_var"),
    (lambda: ops.batch_norm(X, C, C, eps=-1), "eps must be at least 0"),
    (lambda: ops.batch_norm(X, C, C, activation="tanh"), 'activation must be None or "relu"'),
    (
        lambda: ops.batch_norm(X[:1, :, :1, :1], None, None, training=True),
        "batch_norm: input (1, 3, 1, 1) has one value a channel",
    ),
    (
        lambda: ops.batch_norm_backward(X[:1], X, C, C, C, C, True),
        "batch_norm_backward: grad has shape (1, 3, 4, 4), expected (2, 3, 4, 4)",
    ),
    (
        lambda: nn.BatchNorm2d(3)(fc.tensor(C)),
        "BatchNorm2d: input has shape (3,), expected (N, C, H, W)",
    ),
]


@pytest.mark.parametrize(("call", "text"), BAD)
def test_what_does_not_fit_is_named(call, text):
    with pytest.raises(ValueError) as error:
        call()
    assert text in str(error.value)


def test_other_dtypes_are_refused():
    with pytest.raises(TypeError, match="batch_norm: weight is float64 but x is float32"):
        ops.batch_norm(X, C, C, C.astype(np.float64))


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(3, 2, 3, 2), (5, 4)], ids=str)
def test_tape(shape, training, activation):
    x, _, weight, bias, mean, var = arrays(shape, "float64", seed=5)

    def function(x, weight, bias):
        running = (fc.tensor(mean.copy()), fc.tensor(var.copy()))
        return F.batch_norm(x, *running, weight, bias, training, activation=activation)

    check_gradients(function, x, weight, bias)


def test_layer_keeps_statistics_and_state():
    layer = nn.BatchNorm1d(4)
    keys = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert list(layer.state_dict()) == keys
    assert [name for name, _ in layer.named_parameters()] == keys[:2]
    x = normal((6, 4), 1)
    for _ in range(2):
        layer(fc.tensor(x))
    assert int(layer.num_batches_tracked.data) == 2
    assert_matches(layer.running_mean.data, 0.19 * x.mean(0, np.float64), np.float32, 6)
    other = nn.BatchNorm1d(4)
    other.load_state_dict(layer.state_dict())
    layer.eval()
    other.eval()
    assert_exact(other(fc.tensor(x)).data, layer(fc.tensor(x)).data, np.float32)
    assert int(layer.num_batches_tracked.data) == 2
    layer.reset_parameters()
    assert int(layer.num_batches_tracked.data) == 0


def test_without_momentum_all_batches_weigh_the_same():
    layer = nn.BatchNorm1d(3, momentum=None)
    batches = [normal((5, 3), seed, "float32") for seed in range(4)]
    for batch in batches:
        layer(fc.tensor(batch))
    expected = np.mean([batch.mean(0, np.float64) for batch in batches], 0)
    assert_matches(layer.running_mean.data, expected, np.float32, 20)


def test_without_running_statistics_the_batch_counts_always():
    layer = nn.BatchNorm2d(3, affine=False, track_running_stats=False)
    assert layer.state_dict() == {}
    x = fc.tensor(normal((2, 3, 4, 4), 1))
    trained = layer(x).data
    assert_exact(layer.eval()(x).data, trained, np.float32)


def test_layer_in_float64():
    layer = nn.BatchNorm2d(3).double()
    assert layer.running_mean.dtype == np.float64
    assert layer.num_batches_tracked.dtype == np.int64
    assert layer(fc.tensor(normal((2, 3, 4, 4), 1, "float64"))).dtype == np.float64


def trained_stack(bias=True, kernel=3, channels=6):
    """Conv2d, BatchNorm2d with statistics of its own, ReLU, MaxPool2d."""
    conv, norm = nn.Conv2d(4, channels, kernel, padding=1, bias=bias), nn.BatchNorm2d(channels)
    for tensor, seed in ((norm.weight, 1), (norm.bias, 2), (norm.running_mean, 3)):
        tensor.data[...] = normal((channels,), seed)
    norm.running_var.data[...] = np.abs(normal((channels,), 4)) + 0.5
    return nn.Sequential(conv, norm, nn.ReLU(), nn.MaxPool2d(2))


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("length", [2, 3, 4])
def test_sequential_folds_in_evaluation(length, bias, layout):
    model = trained_stack(bias).eval()[:length]
    x = fc.tensor(lay_out(normal((2, 4, 9, 9), 7), layout))
    expected = x
    for layer in model:
        expected = layer(expected)
    with fc.no_grad():
        assert_matches(model(x).data, expected.data, np.float32, 40)
        # What was folded does not outlive a change, even one behind the tape's back.
        model[1].weight.data[...] *= 2
        model[0].weight.data[...] *= -1
        changed = x
        for layer in model:
            changed = layer(changed)
        assert_matches(model(x).data, changed.data, np.float32, 40)


def test_sequential_folds_only_what_it_may():
    model = trained_stack()
    x = fc.tensor(normal((2, 4, 9, 9), 7))
    with fc.no_grad():
        model(x)  # in training the statistics of the batch count
    assert int(model[1].num_batches_tracked.data) == 1
    model.eval()
    model(x).sum().backward()  # recorded: every layer by itself
    assert model[1].weight.grad is not None
    assert model[0].weight.grad is not None


@pytest.mark.parametrize("training", [True, False])
def test_sequential_computes_relu_with_it(training):
    """The same bits, forward and backward, as one layer after the other."""
    norm = nn.BatchNorm2d(5)
    norm.bias.data[...] = normal((5,), 2)
    norm.train(training)
    values, grad = normal((3, 5, 4, 4), 1), normal((3, 5, 4, 4), 8)
    found = []
    for model in (nn.Sequential(norm, nn.ReLU()), lambda x: nn.ReLU()(norm(x))):
        norm.reset_running_stats()
        norm.zero_grad()
        x = fc.tensor(values, requires_grad=True)
        y = model(x)
        y.backward(grad)
        tensors = (y, x.grad, norm.weight.grad, norm.bias.grad, norm.running_mean)
        found.append([np.array(t.data) for t in tensors])
    for together, apart in zip(*found, strict=True):
        assert_exact(together, apart, np.float32)


def test_a_change_of_what_was_kept_is_an_error():
    norm = nn.BatchNorm2d(3)
    x = fc.tensor(normal((2, 3, 4, 4), 1), requires_grad=True)
    y = norm(x)
    norm.reset_parameters()
    with pytest.raises(RuntimeError, match="batch_norm: its weight of shape"):
        y.sum().backward()


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("affine", [True, False])
def test_parity_with_pytorch(affine, momentum, layout):
    torch = pytest.importorskip("torch")
    kinds = {2: "BatchNorm1d", 3: "BatchNorm1d", 4: "BatchNorm2d", 5: "BatchNorm3d"}
    for shape in ((6, 5), (4, 5, 7), (3, 5, 6, 4), (2, 5, 3, 4, 2)):
        name = kinds[len(shape)]
        ours = getattr(nn, name)(5, 1e-3, momentum, affine)
        theirs = getattr(torch.nn, name)(5, 1e-3, momentum, affine)
        for step in range(3):
            if step == 2:
                ours.eval()
                theirs.eval()
            values, grad = normal(shape, step) * 3 + 1, normal(shape, step + 5)
            x = fc.tensor(lay_out(values, layout), requires_grad=True)
            t = torch.from_numpy(values.copy()).requires_grad_()
            y, ty = ours(x), theirs(t)
            y.backward(grad)
            ty.backward(torch.from_numpy(grad))
            assert_matches(y.data, ty.detach().double().numpy(), np.float32, 60)
            assert_matches(x.grad.data, t.grad.double().numpy(), np.float32, 60)
        for key, value in theirs.state_dict().items():
            got = ours.state_dict()[key]
            assert got.shape == tuple(value.shape)
            np.testing.assert_allclose(got, value.numpy(), rtol=1e-5, atol=1e-6)
        if affine:
            gradients = theirs.weight.grad, theirs.bias.grad
            for parameter, expected in zip(ours.parameters(), gradients, strict=True):
                assert_matches(parameter.grad.data, expected.double().numpy(), np.float32, 200)
