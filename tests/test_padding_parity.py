"""Padding and interpolation give PyTorch's numbers and gradients."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fastconv as fc
from fastconv.nn import functional as F
from fastconv.testing import assert_matches, lay_out, normal

torch = pytest.importorskip("torch")


def compare(name, x, *arguments, layout="contiguous", **settings):
    theirs = torch.from_numpy(x).requires_grad_()
    expected = getattr(torch.nn.functional, name)(theirs, *arguments, **settings)
    ours = fc.tensor(lay_out(x, layout), requires_grad=True)
    got = getattr(F, name)(ours, *arguments, **settings)
    label = f"{name} {x.shape} {arguments} {settings} {layout}"
    assert_matches(got.data, expected.detach().numpy(), x.dtype, 16, label)
    weights = normal(got.shape, 9, x.dtype)
    expected.backward(torch.from_numpy(weights))
    got.backward(fc.tensor(weights))
    assert_matches(ours.grad.data, theirs.grad.numpy(), x.dtype, 64, label)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_pad(mode):
    for shape, pads in {
        (2, 3, 7): [(1, 2), (3, 0)],
        (2, 5, 6, 7): [(1, 2, 3, 0), (0, 5, 2, 4)],
        (1, 2, 4, 5, 6): [(1, 2, 3, 0, 2, 1)],
    }.items():
        for pad, layout in itertools.product(pads, ["contiguous", "channels_last"]):
            compare("pad", normal(shape, 1), pad, mode, layout=layout)


SIZES = {1: (9,), 2: (9, 6), 3: (4, 9, 6)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_nearest(dims, mode, dtype):
    x = normal((2, 5, *SIZES[dims]), 1, dtype)
    for layout in ("contiguous", "channels_last"):
        for size in (1, 3, 5, 12, 18, 31):
            compare("interpolate", x, size, mode=mode, layout=layout)
        for scale in (0.5, 1, 2, 3, 1.7, 2.6):
            compare("interpolate", x, scale_factor=scale, mode=mode, layout=layout)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_linear(dims, align_corners, dtype):
    mode = (None, "linear", "bilinear", "trilinear")[dims]
    x = normal((2, 5, *SIZES[dims]), 1, dtype)
    settings = {"mode": mode, "align_corners": align_corners}
    for layout in ("contiguous", "channels_last"):
        for size in (1, 3, 9, 12, 18, 31):
            compare("interpolate", x, size, layout=layout, **settings)
        for scale, recompute in itertools.product((0.5, 1, 2, 1.7), (False, True)):
            compare(
                "interpolate",
                x,
                scale_factor=scale,
                recompute_scale_factor=recompute,
                layout=layout,
                **settings,
            )


@pytest.mark.parametrize(
    "layer, arguments, shape",
    [
        ("ZeroPad2d", ((1, 2, 0, 3),), (2, 3, 5, 6)),
        ("ConstantPad1d", (2, 1.5), (2, 3, 5)),
        ("ReflectionPad1d", (2,), (2, 3, 5)),
        ("ReflectionPad2d", ((1, 2, 0, 3),), (2, 3, 5, 6)),
        ("ReplicationPad2d", (4,), (2, 3, 5, 6)),
        ("ReplicationPad3d", (1,), (2, 3, 4, 5, 6)),
        ("Upsample", (None, 2, "bilinear"), (2, 3, 5, 6)),
        ("Upsample", ((7, 9),), (2, 3, 5, 6)),
        ("UpsamplingNearest2d", (None, 3), (2, 3, 5, 6)),
        ("UpsamplingBilinear2d", ((3, 11),), (2, 3, 5, 6)),
    ],
)
def test_layers(layer, arguments, shape):
    x = normal(shape, 5)
    expected = getattr(torch.nn, layer)(*arguments)(torch.from_numpy(x))
    got = getattr(fc.nn, layer)(*arguments)(fc.tensor(x))
    assert_matches(got.data, expected.numpy(), np.float32, 8)
