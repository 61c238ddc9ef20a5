"""Padding and interpolation: values, gradients, layouts, errors."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.nn import functional as F
from fastconv.nn import tables
from fastconv.reference.layout import lies_channels_last
from fastconv.testing import LAYOUTS, assert_exact, exact_integers, lay_out, normal

NUMPY = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
PADS = [
    ((2, 3, 9), (2, 1)),
    ((2, 3, 6, 5), (1, 0, 2, 4)),
    ((2, 3, 6, 5), (0, 3)),
    ((0, 3, 6, 5), (1, 1, 1, 1)),
    ((1, 2, 4, 5, 6), (1, 2, 0, 3, 2, 1)),
]


@pytest.mark.parametrize("mode", NUMPY)
@pytest.mark.parametrize("shape, pad", PADS)
def test_pad_is_numpys(shape, pad, mode):
    x = exact_integers(shape, 1)
    sides = [(0, 0)] * (len(shape) - len(pad) // 2) + list(zip(pad[::2], pad[1::2], strict=True))[
        ::-1
    ]
    for layout in LAYOUTS:
        y = F.pad(fc.tensor(lay_out(x, layout)), pad, mode).data
        assert_exact(y, np.pad(x, sides, NUMPY[mode]), np.float32)
        if layout == "channels_last" and x.size and x.ndim == 4:
            assert lies_channels_last(y)


@pytest.mark.parametrize("mode", NUMPY)
@pytest.mark.parametrize("shape, pad", [case for case in PADS if case[0][0]])
def test_gradient_of_pad_is_its_transpose(shape, pad, mode):
    x = fc.tensor(
        lay_out(exact_integers(shape, 1, np.float64), "channels_last"), requires_grad=True
    )
    y = F.pad(x, pad, mode)
    grad = exact_integers(y.shape, 2, np.float64)
    y.backward(fc.tensor(grad))
    probe = exact_integers(shape, 3, np.float64)
    moved = F.pad(fc.tensor(probe), pad, mode).data
    assert np.vdot(grad, moved) == np.vdot(x.grad.data, probe)
    assert np.count_nonzero(x.grad.data) > x.data.size // 2


def test_pad_with_a_value_and_negative_pad():
    x = fc.tensor(exact_integers((1, 2, 4, 5), 1), requires_grad=True)
    y = F.pad(x, (-1, 2, 1, -2), value=7)
    assert y.shape == (1, 2, 3, 6)
    np.testing.assert_array_equal(y.data[:, :, 1:, :4], x.data[:, :, :2, 1:])
    assert (y.data[:, :, 0] == 7).all() and (y.data[..., 4:] == 7).all()
    y.sum().backward()
    assert x.grad.data[0, 0].tolist() == [[0, 1, 1, 1, 1]] * 2 + [[0] * 5] * 2


def test_padding_layers():
    x = fc.tensor(exact_integers((1, 2, 3, 4), 1))
    assert nn.ZeroPad2d(2)(x).shape == (1, 2, 7, 8)
    assert nn.ZeroPad2d((1, 2, 3, 4))(x).shape == (1, 2, 10, 7)
    assert (nn.ConstantPad2d(1, 3.0)(x).data[:, :, 0] == 3).all()
    np.testing.assert_array_equal(nn.ReplicationPad2d(1)(x).data[:, :, 0, 1:-1], x.data[:, :, 0])
    np.testing.assert_array_equal(nn.ReflectionPad2d(1)(x).data[:, :, 0, 1:-1], x.data[:, :, 1])
    row = fc.tensor(exact_integers((2, 3, 5), 2))
    np.testing.assert_array_equal(nn.ReflectionPad1d((2, 0))(row).data[..., 0], row.data[..., 2])


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_interpolation_keeps_the_layout_and_constants(mode, layout):
    x = fc.tensor(lay_out(np.full((2, 5, 6, 7), 3, np.float32), layout), requires_grad=True)
    y = F.interpolate(x, scale_factor=2, mode=mode)
    assert y.shape == (2, 5, 12, 14) and (y.data == 3).all()
    assert lies_channels_last(y.data) == (layout == "channels_last")
    y.backward(fc.tensor(np.ones(y.shape, np.float32)))
    assert x.grad.data.sum() == pytest.approx(y.data.size, rel=1e-6)
    assert lies_channels_last(x.grad.data) or layout == "contiguous"


def test_interpolation_of_a_ramp_is_the_ramp():
    x = fc.tensor(np.arange(5, dtype=np.float64).reshape(1, 1, 1, 5))
    y = F.interpolate(x, (1, 9), mode="bilinear", align_corners=True)
    np.testing.assert_allclose(y.data.ravel(), np.arange(9) / 2, rtol=1e-15)
    assert F.interpolate(x, (1, 10)).data.ravel().tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_gradient_of_interpolation_is_its_transpose():
    x = fc.tensor(normal((2, 3, 5, 7), 1, np.float64), requires_grad=True)
    for settings in ({"size": (11, 3)}, {"scale_factor": (0.7, 1.9)}):
        for mode in ("nearest", "bilinear"):
            y = F.interpolate(x, mode=mode, **settings)
            grad, x.grad = normal(y.shape, 2, np.float64), None
            y.backward(fc.tensor(grad))
            assert np.vdot(grad, y.data) == pytest.approx(np.vdot(x.grad.data, x.data), rel=1e-12)


X = fc.tensor(np.zeros((1, 2, 4, 5), np.float32))


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: F.pad(X, (1, 1, 1)), "pad: pad must have two numbers for each"),
        (lambda: F.pad(X, (1,) * 10), "pad: pad must have two numbers for each"),
        (lambda: F.pad(X, (5, 0), "reflect"), "pad: (5, 0) cells cannot be made of 5 by reflect"),
        (lambda: F.pad(X, (6, 0), "circular"), "pad: (6, 0) cells cannot be made of 5"),
        (lambda: F.pad(X, (-1, 0), "reflect"), "pad: pad must be at least 0, got -1"),
        (lambda: F.pad(X, (-3, -2)), "pad: (-3, -2) leaves nothing of dimension 3"),
        (lambda: F.pad(X, (1, 1), "mirror"), "pad: mode must be one of"),
        (lambda: F.pad(X, (1, 1), "reflect", 3), "pad: mode 'reflect' takes no value"),
        (lambda: nn.ZeroPad2d((1, 2)), "ZeroPad2d: padding must be an integer or 4"),
        (lambda: nn.ReflectionPad2d(-1), "ReflectionPad2d: padding must be at least 0"),
        (lambda: nn.ZeroPad1d(1)(X), "ZeroPad1d: input has shape (1, 2, 4, 5), expected 3"),
        (lambda: F.interpolate(X), "interpolate: expected either size or scale_factor"),
        (lambda: F.interpolate(X, 3, 2), "interpolate: expected either size or scale_factor"),
        (lambda: F.interpolate(X, 3, mode="cubic"), "interpolate: mode must be one of"),
        (lambda: F.interpolate(X, 3, mode="linear"), "interpolate: mode 'linear' does not go with"),
        (lambda: F.interpolate(X, 3, align_corners=True), "takes no align_corners"),
        (lambda: F.interpolate(X, 0), "interpolate: size must be at least 1"),
        (lambda: F.interpolate(X, scale_factor=0.1), "leaves nothing of shape (1, 2, 4, 5)"),
        (lambda: F.interpolate(X, scale_factor=(1, 2, 3)), "scale_factor must be a number or 2"),
        (lambda: F.interpolate(X, scale_factor=-1), "scale_factor must be positive"),
        (lambda: nn.Upsample(), "Upsample: expected either size or scale_factor"),
    ],
)
def test_wrong_values(call, text):
    with pytest.raises((ValueError, TypeError)) as raised:
        call()
    assert text in str(raised.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda: F.pad(np.zeros((1, 2)), (1, 1)),
        lambda: F.pad(X, 1),
        lambda: F.pad(X, (1.0, 1)),
        lambda: F.interpolate(X, 3.5),
        lambda: F.interpolate(X, scale_factor="2"),
    ],
)
def test_wrong_types(call):
    with pytest.raises(TypeError):
        call()


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_interpolation_is_of_floating_numbers(dtype):
    with pytest.raises(TypeError, match=f"interpolate: input must be float32 .* got {dtype}"):
        F.interpolate(fc.tensor(np.ones((1, 1, 2, 2), dtype)), 4)


@pytest.mark.parametrize("batch", [0, 1])
@pytest.mark.parametrize("settings", [{"size": 2**40}, {"scale_factor": 1e300}])
def test_interpolation_to_what_cannot_be_held(settings, batch):
    for x in (fc.zeros(batch, 1, 4), fc.zeros(batch, 2, 3, 4)):
        with pytest.raises(ValueError, match=r"interpolate: (size|scale_factor)=.* is too large"):
            F.interpolate(x, **settings)


def test_a_scale_whose_product_is_infinite_is_refused():
    with pytest.raises(ValueError, match=r"interpolate: scale_factor=1e\+308 is too large for"):
        F.interpolate(fc.zeros(1, 1, 100), scale_factor=1e308)


def test_tables_are_kept_up_to_so_many_bytes():
    built = []

    @tables.remembered
    def table(size):
        built.append(size)
        return (np.zeros(size, np.uint8), (np.zeros(0), True))

    limit = tables._KEPT_BYTES
    for size in (limit // 2, limit // 2, 8, limit // 2, limit + 1, 8):
        assert table(size)[0].nbytes == size
    assert built == [limit // 2, 8, limit + 1]
    table(limit // 2 - 1), table(limit // 2)  # the oldest, 8, stays; the half in between went
    assert built[3:] == [limit // 2 - 1, limit // 2]
