"""The same numbers as PyTorch in one and three dimensions and for transposed convolutions."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.nn import functional as F
from fastconv.testing import assert_matches, lay_out, normal

torch = pytest.importorskip("torch")

# operation, input, weight, arguments after the bias
CONVOLUTIONS = [
    ("conv1d", (2, 6, 23), (8, 3, 5), (2, 3, 2, 2)),
    ("conv1d", (3, 4, 17), (6, 4, 4), (1, "same", 3, 1)),
    ("conv1d", (2, 8, 31), (8, 1, 3), (3, 1, 1, 8)),
    ("conv3d", (2, 4, 5, 7, 6), (6, 4, 3, 3, 3), (1, 1, 1, 1)),
    ("conv3d", (2, 6, 7, 9, 8), (8, 3, 3, 2, 3), ((2, 1, 2), (1, 0, 2), (1, 2, 1), 2)),
    ("conv3d", (1, 3, 5, 11, 10), (4, 3, 3, 7, 7), ((1, 2, 2), (1, 3, 3), 1, 1)),
    ("conv3d", (2, 4, 6, 5, 5), (4, 1, 3, 3, 3), (2, 1, 1, 4)),
    ("conv3d", (2, 3, 4, 5, 6), (5, 3, 2, 4, 3), (1, "same", 1, 1)),
]
TRANSPOSED = [
    (f"conv_transpose{dims}d", (2, 4, *sizes[:dims]), (4, 6 // groups, *kernel[:dims]), window)
    for dims, sizes, kernel, groups in (
        (1, (9,), (4,), 1),
        (2, (5, 6), (3, 4), 2),
        (3, (3, 5, 4), (3, 2, 3), 1),
    )
    for window in (
        (1, 0, 0, groups, 1),
        (2, 1, 1, groups, 1),
        (3, 2, 1, groups, 2),
        (1, 1, 1, groups, 2),
    )
]


def in_torch(operation, arrays, window, grad=None):
    tensors = [torch.from_numpy(np.array(a)).requires_grad_() for a in arrays]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same'")
        y = getattr(torch.nn.functional, operation)(*tensors, *window)
    grad = normal(tuple(y.shape), 9, arrays[0].dtype) if grad is None else grad
    y.backward(torch.from_numpy(grad))
    return grad, [y.detach().numpy(), *(t.grad.numpy() for t in tensors)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("operation, x, weight, window", CONVOLUTIONS + TRANSPOSED)
def test_forward_and_gradients(operation, x, weight, window, layout, dtype):
    outputs = weight[1] * window[3] if "transpose" in operation else weight[0]
    arrays = [normal(shape, i, dtype) for i, shape in enumerate((x, weight, (outputs,)))]
    grad, expected = in_torch(operation, arrays, window)
    tensors = [fc.tensor(a, requires_grad=True) for a in (lay_out(arrays[0], layout), *arrays[1:])]
    y = getattr(F, operation)(*tensors, *window)
    y.backward(lay_out(grad, layout))
    terms = 4 * max(int(np.prod(weight)), grad.size)
    for got, want in zip((y, *(t.grad for t in tensors)), expected, strict=True):
        assert_matches(got.data, want, dtype, terms)


@pytest.mark.parametrize(
    "name, arguments, shape",
    [
        ("Conv1d", (4, 6, 3, 2, 1), (2, 4, 9)),
        ("Conv3d", (4, 6, (1, 3, 2), 1, (0, 1, 1), 1, 2), (2, 4, 3, 5, 6)),
        ("ConvTranspose1d", (4, 6, 3, 2, 1, 1), (2, 4, 9)),
        ("ConvTranspose2d", (4, 6, (3, 2), 2, 0, (1, 0), 2), (2, 4, 5, 6)),
        ("ConvTranspose3d", (4, 6, 2, 2, 0, 0, 1, False), (2, 4, 3, 4, 5)),
    ],
)
def test_layers_take_pytorchs_arguments_and_state(name, arguments, shape):
    ours, theirs = getattr(nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    x = normal(shape, 1)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)).numpy()
    assert_matches(ours(fc.tensor(x)).data, expected, np.float32, 300)


def test_output_padding_rules():
    """Both refuse the same output paddings."""
    x, weight = normal((1, 2, 5), 1), normal((2, 3, 3), 2)
    for stride, dilation, more in itertools.product((1, 2, 3), (1, 2, 3), range(4)):
        window = (stride, 0, more, 1, dilation)
        try:
            expected = torch.nn.functional.conv_transpose1d(
                *map(torch.from_numpy, (x, weight)), None, *window
            )
        except RuntimeError:
            with pytest.raises(ValueError, match="output_padding"):
                fc.ops.conv_transpose1d(x, weight, None, *window)
            continue
        assert_matches(
            fc.ops.conv_transpose1d(x, weight, None, *window), expected.numpy(), np.float32, 6
        )
