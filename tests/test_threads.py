"""Threads of kernels and of Python: fork, the GIL, Ctrl-C, their number, the cost of a call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from deadlines import HANG

import fastconv
from fastconv import ops
from fastconv.testing import normal

f32 = np.float32


def python(code: str, **environment: str) -> str:
    """Output of a Python process of its own; a hang or a crash fails."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    assert result.returncode == 0, f"exit code {result.returncode}\n{result.stderr[-3000:]}"
    return result.stdout.strip()


FORK = """
import os, signal, sys
import numpy as np
import fastconv
from fastconv import ops
fastconv.set_num_threads(4)
x, w = np.ones((16, 8, 32, 32), np.float32), np.ones((16, 8, 3, 3), np.float32)
expected = ops.conv2d(x, w, padding=1)
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        signal.alarm(200)
        y = ops.conv2d(x, w, padding=1)
        dw, db = ops.conv2d_backward_weight(y, x, w.shape, padding=1)
        os._exit(0 if np.array_equal(y, expected) and fastconv.get_num_threads() == 1 else 1)
    children.append(child)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
assert np.array_equal(ops.conv2d(x, w, padding=1), expected)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_computes_instead_of_hanging():
    assert python(FORK).splitlines()[-1] == "[0, 0, 0]"


def test_concurrent_calls_from_python_threads(restore_threads):
    fastconv.set_num_threads(3)
    weight = normal((32, 16, 3, 3), 1)
    images = [normal((4, 16, 20, 20), seed) for seed in range(8)]
    expected = [ops.conv2d(x, weight, padding=1) for x in images]

    def work(i):
        x = images[i % 8]
        y = ops.conv2d(x, weight, padding=1)
        dx = ops.conv2d_backward_input(y, weight, x.shape, padding=1)
        dw, _ = ops.conv2d_backward_weight(y, x, weight.shape, padding=1)
        assert np.isfinite(dx).all() and np.isfinite(dw).all()
        return np.array_equal(y, expected[i % 8])

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(120)))


def test_the_gil_is_released_in_a_kernel(restore_threads):
    """Another Python thread goes on counting in the middle of one kernel.

    At a kernel's ends the lock may change hands in Python's own code.
    """
    fastconv.set_num_threads(1)
    x, weight = np.ones((16, 64, 64, 64), f32), np.ones((64, 64, 3, 3), f32)
    running, beats = threading.Event(), []

    def heart():
        running.set()
        while running.is_set():
            beats.append(time.perf_counter())
            time.sleep(0.0002)

    def most_inside() -> int:
        most, deadline = 0, time.monotonic() + 60
        while most < 5 and time.monotonic() < deadline:
            beats.clear()
            start = time.perf_counter()
            ops.conv2d(x, weight, padding=1)
            end = time.perf_counter()
            quarter = (end - start) / 4
            inside = [beat for beat in beats if start + quarter < beat < end - quarter]
            most = max(most, len(inside))
        return most

    thread = threading.Thread(target=heart)
    thread.start()
    try:
        assert running.wait(60) and most_inside() >= 5
    finally:
        running.clear()
        thread.join()


INTERRUPT = """
import os, signal, threading, time
import numpy as np
from fastconv import ops
x, w = np.ones((4, 32, 64, 64), np.float32), np.ones((32, 32, 3, 3), np.float32)
threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
deadline = time.monotonic() + 60
try:
    while time.monotonic() < deadline:
        ops.conv2d(x, w, padding=1)
    print("never")
except KeyboardInterrupt:
    print("answered")
assert ops.conv2d(x, w, padding=1).shape == x.shape
"""


def test_ctrl_c_is_answered_between_kernels():
    assert python(INTERRUPT) == "answered"


def test_threads_as_a_setting_and_as_a_context(restore_threads):
    fastconv.set_num_threads(3)
    with fastconv.threads(5):
        assert fastconv.get_num_threads() == 5
        with fastconv.threads(1):
            assert fastconv.get_num_threads() == 1
    assert fastconv.get_num_threads() == 3
    with pytest.raises(ZeroDivisionError), fastconv.threads(2):
        raise ZeroDivisionError
    assert fastconv.get_num_threads() == 3


@pytest.mark.parametrize("count", [0, -1, 2**31, 2**62])
def test_an_impossible_number_of_threads(count):
    with pytest.raises(ValueError, match="set_num_threads: count must be from 1 to"):
        fastconv.set_num_threads(count)


@pytest.mark.parametrize("count", [1.5, "2", None, True])
def test_a_number_of_threads_that_is_none(count):
    with pytest.raises(TypeError, match="set_num_threads: count must be an integer"):
        fastconv.set_num_threads(count)


COUNT = "import fastconv; print(fastconv.get_num_threads())"


@pytest.mark.parametrize("wanted", ["1", "3"])
def test_omp_num_threads_is_honoured(wanted):
    assert python(COUNT, OMP_NUM_THREADS=wanted) == wanted


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity_is_honoured():
    pin = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
    environment = {name: "" for name in ("OMP_NUM_THREADS",)}
    assert python(pin + COUNT, **environment) == "1"


def test_signals_reach_python_while_threads_compute():
    """A handler runs between two kernels, on the main thread."""
    seen = []
    previous = signal.signal(signal.SIGALRM, lambda *_: seen.append(threading.current_thread()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        x, weight = np.ones((2, 16, 32, 32), f32), np.ones((16, 16, 3, 3), f32)
        deadline = time.monotonic() + 60
        while not seen and time.monotonic() < deadline:
            ops.conv2d(x, weight)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert seen == [threading.main_thread()]


def test_the_cost_of_a_call():
    """Checks, problem, dispatch and allocation of the smallest call; the aim is 3 us when quiet."""
    x = np.ones(1, f32)
    best = float("inf")
    for _ in range(500):
        start = time.thread_time()
        for _ in range(100):
            ops.relu(x)
        best = min(best, (time.thread_time() - start) / 100)
    assert best <= 10e-6, f"{best * 1e6:.2f} us"
