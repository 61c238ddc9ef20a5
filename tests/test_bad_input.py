"""Results the caller provides, memory there is not, and arguments no one would think of."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn, ops, optim

f32 = np.float32


def zeros(*shape, dtype=f32):
    return np.zeros(shape, dtype)


X, W = zeros(2, 3, 8, 8), zeros(4, 3, 3, 3)
Y = zeros(2, 4, 6, 6)

OUT = [
    (zeros(2, 4, 6, 5), "conv2d: out has shape (2, 4, 6, 5), expected (2, 4, 6, 6)"),
    (zeros(2, 4, 6, 12)[..., ::2], "conv2d: out must be dense, contiguous or channels-last"),
    (zeros(2, 4, 6, 6)[..., ::-1], "conv2d: out must be dense, contiguous or channels-last"),
    (np.broadcast_to(f32(0), (2, 4, 6, 6)), "conv2d: out is read-only"),
]


@pytest.mark.parametrize("out, text", OUT, ids=lambda case: getattr(case, "strides", None))
def test_out(out, text):
    with pytest.raises(ValueError) as raised:
        ops.conv2d(X, W, out=out)
    assert text in str(raised.value)


def test_out_must_lie_as_memory_format_says():
    with pytest.raises(ValueError, match="conv2d: out does not lie as memory_format says"):
        ops.conv2d(X, W, out=zeros(2, 4, 6, 6), memory_format="channels_last")


@pytest.mark.parametrize("shift", [0, 1, 100])
def test_out_may_not_overlap_an_input(shift):
    buffer = np.ones(2000, f32)
    x = buffer[:384].reshape(2, 3, 8, 8)
    out = buffer[shift : shift + 288].reshape(2, 4, 6, 6)
    before = buffer.copy()
    with pytest.raises(ValueError, match="conv2d: out overlaps x in memory"):
        ops.conv2d(x, W, out=out)
    weight = buffer[shift : shift + 108].reshape(4, 3, 3, 3)
    with pytest.raises(ValueError, match="conv2d: out overlaps weight in memory"):
        ops.conv2d(X, weight, out=buffer[:288].reshape(2, 4, 6, 6))
    with pytest.raises(ValueError, match="conv2d_backward_input: out overlaps grad in memory"):
        ops.conv2d_backward_input(buffer[shift : shift + 288].reshape(Y.shape), W, X.shape, out=x)
    np.testing.assert_array_equal(buffer, before)


def test_out_beside_an_input_is_taken():
    buffer = np.ones(2000, f32)
    out = buffer[384 : 384 + 288].reshape(2, 4, 6, 6)
    assert ops.conv2d(buffer[:384].reshape(2, 3, 8, 8), W + 1, out=out) is out
    assert (out == 27).all()


def test_memory_that_there_is_not():
    grad = np.broadcast_to(f32(0), (1, 1, 2**22, 2**22))
    with pytest.raises(MemoryError):
        ops.relu(grad)


NASTY = """
import numpy as np
from fastconv import ops, _core
import itertools
f = np.float32
x, w = np.ones((2, 3, 8, 8), f), np.ones((4, 3, 3, 3), f)
huge = [0, -1, 2**31 - 1, 2**31, 2**32, 2**61, 2**62, 2**63 - 1, 2**64, -2**63]
raised = taken = 0
def attempt(function, *arguments, **settings):
    global raised, taken
    try:
        function(*arguments, **settings)
        taken += 1
    except (ValueError, TypeError, MemoryError):
        raised += 1
for a, b in itertools.product(huge, huge):
    for name in ("stride", "padding", "dilation"):
        attempt(ops.conv2d, x, w, **{name: (a, b)})
        attempt(ops.max_pool2d, x, 2, **{name: (a, b)})
    attempt(ops.conv2d, x, w, padding=((a, b), (b, a)), stride=a, dilation=b)
    attempt(ops.conv2d, x, w, padding=((a, b), (b, a)), groups=a)
    attempt(ops.max_pool2d, x, (a, b), (b, a))
    attempt(ops.conv2d_backward_input, x, w, (a, b, a, b))
    attempt(ops.conv2d_backward_weight, x, x, (a, 3, b, a))
    attempt(ops.max_pool2d_backward, x, np.zeros(x.shape, np.int64), (2, 3, a, b))
    places = np.full(x.shape, a if abs(a) < 2**63 else 0, np.int64)
    attempt(ops.max_pool2d_backward, x, places, (2, 3, 9, 9))
    attempt(ops.conv_problem, (a, b, 8, 8), (4, b, 3, 3))
    attempt(ops.conv_problem, (1, 1, a, b), (1, 1, b, a), a, b, b, b)
    attempt(_core.parse_descriptor, f"n{abs(a)}c3h{abs(b)}k{abs(a)}r{abs(b)}")
    attempt(ops.set_num_threads if hasattr(ops, "set_num_threads") else _core.set_num_threads, a)
    _core.set_num_threads(2)
