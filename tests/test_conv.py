"""Convolution: three passes, two layouts, every corner, exact wherever sums can be."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastconv import _core, reference
from fastconv.testing import (
    LAYOUTS,
    arrays_of,
    assert_exact,
    assert_matches,
    assert_mostly_nonzero,
    check,
    descriptor_set,
    exact_integers,
    expected_results,
    lay_out,
    normal,
    parse_descriptor,
    passes,
    run,
    with_batch,
)

PASSES = ("forward", "backward_input", "backward_weight")
NETWORKS = ("lenet", "convnetjs", "alexnet", "vgg16", "resnet18", "resnet50", "mobilenet")
ACTIVATIONS = ("relu", "sigmoid", "tanh")


def shrunk(descriptor):
    """Two images of a layer; one, and a quarter of it, where that is much already."""
    few = with_batch(descriptor, 2)
    if parse_descriptor(few).flops > 4e8:
        few = with_batch(descriptor, 1)
    if parse_descriptor(few).flops > 8e8:
        few = re.sub(r"h(\d+)", lambda extent: f"h{int(extent[1]) // 2}", few)
    return few


# What fills strips on the CPU is a minute's work for the emulator. These end in the same parts of a
# CUDA tile of 128 positions, after as few whole ones as leave a block beside another.
FEWER_TILES = {
    "n2c2h40k70r3p1": "n2c2h16k70r3p1",
    "n1c50h1w1500k49r1s9": "n1c50h1w220k49r1s9",
    "n2c3h1w1300k20r1s5pw2sw2": "n2c3h1w276k20r1s5pw2sw2",
    "n1c30h1w900k30r1s3dw2pw1": "n1c30h1w132k30r1s3dw2pw1",
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("descriptor", descriptor_set("corner"))
def test_corners_in_every_layout(backend, descriptor, pass_name, dtype):
    if backend.name == "emulated":
        descriptor = FEWER_TILES.get(descriptor, descriptor)
    for layout in LAYOUTS:
        check(backend.ops, descriptor, pass_name, layout, dtype)


@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("descriptor", dict.fromkeys(map(shrunk, descriptor_set(*NETWORKS))))
def test_network_layers(cpu, descriptor, pass_name):
    for layout in ("contiguous", "channels_last"):
        check(cpu.ops, descriptor, pass_name, layout, "float32", seed=7)
    expected = expected_results(descriptor, pass_name, 7)[0]
    problem = parse_descriptor(descriptor)
    if pass_name != "backward_input" or problem.kernel >= problem.stride:
        assert_mostly_nonzero(expected, repeat=descriptor)


@st.composite
def conv_descriptors(draw):
    """Any small 2-D convolution that has an output."""
    number = lambda low, high: draw(st.integers(low, high))  # noqa: E731
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 8]))
    c, k = groups * number(1, 20), groups * number(1, 20)
    r, s, dh, dw = number(1, 5), number(1, 5), number(1, 3), number(1, 3)
    ph, pw, qh, qw = (number(0, 4) for _ in range(4))
    h = number(max(1, dh * (r - 1) + 1 - ph - qh), 14)
    w = number(max(1, dw * (s - 1) + 1 - pw - qw), 14)
    return (
        f"n{number(0, 3)}g{groups}c{c}h{h}w{w}k{k}r{r}s{s}sh{number(1, 3)}sw{number(1, 3)}"
        f"dh{dh}dw{dw}ph{ph}pw{pw}qh{qh}qw{qw}"
    )


@given(
    descriptor=conv_descriptors(),
    pass_name=st.sampled_from(PASSES),
    layout=st.sampled_from(sorted(LAYOUTS)),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 2**31),
)
def test_random_problems(backend, descriptor, pass_name, layout, dtype, seed):
    check(backend.ops, descriptor, pass_name, layout, dtype, seed)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    "descriptor", ["n2c3h11k6r5p2", "n2c33h9k34r3p1", "n2g8c8h9k8r3", "n3c20h6k7r1"]
)
def test_fused_bias_and_activation(backend, descriptor, activation, with_bias, layout):
    problem = parse_descriptor(descriptor)
    x, _, weight, bias = (array * np.float32(0.125) for array in arrays_of(problem, 9, np.float32))
    bias = bias if with_bias else None
    y = backend.ops.conv_forward(problem, lay_out(x, layout), weight, bias, activation, "direct")
    wide = [None if a is None else a.astype(np.float64) for a in (x, weight, bias)]
    expected = reference.conv_forward(problem, *wide, activation)
    if activation == "relu":
        assert_exact(y, expected, np.float32)
    else:
        assert_matches(y, expected, np.float32, terms=1)


@pytest.mark.parametrize("descriptor", descriptor_set("lenet", "convnetjs", "corner"))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_stays_within_the_tolerance(backend, descriptor, dtype):
    """Numbers that round, with whatever algorithm is chosen by itself."""
    problem = parse_descriptor(with_batch(descriptor, 2))
    exact = [normal(a.shape, seed, dtype) for seed, a in enumerate(arrays_of(problem, 0))]
    wide = tuple(array.astype(np.longdouble if dtype == "float64" else float) for array in exact)
    x, grad, weight, bias = exact
    terms = {
        "forward": weight[0].size,
        "backward_input": weight[:, 0].size,
        "backward_weight": grad[:, 0].size,
    }
    results = {
        "forward": [backend.ops.conv_forward(problem, x, weight, bias)],
        "backward_input": [backend.ops.conv_backward_input(problem, grad, weight)],
        "backward_weight": list(backend.ops.conv_backward_weight(problem, grad, x)),
    }
    for pass_name in PASSES:
        expected = run(reference, problem, pass_name, wide)
        for got, want in zip(results[pass_name], expected, strict=True):
            assert_matches(got, want, dtype, terms[pass_name], f"{descriptor} {pass_name}")


@pytest.mark.parametrize(
    "descriptor", ["n2c3h6k4r3p1", "n2c4h7w5k6r3s2sh2p1q0", "n1g2c4h8k4r3dh2p3", "n2g3c3h6k6r3p1"]
)
def test_gradients_by_finite_differences(backend, descriptor):
    """<grad, y> is linear in x and in w: a difference along any direction is exact to rounding."""
    problem = parse_descriptor(descriptor)
    shapes = [array.shape for array in arrays_of(problem, 0)]
    x, grad, weight, bias = (normal(shape, i, np.float64) for i, shape in enumerate(shapes))

    def loss(x, weight, bias):
        return np.vdot(grad, backend.ops.conv_forward(problem, x, weight, bias))

    dx = backend.ops.conv_backward_input(problem, grad, weight)
    dw, db = backend.ops.conv_backward_weight(problem, grad, x)
    for position, gradient in enumerate((dx, dw, db)):
        direction = normal(gradient.shape, 11 + position, np.float64)
        ahead, behind = [x, weight, bias], [x, weight, bias]
        ahead[position] = ahead[position] + 0.5 * direction
        behind[position] = behind[position] - 0.5 * direction
        slope = loss(*ahead) - loss(*behind)
        assert slope == pytest.approx(np.vdot(gradient, direction), rel=1e-11, abs=1e-11)


def test_two_dimensional_example(backend):
    rows = ["11100", "01110", "00111", "00110", "01100"]
    image = np.array([[int(cell) for cell in row] for row in rows], np.float32)[None, None]
    kernel = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]], np.float32)[None, None]
    y = backend.ops.conv2d(image, kernel)
    assert y[0, 0].tolist() == [[4, 3, 4], [2, 4, 3], [2, 3, 4]]


@pytest.mark.parametrize(
    "size, channels, filters, kernel, arguments, expected",
    [
        (32, 3, 10, 5, {"padding": 2}, (10, 32, 32)),
        (32, 3, 10, 5, {"padding": 2, "stride": 2}, (10, 16, 16)),
        (32, 3, 6, 5, {}, (6, 28, 28)),
        (7, 1, 1, 3, {"padding": 1, "stride": 2}, (1, 4, 4)),
        (7, 2, 3, 3, {"padding": "same"}, (3, 7, 7)),
        (7, 2, 3, 4, {"padding": "same", "dilation": 2}, (3, 7, 7)),
        (7, 2, 3, 3, {"padding": "valid"}, (3, 5, 5)),
        (7, 2, 3, 3, {"padding": (0, 2)}, (3, 5, 9)),
        (7, 2, 3, 3, {"padding": ((1, 0), (2, 3))}, (3, 6, 10)),
        (7, 2, 3, 3, {"padding": [1, 1], "stride": [2, 1]}, (3, 4, 7)),
    ],
)
def test_output_sizes(backend, size, channels, filters, kernel, arguments, expected):
    x = exact_integers((2, channels, size, size), 1)
    weight = exact_integers((filters, channels, kernel, kernel), 2)
    y = backend.ops.conv2d(x, weight, **arguments)
    assert y.shape == (2, *expected)
    assert_exact(y, reference.conv2d(x.astype(float), weight, **arguments), np.float32)
    grad = exact_integers(y.shape, 3)
    dx = backend.ops.conv2d_backward_input(grad, weight, x.shape, **arguments)
    dw, db = backend.ops.conv2d_backward_weight(grad, x, weight.shape, **arguments)
    wide = grad.astype(float)
    assert_exact(
        dx, reference.conv2d_backward_input(wide, weight, x.shape, **arguments), np.float32
    )
    expected_dw, expected_db = reference.conv2d_backward_weight(wide, x, weight.shape, **arguments)
    assert_exact(dw, expected_dw, np.float32)
    assert_exact(db, expected_db, np.float32)


def test_weight_gradient_without_bias(backend):
    x, grad = exact_integers((2, 3, 6, 6), 1), exact_integers((2, 4, 4, 4), 2)
    dw, db = backend.ops.conv2d_backward_weight(grad, x, (4, 3, 3, 3), bias=False)
    assert db is None and dw.shape == (4, 3, 3, 3)


def test_empty_batch_has_zero_weight_gradient(backend):
    x, grad = np.zeros((0, 3, 6, 6), np.float32), np.zeros((0, 4, 4, 4), np.float32)
    dw, db = backend.ops.conv2d_backward_weight(grad, x, (4, 3, 3, 3))
    assert not dw.any() and not db.any()
    assert backend.ops.conv2d_backward_input(grad, dw, x.shape).shape == x.shape


def test_nan_and_infinity_stay_in_their_windows(backend):
    x = exact_integers((1, 4, 9, 9), 1, low=1)
    x[0, 1, 2, 2], x[0, 2, 7, 7] = np.nan, np.inf
    weight = np.ones((5, 4, 3, 3), np.float32)
    y = backend.ops.conv2d(x, weight, padding=1, algorithm="direct")
    expected = reference.conv2d(x.astype(float), weight, padding=1)
    assert_exact(y, expected, np.float32)
    assert np.isnan(y).sum() == 5 * 9 and np.isinf(y).sum() == 5 * 9


@pytest.mark.parametrize("pass_name", PASSES)
def test_no_network_layer_falls_to_the_plain_path(pass_name):
    for descriptor in descriptor_set(*NETWORKS):
        problem = parse_descriptor(descriptor)
        for layout in ("contiguous", "channels_last"):
            name = _core.conv_implementation(problem, pass_name, "float32", layout, layout)
            assert name and "plain" not in name, f"{descriptor} {pass_name} {layout}: {name}"


@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize(
    "descriptor", ["n8g32c32h112k32r3p1", "n1g17c17h9k34r3sh2p1", "n8g32c128h56k128r3p1"]
)
def test_groups_of_few_channels_have_their_own_kernels(descriptor, pass_name):
    problem = parse_descriptor(descriptor)
    names = {"contiguous": "planar-depthwise", "channels_last": "depthwise"}
    for layout, name in names.items():
        assert _core.conv_implementation(problem, pass_name, "float32", layout, layout) == name


@pytest.mark.parametrize(
    ("descriptor", "pass_name"),
    [
        ("n2c3h24k32r3sh2p1", "backward_input"),
        ("n2c3h24k64r7sh2p3", "backward_input"),
        ("n1c1h1w4100k16r1s9pw4", "backward_input"),
        ("n2c32h9k3r3p1dh2", "forward"),
        ("n2c48h7k8r1", "forward"),
    ],
)
def test_few_outputs_channels_last_are_dot_products(cpu, descriptor, pass_name):
    problem = parse_descriptor(descriptor)
    for layout in ("contiguous", "channels_last"):
        name = _core.conv_implementation(problem, pass_name, "float32", layout, layout)
        assert (name == "channels-last-dot") == (layout == "channels_last"), name
    for dtype in ("float32", "float64"):
        check(cpu.ops, descriptor, pass_name, "channels_last", dtype)


@pytest.mark.parametrize(
    "descriptor", ["n2g2c40h11k70r3sh2p1", "n1c19h9k35r5sh3p2", "n2g3c36h8k60r2sh2"]
)
def test_strided_backward_of_kernels_turned_once(cpu, descriptor):
    for layout in ("contiguous", "channels_last"):
        for dtype in ("float32", "float64"):
            check(cpu.ops, descriptor, "backward_input", layout, dtype)


def test_every_set_has_its_passes():
    assert passes("pool:n1c1h4r2") == ("forward", "backward_input")
    assert passes("n1c1h4k1r1") == PASSES
