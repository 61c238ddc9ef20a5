"""The emulator that tests the CUDA kernels: its primitives against plain loops, its eyes."""

from __future__ import annotations

import ctypes
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from emulator import build, golden

if shutil.which("g++") is None:
    pytest.skip("the emulator needs g++", allow_module_level=True)

KERNELS = build.HERE / "kernels"
LAUNCH = build.ROOT / "csrc" / "cuda" / "launch.cpp"
ORDERS = {"forward": 0, "reverse": 1, "shuffled": 2}


class Library:
    """The emulator with some kernels; arrays go to its memory and come back."""

    def __init__(self, path: Path) -> None:
        self.c = ctypes.CDLL(str(path))
        self.c.emulator_allocate.restype = ctypes.c_void_p
        self.c.emulator_allocate.argtypes = [ctypes.c_size_t]
        self.c.emulator_release.restype = ctypes.c_char_p
        self.c.emulator_release.argtypes = [ctypes.c_void_p]
        self.c.emulator_launched.restype = ctypes.c_char_p

    def allocate(self, array: np.ndarray) -> int:
        address = self.c.emulator_allocate(array.nbytes)
        ctypes.memmove(address, array.ctypes.data, array.nbytes)
        return address

    def fetch(self, address: int, like: np.ndarray) -> np.ndarray:
        result = np.empty_like(like)
        ctypes.memmove(result.ctypes.data, address, result.nbytes)
        return result

    def release(self, address: int) -> str | None:
        text = self.c.emulator_release(address)
        return None if text is None else text.decode()

    def primitive(self, name: str, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
        addresses = [self.allocate(np.ascontiguousarray(array)) for array in (a, b, out)]
        run = self.c.run_primitive
        run.restype, run.argtypes = ctypes.c_char_p, [ctypes.c_char_p, *[ctypes.c_void_p] * 4]
        assert run(name.encode(), *addresses, None) is None
        result = self.fetch(addresses[2], out)
        assert [self.release(address) for address in addresses] == [None] * 3
        return result

    def fault(self, name: str, data: np.ndarray, threads: int = 64, shared: int = 256) -> str:
        address = self.allocate(data)
        run = self.c.run_fault
        run.restype = ctypes.c_char_p
        run.argtypes = [ctypes.c_char_p, ctypes.c_void_p, *[ctypes.c_int] * 2, ctypes.c_size_t]
        text = run(name.encode(), address, data.size, threads, shared)
        data[...] = self.fetch(address, data)
        self.release(address)
        return "" if text is None else text.decode()


@pytest.fixture(scope="module")
def built() -> Library:
    return Library(build.build_library([KERNELS / "faults.cu", KERNELS / "primitives.cu", LAUNCH]))


@pytest.fixture(params=ORDERS)
def library(built: Library, request: pytest.FixtureRequest) -> Library:
    """In each order of lanes, warps and blocks."""
    built.c.emulator_set_order(ORDERS[request.param], 7)
    yield built
    built.c.emulator_set_order(0, 1)


def bits_of(x: np.ndarray, kind: str) -> np.ndarray:
    """float32 to the bits of a narrower type, by NumPy's half and by integer arithmetic."""
    if kind == "half":
        return x.astype(np.float16).view(np.uint16).astype(np.uint32)
    bits = x.astype(np.float32).view(np.uint32).astype(np.uint64)
    if kind == "tf32":
        return ((bits + 0x1000) & 0xFFFFE000).astype(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint32)


def test_ldmatrix(library):
    rows = np.arange(256, dtype=np.uint16).reshape(32, 8) * 251
    out = library.primitive("ldmatrix", rows, rows, np.zeros((2, 3, 32, 4), np.uint32))
    expected = np.zeros_like(out)
    for transposed in range(2):
        for size, count in enumerate((1, 2, 4)):
            for m in range(count):
                matrix = rows[8 * m : 8 * m + 8].astype(np.uint32)
                matrix = matrix.T if transposed else matrix
                for lane in range(32):
                    row, column = lane // 4, 2 * (lane % 4)
                    pair = matrix[row, column] | matrix[row, column + 1] << 16
                    expected[transposed, size, lane, m] = pair
    written = np.zeros(out.shape, bool)
    for size, count in enumerate((1, 2, 4)):
        written[:, size, :, :count] = True
    np.testing.assert_array_equal(out[written], expected[written])


def fragments(kind: str, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The registers of each lane that hold a (16, depth) and b (depth, 8), from PTX's tables."""
    ra, rb = np.zeros((32, 4), np.uint32), np.zeros((32, 2), np.uint32)
    a, b = bits_of(a, kind), bits_of(b, kind)
    for lane in range(32):
        g, t = lane // 4, lane % 4
        for i in range(4):
            row = g + (8 if i in (1, 3) else 0)
            if kind == "tf32":
                ra[lane, i] = a[row, t + (4 if i >= 2 else 0)]
            else:
                k = 2 * t + (8 if i >= 2 else 0)
                ra[lane, i] = a[row, k] | a[row, k + 1] << 16
        for i in range(2):
            if kind == "tf32":
                rb[lane, i] = b[t + 4 * i, g]
            else:
                rb[lane, i] = b[2 * t + 8 * i, g] | b[2 * t + 8 * i + 1, g] << 16
    return ra, rb


@pytest.mark.parametrize("kind", ["bfloat16", "half", "tf32"])
def test_mma(library, kind):
    rng = np.random.default_rng(3)
    depth = 8 if kind == "tf32" else 16
    a, b, c = (rng.integers(-9, 10, shape) for shape in ((16, depth), (depth, 8), (16, 8)))
    ra, rb = fragments(kind, a.astype(np.float32), b.astype(np.float32))
    held = np.zeros((32, 4), np.float32)
    for lane in range(32):
        for i in range(4):
            held[lane, i] = c[lane // 4 + (i // 2) * 8, lane % 4 * 2 + i % 2]
    out = library.primitive(f"mma_{kind}", ra, rb, held)
    for lane in range(32):
        for i in range(4):
            row, column = lane // 4 + (i // 2) * 8, lane % 4 * 2 + i % 2
            assert out[lane, i] == (a @ b + c)[row, column]


def test_shuffle(library):
    x = np.random.default_rng(1).integers(0, 2**20, 32).astype(np.uint32)
    out = library.primitive("shuffle", x, x, np.zeros((10, 32), np.uint32))
    for lane in range(32):
        segment = lane // 8 * 8
        up4 = lane - 2 if lane % 4 >= 2 else lane
        down16 = lane + 1 if lane % 16 < 15 else lane
        expected = [
            x[(lane * 7 + 3) % 32],
            x[segment + lane * 5 % 8],
            x[lane - 3 if lane >= 3 else lane],
            x[up4],
            x[lane + 5 if lane + 5 < 32 else lane],
            x[down16],
            x[lane ^ 21],
            x[lane ^ 6],
            2 * x[lane ^ 16] + 1,
            x[lane ^ 1],
        ]
        assert out[:, lane].tolist() == expected


def test_votes_and_reductions(library):
    x = np.random.default_rng(2).integers(0, 1000, 64).astype(np.uint32)
    out = library.primitive("vote", x, x, np.zeros((64, 16), np.uint32)).astype(np.int64)
    for thread in range(64):
        lanes = x[thread // 32 * 32 :][:32].astype(np.int64)
        same = lanes[thread % 2 :: 2]
        expected = [
            sum(1 << i for i in range(32) if lanes[i] & 1),
            any(lanes == 7),
            all(lanes < 1000),
            sum(1 << i for i in range(thread % 2, 32, 2) if lanes[i] % 3 == 0),
            lanes.sum(),
            lanes.min(),
            lanes.max(),
            (same.min() - 500) % 2**32,
            np.bitwise_and.reduce(lanes | 0x100),
            np.bitwise_or.reduce(lanes),
            np.bitwise_xor.reduce(lanes),
            (x & 1).sum(),
            1,
            1,
            (lanes.max() - 500) % 2**32,
            0,
        ]
        assert out[thread].tolist() == [int(value) for value in expected]


def test_cp_async(library):
    data = np.random.default_rng(4).integers(1, 256, (128, 16)).astype(np.uint8)
    out = library.primitive("cp_async", data, data, np.zeros((128, 28), np.uint8))
    for thread in range(128):
        expected = np.zeros(28, np.uint8)
        expected[: thread % 17] = data[thread, : thread % 17]
        expected[16 : 16 + thread % 9] = data[thread, : thread % 9]
        expected[24:] = data[thread, 4:8]
        assert out[thread].tolist() == expected.tolist()


def test_conversions(library):
    rng = np.random.default_rng(5)
    x = rng.standard_normal(256).astype(np.float32) * np.float32(2) ** rng.integers(-30, 20, 256)
    special = [0.0, -0.0, np.inf, -np.inf, 65504, 65519.99, 65520, 2**-24, 2**-25, 1.5 * 2**-25]
    ties = [1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-8, 1 + 3 * 2**-8, 3.4e38, 1e-40, 2**-14 - 2**-26]
    x = np.concatenate([np.array(special + ties, np.float32), x])[:256].astype(np.float32)
    out = library.primitive("conversion", x, x, np.zeros((7, 256), np.uint32))
    with np.errstate(over="ignore"):
        half, brain = bits_of(x, "half"), bits_of(x, "bfloat16")
        back = x.astype(np.float16).astype(np.float32)
    swapped = np.arange(256) ^ 1
    np.testing.assert_array_equal(out[0], half)
    np.testing.assert_array_equal(out[1], brain)
    np.testing.assert_array_equal(out[2], half | half[swapped] << 16)
    np.testing.assert_array_equal(out[3], brain | brain[swapped] << 16)
    finite = np.isfinite(x)
    np.testing.assert_array_equal(out[4][finite], bits_of(x, "tf32")[finite])
    np.testing.assert_array_equal(out[5], back.view(np.uint32))
    np.testing.assert_array_equal(out[6], brain << 16)


FAULTS = {
    "past_the_end": r"writes 4 bytes at byte \d+ of an allocation of 256 bytes",
    "before_the_start": r"writes 4 bytes at \d+ bytes before an allocation of 256 bytes",
    "read_past_the_end": r"reads 4 bytes at byte 256 of an allocation of 256 bytes",
    "host_memory": r"reads 4 bytes at 0x\w+, which is not in the device's memory",
    "misaligned": r"address 0x\w+ is not a multiple of 16, which its type needs",
    "division": r"an integer division by zero",
    "different_barriers": r"waits at __syncthreads \(.*\) while thread \d+ waits at another one",
    "early_return": r"waits at __syncthreads .* not all threads reach: thread 5 has returned",
    "lane_missing": r"__shfl_xor_sync: mask ffffffff names lane 3, which has returned",
    "lane_at_barrier": r"waits in __shfl_xor_sync .*: thread 3 is at __syncthreads",
    "mask_without_caller": r"mask 000000ff leaves out the lane that calls",
    "shuffle_from_outside": r"reads from lane \d+, which mask 000000ff leaves out",
    "different_operations": r"__shfl_\w+ .* wait for this one in __shfl_",
    "race_between_warps": r"of another warp (read|wrote) with no barrier between",
    "race_within_warp": r"of the same warp (read|wrote) with no __syncwarp between",
    "write_after_read": r"of another warp (read|wrote) with no barrier between",
    "two_writers": r"writes byte \d+ of shared memory that thread \d+ of another warp wrote",
    "past_shared": r"reads 4 bytes at 256 of 256 bytes of shared memory",
    "unwaited_copy": r"before the cp.async of thread \d+ to it has been waited for",
    "uncommitted_copy": r"before the cp.async of thread \d+ to it has been waited for",
    "copy_without_barrier": r"of another warp (read|wrote) with no barrier between",
    "misaligned_copy": r"cp.async to shared memory: address 0x\w+ is not a multiple of 16",
    "deep_stack": r"its stack of \d+ bytes is too small",
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_kernel_is_an_error_that_says_where(library, name):
    text = library.fault(name, np.ones(64, np.float32))
    kernel = rf"{name}: CUDA error: fastconv::cuda::{name}_kernel, block \(0, 0, 0\), thread "
    assert re.match(rf"{kernel}\(\d+, 0, 0\): .*{FAULTS[name]}", text), text


def test_every_fault_has_its_test():
    listed = re.findall(r"FAULT\((\w+)\)", (KERNELS / "faults.cu").read_text())[1:]
    assert set(listed) | {"host_memory"} == set(FAULTS) | {"poison"}


def test_shared_memory_is_poisoned(library):
    data = np.ones(64, np.float32)
    assert library.fault("poison", data) == ""
    assert np.isnan(data).all()


@pytest.mark.parametrize(
    "threads, shared, text",
    [
        (1025, 0, "a block has 1 to 1024 threads"),
        (0, 0, "a block has 1 to 1024 threads"),
        (64, 228 * 1024, "bytes of shared memory, of 232448 that the device has"),
        (64, 227 * 1024, "of static and 232448 of dynamic shared memory: the device has 232448"),
    ],
)
def test_launches_that_a_device_refuses(library, threads, shared, text):
    assert text in library.fault("poison", np.ones(64, np.float32), threads, shared)


def test_writing_around_an_array_is_seen_when_it_is_released(library):
    address = library.allocate(np.ones(3, np.float32))
    ctypes.memset(address + 12, 0, 1)
    assert "bytes after the allocation of 12 bytes" in library.release(address)
    assert library.release(address) == "released memory that is not allocated"


def test_kernels_that_ran_are_listed(library):
    a = np.zeros((32, 4), np.uint32)
    library.primitive("mma_half", a, a[:, :2], np.zeros((32, 4), np.float32))
    assert (
        "fastconv::cuda::mma_kernel<fastconv::cuda::half>" in library.c.emulator_launched().decode()
    )


def test_the_emulator_answers_as_devices_did(library):
    """The files that bench/gpu.py has written, and the answers of this very emulator."""
    assert golden.differences(golden.record(library.primitive), library.primitive) == []
    for path in sorted((build.HERE / "golden").glob("*.npz")):
        with np.load(path) as recorded:
            assert golden.differences(dict(recorded), library.primitive) == [], path.name


def test_a_different_answer_is_seen(library):
    recorded = golden.record(library.primitive)
    for name in golden.operands():
        changed = dict(recorded)
        changed[f"{name}/after"] = recorded[f"{name}/after"].copy()
        changed[f"{name}/after"].flat[5] += 1
        assert golden.differences(changed, library.primitive) == [name]


def test_every_primitive_is_recorded():
    source = (KERNELS / "primitives.cu").read_text()
    assert set(re.findall(r'if \(is\("(\w+)"\)\)', source)) == set(golden.operands())
