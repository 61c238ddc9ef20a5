"""The memory pool: aligned blocks, reused as soon as the last array goes, and counted."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import fastconv
from fastconv import memory, models, ops, optim
from fastconv.nn import functional as F

f32 = np.float32


@pytest.fixture(autouse=True)
def clean_pool():
    limit = memory.stats()["cache_limit"]
    gc.collect()
    memory.release_cached()
    yield
    memory.set_cache_limit(limit)
    memory.release_cached()


def training_step(x, weight, bias):
    y = ops.conv2d(x, weight, bias, padding=1, activation="relu")
    pooled, indices = ops.max_pool2d(y, 2)
    grad = ops.relu_backward(ops.max_pool2d_backward(pooled, indices, y.shape), y)
    ops.conv2d_backward_input(grad, weight, x.shape, padding=1)
    return ops.conv2d_backward_weight(grad, x, weight.shape, padding=1)


@pytest.mark.parametrize(
    "shape", [(1,), (3,), (17,), (1000,), (3, 5, 7), (64, 3, 32, 33), (1 << 20,), (0, 4)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_are_aligned_and_writable(shape, dtype):
    kept = [ops.relu(np.ones(shape, dtype)) for _ in range(5)]
    for array in kept:
        assert array.ctypes.data % 64 == 0
        assert array.flags.writeable and array.flags.c_contiguous
    assert len({array.ctypes.data for array in kept}) == 5


def fresh_blocks(steps):
    """How many blocks of fresh memory that many training steps take."""
    x, weight, bias = np.ones((4, 3, 30, 30), f32), np.ones((8, 3, 3, 3), f32), np.ones(8, f32)
    before = memory.stats()
    for _ in range(steps):
        training_step(x, weight, bias)
    after = memory.stats()
    assert after["allocations"] > before["allocations"]
    assert after["in_use"] == before["in_use"]
    return (after["allocations"] - before["allocations"]) - (after["reused"] - before["reused"])


def test_a_loop_reaches_a_state_without_fresh_memory():
    with fastconv.threads(1):
        assert fresh_blocks(3) > 0
        cached = memory.stats()["cached"]
        assert fresh_blocks(20) == 0
        assert memory.stats()["cached"] == cached


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_a_training_loop_of_layers_reaches_it_too(memory_format):
    """Forward, loss, backward and optimizer of a network; the loop holds on to its last loss."""
    model = models.lenet5().to(memory_format=memory_format)
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, target = fastconv.randn(8, 1, 28, 28), fastconv.tensor(np.arange(8))

    def fresh(steps):
        before = memory.stats()
        for _ in range(steps):
            loss = F.cross_entropy(model(x), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        after = memory.stats()
        return after["allocations"] - after["reused"] - before["allocations"] + before["reused"]

    with fastconv.threads(1):
        assert fresh(3) > 0
        assert fresh(20) == 0


def test_threads_add_their_workspaces_and_no_more():
    # A worker that joins late takes its first workspaces late: a few blocks, however long the loop.
    with fastconv.threads(2):
        first = fresh_blocks(20)
        assert fresh_blocks(500) < first


def test_a_freed_block_serves_the_next_result_of_its_size():
    first = ops.relu(np.ones(5000, f32))
    address = first.ctypes.data
    del first
    assert ops.relu(np.ones(5000, f32)).ctypes.data == address


def test_a_view_keeps_its_block():
    y = ops.relu(np.full((100, 100), 7, f32))
    address, row = y.ctypes.data, y[50, ::2]
    del y
    others = [ops.relu(np.zeros((100, 100), f32)) for _ in range(4)]
    assert address not in {other.ctypes.data for other in others}
    assert (row == 7).all()
    del row
    assert ops.relu(np.zeros((100, 100), f32)).ctypes.data == address


def test_stats_count_what_is_held():
    start = memory.stats()
    array = ops.relu(np.ones(1 << 20, f32))
    held = memory.stats()
    assert held["in_use"] - start["in_use"] >= array.nbytes
    assert held["in_use"] - start["in_use"] <= 1.25 * array.nbytes + 4096
    assert held["allocations"] == start["allocations"] + 1
    del array
    freed = memory.stats()
    assert freed["in_use"] == start["in_use"]
    assert freed["cached"] - start["cached"] == held["in_use"] - start["in_use"]
    memory.release_cached()
    assert memory.stats()["cached"] == 0


def test_peak():
    memory.reset_peak()
    base = memory.stats()["in_use"]
    arrays = [ops.relu(np.ones(1 << 18, f32)) for _ in range(3)]
    top = memory.stats()["in_use"]
    del arrays
    assert memory.stats()["peak"] == top > base
    memory.reset_peak()
    assert memory.stats()["peak"] == memory.stats()["in_use"] < top


def test_the_cache_keeps_to_its_limit():
    memory.set_cache_limit(1 << 20)
    for size in range(1, 40):
        ops.relu(np.ones(size * 10_000, f32))
        assert memory.stats()["cached"] <= 1 << 20
    memory.set_cache_limit(0)
    assert memory.stats()["cached"] == 0
    ops.relu(np.ones(1000, f32))
    assert memory.stats()["cached"] == 0
    with pytest.raises(ValueError, match="set_cache_limit: bytes must be at least 0, got -1"):
        memory.set_cache_limit(-1)
    with pytest.raises(TypeError, match="set_cache_limit: bytes must be an integer"):
        memory.set_cache_limit(1.5)


def test_an_error_leaves_nothing_behind():
    before = memory.stats()["in_use"]
    logits = np.zeros((1000, 10), f32)
    for _ in range(10):
        with pytest.raises(ValueError):
            ops.cross_entropy(logits, np.full(1000, 10))
    assert memory.stats()["in_use"] == before


def test_blocks_may_be_freed_by_another_thread():
    held = [ops.relu(np.ones(10_000, f32)) for _ in range(50)]
    before = memory.stats()["in_use"]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert memory.stats()["in_use"] < before
