"""Same inputs, same bits: for any number of threads, on every run, wherever arrays lie."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import fastconv
from fastconv.testing import (
    arrays_of,
    lay_out,
    normal,
    parse_descriptor,
    passes,
    run,
)

THREADS = (1, 2, 3, 7)
DESCRIPTORS = (
    "n6c3h33k20r5p2",
    "n5c17h19k33r3p1",
    "n2c64h28k64r3p1",
    "n3c65h14k130r1",
    "n2g40c40h21k40r3sh2p1",
    "n9c1h28k6r5p2",
    "n1c256h7k512r3p1",
    "n64c6h14k16r5",
    "pool:n5c19h29r3sh2p1",
    "linear:n67i401o123",
    "linear:n1i3000o400",
)


def same_bits(results, others):
    return all(
        np.array_equal(a.view(np.uint8), b.view(np.uint8))
        for a, b in zip(results, others, strict=True)
    )


def packed(arrays):
    return [np.ascontiguousarray(array) for array in arrays if array is not None]


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("descriptor", DESCRIPTORS)
def test_any_number_of_threads(cpu, restore_threads, descriptor, dtype, layout):
    problem = parse_descriptor(descriptor)
    shapes = [array.shape for array in arrays_of(problem, 0)]
    arrays = [lay_out(normal(shape, seed, dtype), layout) for seed, shape in enumerate(shapes)]
    for pass_name in passes(descriptor):
        expected = None
        for threads in (*THREADS, THREADS[-1]):
            fastconv.set_num_threads(threads)
            results = packed(run(cpu.ops, problem, pass_name, tuple(arrays)))
            expected = expected or results
            assert same_bits(results, expected), f"{descriptor} {pass_name}, {threads} threads"


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize(
    "descriptor",
    [
        *("n2c33h29k70r3p1", "n3c130h7k200r3p1", "n2g2c64h30k64r3p1", "n30c16h2k20r3p1"),
        "n47c16h16k20r5p2",
    ],
)
def test_winograd_on_any_number_of_threads(cpu, restore_threads, descriptor, layout):
    problem = parse_descriptor(descriptor)
    shapes = [array.shape for array in arrays_of(problem, 0)]
    arrays = tuple(lay_out(normal(shape, seed), layout) for seed, shape in enumerate(shapes))
    for pass_name in passes(descriptor):
        expected = None
        for threads in (*THREADS, THREADS[-1]):
            fastconv.set_num_threads(threads)
            results = packed(run(cpu.ops, problem, pass_name, arrays, algorithm="winograd"))
            expected = expected or results
            assert same_bits(results, expected), f"{descriptor} {pass_name}, {threads} threads"


SMALL_OPERATIONS = {
    "relu": lambda ops, x, g: [ops.relu(x)],
    "sigmoid": lambda ops, x, g: [ops.sigmoid(x), ops.sigmoid_backward(g, ops.sigmoid(x))],
    "tanh": lambda ops, x, g: [ops.tanh(x), ops.tanh_backward(g, ops.tanh(x))],
    "softmax": lambda ops, x, g: [ops.softmax(x), ops.softmax_backward(g, ops.softmax(x))],
    "log_softmax": lambda ops, x, g: [ops.log_softmax(x, 0), ops.log_softmax_backward(g, x, 0)],
}


@pytest.mark.parametrize("name", SMALL_OPERATIONS)
def test_small_operations(cpu, restore_threads, name):
    x, grad = normal((613, 517), 1), normal((613, 517), 2)
    expected = None
    for threads in THREADS:
        fastconv.set_num_threads(threads)
        results = packed(SMALL_OPERATIONS[name](cpu.ops, x, grad))
        expected = expected or results
        assert same_bits(results, expected), f"{threads} threads"


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_loss(cpu, restore_threads, reduction):
    logits = normal((5003, 31), 1)
    target = np.arange(5003) % 31
    expected = None
    for threads in THREADS:
        fastconv.set_num_threads(threads)
        loss = cpu.ops.cross_entropy(logits, target, reduction=reduction)
        gradient = cpu.ops.cross_entropy_backward(
            np.ones_like(loss), logits, target, reduction=reduction
        )
        results = packed([np.atleast_1d(loss), gradient])
        expected = expected or results
        assert same_bits(results, expected), f"{threads} threads"


def test_updates(cpu, restore_threads):
    expected = None
    for threads in THREADS:
        fastconv.set_num_threads(threads)
        p, g, v, m, s = (np.abs(normal((300_007,), seed)) for seed in range(5))
        cpu.ops.sgd_update([p], [g], [v], lr=0.1, momentum=0.9, weight_decay=1e-3)
        cpu.ops.adam_update([p], [g], [m], [s], step=3, lr=0.1)
        cpu.ops.lamb_update([p], [g], [m], [s], step=4, lr=0.1)
        expected = expected or [p, v, m, s]
        assert same_bits([p, v, m, s], expected), f"{threads} threads"


@pytest.mark.parametrize("descriptor", ["n4c17h19k33r3p1", "n4c3h33k20r5p2", "linear:n67i401o123"])
def test_where_the_arrays_stand_does_not_matter(cpu, descriptor):
    """Aligned to 64 bytes or to 4, beside a page's end or not."""
    problem = parse_descriptor(descriptor)
    shapes = [array.shape for array in arrays_of(problem, 0)]
    for pass_name in passes(descriptor):
        expected = None
        for offset in (0, 1, 5, 16):
            arrays = []
            for seed, shape in enumerate(shapes):
                buffer = np.empty(int(np.prod(shape)) + 32, np.float32)
                start = -(buffer.ctypes.data // 4) % 16 + offset % 16
                view = buffer[start : start + int(np.prod(shape))].reshape(shape)
                view[...] = normal(shape, seed)
                arrays.append(view)
            results = packed(run(cpu.ops, problem, pass_name, tuple(arrays)))
            expected = expected or results
            assert same_bits(results, expected), f"{pass_name}, offset {offset}"


MATRIX_PRODUCTS = """
import hashlib
import numpy as np
import fastconv

draw = np.random.default_rng(0).standard_normal
digest = hashlib.sha256()
for dtype in (np.float32, np.float64):
    for shapes in (((257, 1031), (1031, 129)), ((5003,), (5003,)), ((2, 67, 1999), (1999, 65)),
                   ((3, 1, 67, 401), (2, 401, 65)), ((2, 301, 703), (703,)), ((901,), (901, 801))):
        a, b = (fastconv.tensor(draw(shape).astype(dtype), requires_grad=True) for shape in shapes)
        y = a @ b
        y.backward(fastconv.tensor(draw(y.shape).astype(dtype)))
        for array in (y.detach(), a.grad, b.grad):
            digest.update(array.numpy().tobytes())
print(digest.hexdigest())
"""


def test_matrix_products_of_tensors():
    """In processes of their own: NumPy's BLAS takes its number of threads when it loads."""
    seen = set()
    for threads in ("1", "2"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        environment.pop("OPENBLAS_NUM_THREADS", None)
        command = [sys.executable, "-c", MATRIX_PRODUCTS]
        seen.add(subprocess.check_output(command, env=environment, text=True))
    assert len(seen) == 1
