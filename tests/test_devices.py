"""Arrays of CUDA devices: what the bindings take, make, copy and refuse.

The arrays are the stand-in's and the kernels the CPU's: this is about the way of an array to a
backend and back. The kernels of CUDA run on the emulator (conftest's ``backend``).
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from emulator import cupy_stand_in as cupy

from fastconv import _core, ops, reference
from fastconv.testing import exact_integers

X = exact_integers((2, 3, 8, 8), 1)
W = exact_integers((4, 3, 3, 3), 1)
G = exact_integers((2, 4, 6, 6), 1)


pytestmark = pytest.mark.usefixtures("cuda_by_cpu")


def on_device(*arrays):
    made = [cupy.asarray(array) for array in arrays]
    cupy.calls.clear()
    return made if len(made) > 1 else made[0]


def test_results_are_arrays_of_the_callers_library():
    x, w, g = on_device(X, W, G)
    y = ops.conv2d(x, w)
    dx = ops.conv2d_backward_input(g, w, X.shape)
    dw, db = ops.conv2d_backward_weight(g, x, W.shape)
    pooled, places = ops.max_pool2d(y, 2)
    for array, dtype in [(y, "f4"), (dx, "f4"), (dw, "f4"), (db, "f4"), (places, "i8")]:
        assert type(array) is cupy.ndarray and array.dtype == dtype
    np.testing.assert_array_equal(y.get(), reference.conv2d(X, W))
    np.testing.assert_array_equal(dw.get(), reference.conv2d_backward_weight(G, X, W.shape)[0])
    np.testing.assert_array_equal(
        ops.max_pool2d_backward(pooled, places, y.shape).get(),
        ops.max_pool2d_backward(pooled.get(), places.get(), y.shape),
    )


def test_dense_arrays_are_neither_copied_nor_waited_for():
    x, w, b, g = on_device(X, W, np.ones(4, np.float32), G)
    ops.conv2d(x, w, b, activation="relu")
    ops.conv2d_backward_input(g, w, X.shape)
    ops.conv2d_backward_weight(g, x, W.shape)
    ops.softmax(x)
    ops.sgd_update([w], [w.copy()], lr=0.5)
    del cupy.calls["copy"]  # the one above
    assert cupy.calls == {"empty": 5}


def test_channels_last_arrays_stay_so():
    x, w = on_device(X.transpose(0, 2, 3, 1).copy(), W)
    y = ops.conv2d(x.transpose(0, 3, 1, 2), w, padding=1)
    assert (y.shape, y.strides) == ((2, 4, 8, 8), (1024, 4, 128, 16))
    y = ops.conv2d(x.transpose(0, 3, 1, 2), w, memory_format="contiguous")
    assert y.flags.c_contiguous
    assert cupy.calls == {"empty": 2}


@pytest.mark.parametrize(
    "view",
    [lambda x: x[:, :, ::-1], lambda x: x[:, :, :, ::2], lambda x: x.transpose(0, 1, 3, 2)],
    ids=["negative", "strided", "turned"],
)
def test_other_strides_cost_one_copy_on_the_device(view):
    x = on_device(X)
    y = ops.relu(view(x))
    assert cupy.calls == {"empty": 2, "copy": 1}
    np.testing.assert_array_equal(y.get(), np.maximum(view(X), 0))


def test_empty_arrays_have_null_pointers():
    x, w = on_device(X[:0], W)
    assert x.data.ptr == 0
    assert ops.conv2d(x, w).shape == (0, 4, 6, 6)
    assert not ops.conv2d_backward_weight(ops.conv2d(x, w), x, W.shape)[0].get().any()


def test_out_is_written_and_returned():
    x, w = on_device(X, W)
    out = cupy.empty((2, 4, 6, 6), np.float32)
    assert ops.conv2d(x, w, out=out) is out
    np.testing.assert_array_equal(out.get(), reference.conv2d(X, W))
    with pytest.raises(ValueError, match="conv2d: out overlaps x in memory"):
        ops.conv2d(x, cupy.asarray(np.ones((3, 3, 1, 1), "f4")), out=x)


def test_updates_reach_the_callers_array_whatever_its_strides():
    p = on_device(np.zeros((4, 6), np.float32))
    ops.sgd_update([p[:, ::2]], [cupy.asarray(np.ones((4, 3), np.float32))], lr=0.5)
    np.testing.assert_array_equal(p.get(), np.tile(np.float32([-0.5, 0]), (4, 3)))


def test_arrays_of_other_libraries_come_through_dlpack():
    class Lender:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, *, stream=None):
            assert stream == 0  # the consumer's stream, which the lender makes wait for its own
            return self.array

        def __dlpack_device__(self):
            return (2, 0)

    x, w = on_device(X, W)
    y = ops.conv2d(Lender(x), Lender(w))
    assert type(y) is cupy.ndarray and cupy.calls == {"empty": 1}
    np.testing.assert_array_equal(y.get(), reference.conv2d(X, W))


x, w, target = on_device(X, W, np.zeros(2, np.int64))
MIXED = [
    (lambda: ops.conv2d(x, W), "conv2d: weight is on cpu but x is on cuda:0"),
    (lambda: ops.conv2d(X, w), "conv2d: weight is on cuda:0 but x is on cpu"),
    (lambda: ops.conv2d(x, w, np.ones(4, "f4")), "conv2d: bias is on cpu but x is on cuda:0"),
    (lambda: ops.conv2d(x, w, out=G), "conv2d: out is on cpu but x is on cuda:0"),
    (
        lambda: ops.cross_entropy(np.ones((2, 3), "f4"), target),
        "cross_entropy: target is on cuda:0 but logits is on cpu",
    ),
    (
        lambda: ops.sgd_update([w], [W], lr=1.0),
        "sgd_update: grads is on cpu but parameters is on cuda:0",
    ),
    (lambda: _core.probe_read(x), "probe_read: x is on cuda:0, expected cpu"),
    (lambda: ops.conv2d(x, w.astype("f8")), "conv2d: weight is float64 but x is float32"),
    (
        lambda: ops.relu(x.astype("i4")),
        "relu: x must be float32, float64, float16 or bfloat16, got int32",
    ),
    (lambda: ops.relu(X.astype("f2")), "relu: x must be float32 or float64, got float16"),
]


@pytest.mark.parametrize(("call", "message"), MIXED, ids=[message for _, message in MIXED])
def test_devices_and_dtypes_do_not_mix(call, message):
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value) == message


def test_without_cuda_the_first_array_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastconv._cuda", None)
    _core.register_cuda_backend(None)
    with pytest.raises(RuntimeError, match=r"^no CUDA device"):
        ops.relu(x)


def test_only_a_capsule_of_a_backend_is_registered():
    with pytest.raises(ValueError):
        _core.register_cuda_backend(object())
