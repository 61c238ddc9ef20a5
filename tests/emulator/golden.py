"""What each primitive answers to fixed operands: recorded on a device once (bench/gpu.py), held
against the emulator by the tests. A file of them is an .npz with a, b, before and after by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# (name, a, b, out before the call) -> out after it
Run = Callable[[str, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _uniform(seed: int, shape: tuple[int, ...], below: int, dtype: type) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, below, shape).astype(dtype)


def _registers(kind: str, seed: int, count: int) -> np.ndarray:
    """Operands of mma: normal numbers, as the bits of `kind` in each lane's registers."""
    x = np.random.default_rng(seed).standard_normal((32, count, 2)).astype(np.float32)
    if kind == "tf32":
        return np.ascontiguousarray(x[..., 0].view(np.uint32) & np.uint32(0xFFFFE000))
    if kind == "half":
        return x.astype(np.float16).view(np.uint32)[..., 0]
    pairs = x.view(np.uint32) >> 16
    return pairs[..., 0] | pairs[..., 1] << 16


def operands() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each kernel of kernels/primitives.cu: a, b and what out holds before."""
    none = np.zeros(1, np.uint32)
    rows = _uniform(1, (32, 8), 2**16, np.uint16)
    floats = np.random.default_rng(2).standard_normal(256).astype(np.float32)
    floats *= np.float32(2) ** _uniform(3, (256,), 56, np.float32) / np.float32(2**34)
    special = [0.0, -0.0, np.inf, -np.inf, 65519.99, 65520, 2**-24, 2**-25, 1 + 2**-8, 3.4e38]
    floats[: len(special)] = special
    made = {
        "ldmatrix": (rows, none, np.zeros((6, 32, 4), np.uint32)),
        "shuffle": (_uniform(4, (32,), 2**20, np.uint32), none, np.zeros((10, 32), np.uint32)),
        "vote": (_uniform(5, (64,), 1000, np.uint32), none, np.zeros((64, 16), np.uint32)),
        "cp_async": (_uniform(6, (128, 16), 256, np.uint8), none, np.zeros((128, 28), np.uint8)),
        "conversion": (floats, none, np.zeros((7, 256), np.uint32)),
    }
    sums = np.random.default_rng(9).standard_normal((32, 4)).astype(np.float32)
    for kind in ("bfloat16", "half", "tf32"):
        made[f"mma_{kind}"] = (_registers(kind, 7, 4), _registers(kind, 8, 2), sums)
    return made


def record(run: Run) -> dict[str, np.ndarray]:
    """All answers, to be written with np.savez."""
    found = {}
    for name, (a, b, before) in operands().items():
        found |= {f"{name}/a": a, f"{name}/b": b, f"{name}/before": before}
        found[f"{name}/after"] = run(name, a, b, before)
    return found


def differences(recorded: dict[str, np.ndarray], run: Run) -> list[str]:
    """The primitives that answer otherwise than recorded: in any bit, but mma's sums of up to 17
    terms of about 1 in more than 2^-20, as the device rounds them in an order of its own."""
    wrong = []
    for name in sorted({key.partition("/")[0] for key in recorded}):
        a, b, before, after = (recorded[f"{name}/{part}"] for part in ("a", "b", "before", "after"))
        got = run(name, a, b, before)
        if name.startswith("mma"):
            same = np.abs(got - after).max() <= 2**-20 * (1 + np.abs(after).max())
        else:
            same = np.array_equal(got, after)
        wrong += [] if same else [name]
    return wrong
