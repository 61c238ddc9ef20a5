"""Activations with parameters: the values and gradients of torch.nn.functional."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.nn import functional as F
from fastconv.testing import LAYOUTS, assert_matches, lay_out, normal

torch = pytest.importorskip("torch")

CASES = [
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": -0.5}),
    ("elu", {}),
    ("elu", {"alpha": 0.3}),
    ("hardtanh", {}),
    ("hardtanh", {"min_val": -2.0, "max_val": 0.5}),
    ("relu6", {}),
    ("silu", {}),
    ("softplus", {}),
    ("softplus", {"beta": 3.0, "threshold": 2.0}),
    ("gelu", {}),
    ("gelu", {"approximate": "tanh"}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name, parameters", CASES)
def test_functions(name, parameters, dtype):
    x, grad = 4 * normal((3, 5, 9, 8), 1, dtype), normal((3, 5, 9, 8), 2, dtype)
    x[0, 0, 0, :6] = [np.nan, np.inf, 0, -0.0, 100, 6]
    theirs = torch.tensor(x, requires_grad=True)
    expected = getattr(torch.nn.functional, name)(theirs, **parameters)
    expected.backward(torch.tensor(grad))
    wanted = theirs.grad.numpy()
    if not np.isfinite(wanted[0, 0, 0, 1]):  # PyTorch's inf times 0; the limit of the slope is 1
        assert name in ("gelu", "silu")
        wanted[0, 0, 0, 1] = grad[0, 0, 0, 1]
    for layout in LAYOUTS:
        ours = fc.tensor(lay_out(x, layout), requires_grad=True)
        y = getattr(F, name)(ours, **parameters)
        y.backward(lay_out(grad, layout))
        assert_matches(y.data, expected.detach().numpy(), dtype, terms=16, repeat=layout)
        assert_matches(ours.grad.data, wanted, dtype, terms=16, repeat=layout)


LAYERS = [
    (nn.LeakyReLU(), torch.nn.LeakyReLU()),
    (nn.LeakyReLU(0.2), torch.nn.LeakyReLU(0.2)),
    (nn.ELU(), torch.nn.ELU()),
    (nn.ELU(2.0), torch.nn.ELU(2.0)),
    (nn.Hardtanh(), torch.nn.Hardtanh()),
    (nn.Hardtanh(0.0, 2.0), torch.nn.Hardtanh(0.0, 2.0)),
    (nn.ReLU6(), torch.nn.ReLU6()),
    (nn.SiLU(), torch.nn.SiLU()),
    (nn.Softplus(), torch.nn.Softplus()),
    (nn.Softplus(2.0, 5.0), torch.nn.Softplus(2.0, 5.0)),
    (nn.GELU(), torch.nn.GELU()),
    (nn.GELU("tanh"), torch.nn.GELU("tanh")),
]


@pytest.mark.parametrize("ours, theirs", LAYERS, ids=lambda layer: repr(layer))
def test_layers(ours, theirs):
    x = 3 * normal((4, 33), 1)
    assert_matches(ours(fc.tensor(x)).data, theirs(torch.tensor(x)).numpy(), np.float32, terms=16)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", ["leaky_relu", "gelu", "relu6"])
def test_arrays_are_refused(name):
    with pytest.raises(TypeError, match=f"^{name}: input must be a Tensor, got ndarray"):
        getattr(F, name)(np.ones(3))


def test_a_changed_input_is_noticed():
    x = fc.ones(3).requires_grad_() * 2
    y = F.elu(x)
    x.mul_(2)
    with pytest.raises(RuntimeError, match="elu"):
        y.sum().backward()
