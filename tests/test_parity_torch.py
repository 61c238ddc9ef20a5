"""The same numbers as PyTorch, and no larger errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fastconv import ops, reference
from fastconv.testing import (
    assert_exact,
    assert_matches,
    descriptor_set,
    exact_integers,
    lay_out,
    normal,
    parse_descriptor,
    relative_l2,
    tolerance,
    with_batch,
)

torch = pytest.importorskip("torch")
F = torch.nn.functional

NETWORKS = ("lenet", "convnetjs", "alexnet", "vgg16", "resnet18", "resnet50", "mobilenet")


def tensor(array, requires_grad=False):
    return torch.from_numpy(np.array(array)).requires_grad_(requires_grad)


def conv_in_torch(p, x, weight, bias, grad):
    """y, dx, dw, db of PyTorch; asymmetric padding by padding first."""
    x, weight, bias = (tensor(array, True) for array in (x, weight, bias))
    (top, bottom), (left, right) = p.padding
    padded = F.pad(x, (left, right, top, bottom)) if (top, left) != (bottom, right) else x
    padding = 0 if padded is not x else (top, left)
    y = F.conv2d(padded, weight, bias, p.stride, padding, p.dilation, p.groups)
    y.backward(tensor(grad))
    return [t.detach().numpy() for t in (y, x.grad, weight.grad, bias.grad)]


def conv_here(p, x, weight, bias, grad, algorithm="auto"):
    return [
        ops.conv_forward(p, x, weight, bias, algorithm=algorithm),
        ops.conv_backward_input(p, grad, weight, algorithm=algorithm),
        *ops.conv_backward_weight(p, grad, x, algorithm=algorithm),
    ]


def conv_arrays(p, dtype):
    shapes = (p.input_shape, p.weight_shape, p.weight_shape[:1], p.output_shape)
    return [normal(shape, seed, dtype) for seed, shape in enumerate(shapes)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("descriptor", descriptor_set("corner", "lenet", "convnetjs"))
def test_convolution(descriptor, layout, dtype):
    p = parse_descriptor(with_batch(descriptor, 3))
    arrays = conv_arrays(p, dtype)
    expected = conv_in_torch(p, *arrays)
    x, weight, bias, grad = arrays
    results = conv_here(p, lay_out(x, layout), weight, bias, lay_out(grad, layout))
    terms = 4 * max(weight[0].size, weight[:, 0].size, grad[:, 0].size)
    for got, want in zip(results, expected, strict=True):
        assert_matches(got, want, dtype, terms, descriptor)


def accuracy_problems():
    for descriptor in descriptor_set(*NETWORKS):
        small = with_batch(descriptor, 1)
        if parse_descriptor(small).flops < 2.5e8:
            yield small


@pytest.mark.parametrize("descriptor", dict.fromkeys(accuracy_problems()))
def test_error_against_float64_is_at_most_half_more_than_pytorchs(descriptor):
    p = parse_descriptor(descriptor)
    x, weight, bias, grad = conv_arrays(p, "float32")
    wide = [array.astype(float) for array in (x, weight, bias, grad)]
    exact = [
        reference.conv_forward(p, *wide[:3]),
        reference.conv_backward_input(p, wide[3], wide[1]),
        *reference.conv_backward_weight(p, wide[3], wide[0]),
    ]
    theirs = conv_in_torch(p, x, weight, bias, grad)
    floor = np.finfo(np.float32).eps / 4  # a sum of one term: nobody rounds
    for layout in ("contiguous", "channels_last"):
        ours = conv_here(p, lay_out(x, layout), weight, bias, lay_out(grad, layout), "direct")
        for name, a, b, e in zip(("y", "dx", "dw", "db"), ours, theirs, exact, strict=True):
            error, bound = relative_l2(a, e), max(1.5 * relative_l2(b, e), floor)
            assert error <= bound, f"{name} {layout}: {error:.3g} > {bound:.3g}"


@pytest.mark.parametrize("descriptor", ["n64c6h14k16r5", "n16c3h64k64r5p2", "n16c3h64k32r7sh2p3"])
def test_error_behind_max_pooling_is_at_most_half_more_than_pytorchs(descriptor):
    """Of the gradients that the cells chosen by 2x2 windows give, a third of them 0."""
    p = parse_descriptor(descriptor)
    x, weight, _, y = conv_arrays(p, "float32")
    indices = ops.max_pool2d(y, 2)[1]
    grad = np.maximum(normal(indices.shape, 4, "float32"), -0.4) + np.float32(0.4)
    spread = ops.max_pool2d_backward(grad, indices, y.shape)
    theirs, exact = (
        torch.ops.aten.convolution_backward(
            *(torch.from_numpy(a.astype(dtype)) for a in (spread, x, weight)),
            weight.shape[:1], p.stride, [side[0] for side in p.padding], p.dilation,
            False, [0, 0], 1, [True] * 3,
        )
        for dtype in ("float32", "float64")
    )  # fmt: skip
    ours = ops.conv_max_pool_backward(
        p, grad, indices, x, weight, (2, None, 0, 1, False), algorithm="direct"
    )
    for a, b, e in zip(ours, theirs, exact, strict=True):
        assert relative_l2(a, e.numpy()) <= 1.5 * relative_l2(b.numpy(), e.numpy())


@pytest.mark.parametrize("rows, features, outputs", [(1, 4096, 100), (64, 400, 120), (9, 9216, 64)])
def test_linear_error_is_at_most_half_more_than_pytorchs(rows, features, outputs):
    x, weight = normal((rows, features), 1), normal((outputs, features), 2)
    grad = normal((rows, outputs), 3)
    tx, tw = tensor(x, True), tensor(weight, True)
    ty = F.linear(tx, tw)
    ty.backward(tensor(grad))
    wide = [array.astype(float) for array in (grad, x, weight)]
    exact = [wide[1] @ wide[2].T, *reference.linear_backward(*wide)[:2]]
    ours = [ops.linear(x, weight), *ops.linear_backward(grad, x, weight)[:2]]
    theirs = [t.detach().numpy() for t in (ty, tx.grad, tw.grad)]
    floor = np.finfo(np.float32).eps / 4
    for name, a, b, e in zip(("y", "dx", "dw"), ours, theirs, exact, strict=True):
        error, bound = relative_l2(a, e), max(1.5 * relative_l2(b, e), floor)
        assert error <= bound, f"{name}: {error:.3g} > {bound:.3g}"


def special_values(dtype):
    """Ties, NaN, infinities and planes of -inf."""
    x = exact_integers((3, 5, 9, 8), 3, dtype, -2, 2)
    x[0, 0, 2, 2] = x[0, 0, 2, 3] = x[0, 1, 8, 7] = x[0, 1, 0, 0] = np.nan
    x[1, :2] = -np.inf
    x[1, 2, 4:6] = np.inf
    x[2, 0] = 1
    return x


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_max_pool_with_indices(layout, dtype, ceil_mode):
    x = special_values(dtype)
    tested = 0
    for kernel, stride, padding, dilation in itertools.product(
        (2, 3, (3, 2)), (1, 2, 3), (0, 1), (1, 2)
    ):
        tx = tensor(x, True)
        ty, ti = F.max_pool2d(tx, kernel, stride, padding, dilation, ceil_mode, return_indices=True)
        y, indices = ops.max_pool2d(
            lay_out(x, layout), kernel, stride, padding, dilation, ceil_mode
        )
        case = f"kernel {kernel} stride {stride} padding {padding} dilation {dilation}"
        assert_exact(y, ty.detach().numpy(), dtype, case)
        assert_exact(indices, ti.numpy(), np.int64, case)
        grad = exact_integers(y.shape, 4, dtype)
        ty.backward(tensor(grad))
        dx = ops.max_pool2d_backward(lay_out(grad, layout), indices, x.shape)
        assert_exact(dx, tx.grad.numpy(), dtype, case)
        tested += 1
    assert tested == 36


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_activations(name, dtype):
    x, grad = 4 * normal((1000,), 1, dtype), normal((1000,), 2, dtype)
    x[:6] = [np.nan, np.inf, -np.inf, 0, -0.0, 100]
    tx = tensor(x, True)
    ty = getattr(torch, name)(tx)
    ty.backward(tensor(grad))
    y = getattr(ops, name)(x)
    assert_matches(y, ty.detach().numpy(), dtype)
    dx = getattr(ops, f"{name}_backward")(grad, y)
    assert_matches(dx, tx.grad.numpy(), dtype, terms=16)


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name, dim):
    x, grad = 5 * normal((6, 17, 5), 1), normal((6, 17, 5), 2)
    tx = tensor(x, True)
    ty = getattr(F, name)(tx, dim)
    ty.backward(tensor(grad))
    y = getattr(ops, name)(x, dim)
    assert_matches(y, ty.detach().numpy(), np.float32, terms=17)
    dx = getattr(ops, f"{name}_backward")(grad, y, dim)
    assert_matches(dx, tx.grad.numpy(), np.float32, terms=64)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("rows", [0, 1, 64])
def test_cross_entropy(rows, reduction):
    logits, target = 5 * normal((rows, 10), 1), np.arange(rows) % 10
    tx = tensor(logits, True)
    loss = F.cross_entropy(tx, tensor(target), reduction=reduction)
    grad = torch.ones_like(loss)
    loss.backward(grad)
    ours = ops.cross_entropy(logits, target, reduction=reduction)
    lost = 4 * np.finfo(np.float32).eps * np.abs(logits).max(initial=0)
    np.testing.assert_allclose(ours, loss.detach().numpy(), rtol=2e-6, atol=lost * max(rows, 1))
    gradient = ops.cross_entropy_backward(grad.numpy(), logits, target, reduction=reduction)
    assert_matches(gradient, tx.grad.numpy(), np.float32, terms=16)


def steps_in_torch(optimizer, start, gradients):
    parameter = tensor(start, True)
    chosen = optimizer([parameter])
    for gradient in gradients:
        parameter.grad = tensor(gradient)
        chosen.step()
    return parameter.detach().numpy()


SGD = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.2, "weight_decay": 0.05},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.05},
]


@pytest.mark.parametrize("settings", SGD)
def test_sgd(settings):
    start, gradients = normal((1033,), 1), [normal((1033,), 2 + i) for i in range(5)]
    expected = steps_in_torch(lambda p: torch.optim.SGD(p, lr=0.1, **settings), start, gradients)
    parameter, buffer = start.copy(), np.zeros_like(start)
    for i, gradient in enumerate(gradients):
        ops.sgd_update([parameter], [gradient], [buffer], lr=0.1, first_step=i == 0, **settings)
    assert_matches(parameter, expected, np.float32, terms=64)


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize("decoupled", [False, True])
def test_adam(decoupled, weight_decay):
    start, gradients = normal((1033,), 1), [normal((1033,), 2 + i) for i in range(5)]
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    settings = {"lr": 0.01, "weight_decay": weight_decay}
    expected = steps_in_torch(lambda p: kind(p, **settings), start, gradients)
    parameter, mean, square = start.copy(), np.zeros_like(start), np.zeros_like(start)
    for i, gradient in enumerate(gradients, 1):
        ops.adam_update(
            [parameter], [gradient], [mean], [square], step=i, decoupled=decoupled, **settings
        )
    assert_matches(parameter, expected, np.float32, terms=64)


def test_the_reference_has_one_and_three_dimensions_too():
    for dims, convolve in ((1, F.conv1d), (3, F.conv3d)):
        x, weight = (
            normal((2, 4, *(9, 8, 7)[:dims]), 1, float),
            normal((6, 2, *(3, 2, 1)[:dims]), 2, float),
        )
        problem = reference.conv_problem(x.shape, weight.shape, 2, 1, 1, 2)
        tx, tw = tensor(x, True), tensor(weight, True)
        ty = convolve(tx, tw, None, 2, 1, 1, 2)
        grad = normal(tuple(ty.shape), 3, float)
        ty.backward(tensor(grad))
        terms = 4 * grad[:, 0].size
        pairs = [
            (reference.conv_forward(problem, x, weight), ty.detach()),
            (reference.conv_backward_input(problem, grad, weight), tx.grad),
            (reference.conv_backward_weight(problem, grad, x)[0], tw.grad),
        ]
        for got, want in pairs:
            assert relative_l2(got, want.numpy()) <= tolerance(float, terms)


def test_arrays_of_pytorch_are_taken_through_dlpack():
    x, weight = torch.ones(2, 3, 8, 8), torch.ones(4, 3, 3, 3)
    y = ops.conv2d(x, weight, padding=1)
    assert isinstance(y, np.ndarray)
    np.testing.assert_array_equal(y, F.conv2d(x, weight, padding=1).numpy())
