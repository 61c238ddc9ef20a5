"""Depthwise convolution: kernels that walk over planes and pixels, wherever they begin and end."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fastconv import reference
from fastconv.testing import LAYOUTS, assert_exact, check, exact_integers, lay_out

PASSES = ("forward", "backward_input", "backward_weight")
EXTENTS = ((7, 7), (14, 14), (9, 17), (8, 35), (3, 2), (2, 40))
KERNELS = ("r3p1", "r3sh2p1", "r3sh2", "r3p2", "r3", "r5p2", "r5sh2p2", "r5sh2p1", "r2sh2")


def descriptors():
    for (h, w), kernel in itertools.product(EXTENTS, KERNELS):
        if min(h, w) >= int(kernel[1]) or "p2" in kernel or ("p1" in kernel and kernel[1] == "3"):
            yield f"n2g19c19h{h}w{w}k19{kernel}"
    yield "n1g17c17h5w100k17r3ph1pw20qh1qw20"  # vectors of padding alone
    yield "n1g16c16h9w13k16r3sh2ph0pw0qh1qw1"  # "same" as TensorFlow pads
    yield "n2g24c24h130w60k24r3p1"  # planes that are walked in bands
    yield "n2g24c24h131w61k24r3sh2p1"
    yield "n3g8c8h11w12k16r3p1"  # two outputs a channel
    yield "n1g160c160h6w9k160r3sh2p1"  # more vectors of channels than are put side by side


@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("descriptor", list(descriptors()))
def test_walks_are_exact(cpu, descriptor, pass_name):
    for layout in ("contiguous", "channels_last"):
        for dtype in ("float32", "float64"):
            check(cpu.ops, descriptor, pass_name, layout, dtype)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("place", [(0, 0), (8, 20), (4, 7), (0, 20)])
def test_a_nan_stays_where_it_reaches(cpu, layout, stride, padding, place):
    x = exact_integers((1, 16, 9, 21), 1, low=1)
    x[0, 3][place] = np.nan
    weight = exact_integers((16, 1, 3, 3), 2, low=1)
    arguments = {"stride": stride, "padding": padding, "groups": 16}
    expected = reference.conv2d(x.astype(float), weight, **arguments)
    y = cpu.ops.conv2d(lay_out(x, layout), weight, **arguments)
    assert_exact(y, expected, np.float32)
    grad = exact_integers(y.shape, 3, low=1)
    dw, _ = reference.conv2d_backward_weight(
        grad.astype(float), x.astype(float), weight.shape, **arguments
    )
    got, _ = cpu.ops.conv2d_backward_weight(
        lay_out(grad, layout), lay_out(x, layout), weight.shape, **arguments
    )
    assert_exact(got, dw, np.float32)
