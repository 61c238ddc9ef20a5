"""Runs one problem and compares it, bit for bit, with the reference in float64."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from fastconv import _core, reference
from fastconv.testing.compare import assert_exact, assert_matches
from fastconv.testing.data import Poisoned, exact_integers, lay_out
from fastconv.testing.descriptors import parse_descriptor

Array = np.ndarray


def passes(descriptor: str) -> tuple[str, ...]:
    """The passes that a problem has; pooling has no weight, normalisation one backward pass."""
    both = ("forward", "backward_input")
    return both if descriptor.startswith(("pool:", "norm:")) else (*both, "backward_weight")


def repeat_line(descriptor: str, pass_name: str, layout: str, dtype: Any, seed: int) -> str:
    """The line for a shell that runs one check again."""
    return (
        f"repeat: FASTCONV_ISA={_core.config()['isa']} python -m fastconv.testing {descriptor} "
        f"--pass {pass_name} --layout {layout} --dtype {np.dtype(dtype).name} --seed {seed}"
    )


def arrays_of(problem: Any, seed: int, dtype: Any = np.float64) -> tuple[Array, ...]:
    """Exact integers for x, the gradient of the output and, where there are any, weight, bias."""
    shapes = [problem.input_shape, problem.output_shape]
    if isinstance(problem, _core.NormProblem):
        shapes += [problem.input_shape[1:2]] * 2
    elif not isinstance(problem, _core.PoolProblem):
        shapes += [problem.weight_shape, problem.weight_shape[:1]]
    return tuple(exact_integers(shape, seed + i, dtype) for i, shape in enumerate(shapes))


def _run_conv(
    ops: Any,
    problem: Any,
    pass_name: str,
    arrays: tuple[Array, ...],
    out: Array | None,
    algorithm: str,
) -> Any:
    x, grad, weight, bias = arrays
    if pass_name == "forward":
        return ops.conv_forward(problem, x, weight, bias, algorithm=algorithm, out=out)
    if pass_name == "backward_input":
        return ops.conv_backward_input(problem, grad, weight, algorithm=algorithm, out=out)
    return ops.conv_backward_weight(problem, grad, x, algorithm=algorithm)


def _run_linear(ops: Any, pass_name: str, arrays: tuple[Array, ...]) -> Any:
    x, grad, weight, bias = arrays
    if pass_name == "forward":
        return ops.linear(x, weight, bias)
    if pass_name == "backward_input":
        return ops.linear_backward_input(grad, weight)
    return ops.linear_backward_weight(grad, x)


def _run_pool(ops: Any, p: Any, pass_name: str, arrays: tuple[Array, ...]) -> Any:
    x, grad = arrays
    window = (p.kernel, p.stride, p.padding, p.dilation, p.ceil_mode)
    name = f"max_pool{len(p.kernel)}d"
    if pass_name == "forward":
        return getattr(ops, name)(x, *window)
    _, indices = getattr(reference, name)(x, *window)
    return getattr(ops, f"{name}_backward")(grad, indices, p.input_shape, *window)


def _run_norm(ops: Any, pass_name: str, arrays: tuple[Array, ...]) -> Any:
    x, grad, weight, bias = arrays
    y, mean, invstd = ops.batch_norm(x, None, None, weight, bias, True)
    if pass_name == "forward":
        return y
    return ops.batch_norm_backward(grad, x, weight, bias, mean, invstd, True)


def run(
    ops: Any,
    problem: Any,
    pass_name: str,
    arrays: tuple[Array, ...],
    out: Array | None = None,
    algorithm: str = "direct",
) -> tuple[Array, ...]:
    """One pass of `problem` over the arrays of `arrays_of`, by `fastconv.ops` or the reference."""
    if isinstance(problem, _core.ConvProblem):
        results = _run_conv(ops, problem, pass_name, arrays, out, algorithm)
    elif isinstance(problem, _core.LinearProblem):
        results = _run_linear(ops, pass_name, arrays)
    elif isinstance(problem, _core.NormProblem):
        results = _run_norm(ops, pass_name, arrays)
    else:
        results = _run_pool(ops, problem, pass_name, arrays)
    return results if isinstance(results, tuple) else (results,)


@functools.lru_cache(maxsize=4)
def expected_results(descriptor: str, pass_name: str, seed: int) -> tuple[Array, ...]:
    """What one pass gives in float64, where every sum of small integers is exact."""
    problem = parse_descriptor(descriptor)
    return run(reference, problem, pass_name, arrays_of(problem, seed))


def check(
    ops: Any,
    descriptor: str,
    pass_name: str,
    layout: str = "contiguous",
    dtype: Any = np.float32,
    seed: int = 0,
    algorithm: str = "direct",
) -> None:
    """One pass of one problem, from inputs that lie as `layout` says, compared cell by cell; of a
    normalisation, whose results are no integers, by its error.

    Results that can go to an array of the caller's are written into one full of NaN between
    guards. Raises AssertionError with the line that repeats the check.
    """
    problem = parse_descriptor(descriptor)
    repeat = repeat_line(descriptor, pass_name, layout, dtype, seed)
    expected = expected_results(descriptor, pass_name, seed)
    arrays = tuple(lay_out(array, layout) for array in arrays_of(problem, seed, dtype))
    out = None
    if isinstance(problem, _core.ConvProblem) and pass_name != "backward_weight":
        last = "channels_last" if layout == "channels_last" else "contiguous"
        out = Poisoned(expected[0].shape, dtype, last)
    actual = run(ops, problem, pass_name, arrays, out.array if out else None, algorithm)
    if out:
        assert actual[0] is out.array, f"another array than out= was returned\n{repeat}"
        out.check(repeat)
    for got, want in zip(actual, expected, strict=True):
        if isinstance(problem, _core.NormProblem):
            values = max(1, math.prod(problem.input_shape) // problem.channels)
            assert_matches(got, want, dtype, values, repeat)
            continue
        kind = np.dtype(np.int64 if want.dtype == np.int64 else dtype)
        # 16 bits do not hold every sum: one rounding, at the end.
        assert_exact(got, want.astype(kind) if kind.itemsize == 2 else want, kind, repeat)