thin = np.broadcast_to(f(1), (2**30, 2**30))
attempt(ops.linear, thin, thin)
attempt(ops.relu, thin)
attempt(ops.softmax, thin, 0)
attempt(ops.conv2d, np.broadcast_to(f(1), (2**20, 2**20, 4, 4)), w)
empty = [np.zeros(0, f), np.zeros((0, 0), f), np.array("x")]
for bad in (None, (), [], {}, "x", 3, object(), f, slice(3), *empty):
    for function in (ops.relu, ops.softmax, ops.sigmoid):
        attempt(function, bad)
    for function in (ops.conv2d, ops.linear, ops.max_pool2d, ops.relu_backward, ops.cross_entropy):
        attempt(function, bad, bad)
        attempt(function, x, bad)
        attempt(function, bad, x)
    attempt(ops.conv2d, x, w, stride=bad, padding=bad, dilation=bad)
    attempt(ops.conv2d_backward_input, x, w, bad)
    attempt(ops.sgd_update, [bad], [bad], lr=0.1)
    attempt(ops.sgd_update, bad, bad, lr=0.1)
    attempt(ops.adam_update, [x], [x], [bad], [x], step=1, lr=0.1)
print(raised, taken)
"""


def test_nothing_crashes_the_interpreter():
    result = subprocess.run(
        [sys.executable, "-c", NASTY], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, f"exit code {result.returncode}\n{result.stderr[-3000:]}"
    raised, taken = map(int, result.stdout.split())
    assert raised > 1000 and taken < raised


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: nn.Conv2d(3, 4, 3, bias="no"), "Conv2d: bias must be a bool, got 'no'"),
        (lambda: nn.Linear(3, 4, bias=1), "Linear: bias must be a bool, got 1"),
        (lambda: nn.BatchNorm2d(3, affine="no"), "BatchNorm2d: affine must be a bool, got 'no'"),
        (lambda: nn.LayerNorm(3, bias="no"), "LayerNorm: bias must be a bool, got 'no'"),
        (lambda: nn.MaxPool2d(2, ceil_mode="no"), "MaxPool2d: ceil_mode must be a bool, got 'no'"),
        (
            lambda: nn.AvgPool2d(2, count_include_pad=None),
            "AvgPool2d: count_include_pad must be a bool, got None",
        ),
        (lambda: nn.Dropout("a"), "Dropout: p must be a number, got 'a'"),
        (
            lambda: fc.tensor(np.ones(2, np.float32), requires_grad="yes"),
            "requires_grad: must be a bool, got 'yes'",
        ),
        (
            lambda: optim.SGD(nn.Linear(3, 4), lr=0.1),
            "SGD: params must be an iterable of Tensors or dicts, as net.parameters() is, "
            "got Linear",
        ),
        (lambda: fc.save_weights("x", "y"), "save_weights: model must be a Module, got str"),
        (
            lambda: fc.tensor(np.ones(2, np.float32)).to("banana"),
            "to: 'banana' is neither a device nor a dtype",
        ),
    ],
)
def test_arguments_of_another_type(call, message):
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        call()


def test_batch_norm_of_other_channels():
    message = r"BatchNorm2d: input has shape \(2, 3, 4, 4\), expected 5 channels"
    with pytest.raises(ValueError, match=message):
        nn.BatchNorm2d(5)(fc.zeros(2, 3, 4, 4))
    with pytest.raises(TypeError, match="batch_norm: training must be a bool, got str"):
        ops.batch_norm(np.ones((2, 3, 4, 4), np.float32), None, None, training="no")


def test_numbers_of_many_elements():
    for kind in (bool, float, int):
        with pytest.raises(ValueError, match=rf"{kind.__name__}: the tensor has shape \(2,\)"):
            kind(fc.zeros(2))
