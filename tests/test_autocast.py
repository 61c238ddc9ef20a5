"""Mixed precision, on the emulated CUDA backend, and the scaling of the loss."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from emulator import backend as emulated
from emulator import cupy_stand_in

import fastconv as fc
from fastconv import nn, optim
from fastconv.nn import functional as F
from fastconv.testing import normal
from fastconv.train import GradScaler


@pytest.fixture
def cuda(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", cupy_stand_in)
    emulated.register()


def network():
    fc.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(4 * 4 * 4, 5)),
    )


def batch():
    return fc.tensor(normal((6, 1, 8, 8), 3)), fc.tensor(np.arange(6) % 5)


def step(model, x, y, dtype=None):
    """The loss, with gradients left in the model."""
    with fc.autocast(dtype or "bfloat16", enabled=dtype is not None):
        loss = F.cross_entropy(model(x), y)
    loss.backward()
    return loss


@pytest.mark.parametrize("dtype, unit", [("bfloat16", 2**-8), ("float16", 2**-11)])
def test_a_step_is_the_float32_step_rounded(cuda, dtype, unit):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    (x, y), plain, mixed = batch(), network(), network()
    expected = step(plain, x, y)
    mixed.to("cuda")
    loss = step(mixed, x.to("cuda"), y.to("cuda"), dtype)
    assert loss.dtype == np.float32
    assert loss.item() == pytest.approx(expected.item(), rel=4 * unit)
    for p, q in zip(plain.parameters(), mixed.parameters(), strict=True):
        assert q.dtype == q.grad.dtype == np.float32
        difference = np.linalg.norm(p.grad.numpy() - q.grad.cpu().numpy())
        assert 0 < difference <= 8 * unit * np.linalg.norm(p.grad.numpy())


def test_what_computes_in_which_dtype(cuda):
    x = fc.tensor(normal((2, 3, 4, 4), 1)).to("cuda")
    weight = fc.tensor(normal((4, 3, 3, 3), 2)).to("cuda")
    with fc.autocast("float16"):
        y = F.conv2d(x, weight)
        assert y.dtype == np.float16 and F.relu(y).dtype == np.float16
        assert F.softmax(y, 1).dtype == np.float32
        with fc.autocast("float16", enabled=False):
            assert F.conv2d(x, weight).dtype == np.float32
        double = x.to(np.float64)
        assert F.conv2d(double, weight.to(np.float64)).dtype == np.float64
    assert F.conv2d(x, weight).dtype == np.float32


def test_as_a_decorator(cuda):
    @fc.autocast("float16")
    def forward(x, weight):
        return F.linear(x, weight)

    x = fc.tensor(normal((2, 3), 1)).to("cuda")
    assert forward(x, x).dtype == np.float16
    assert F.linear(x, x).dtype == np.float32


def test_the_cpu_refuses():
    x = fc.tensor(normal((2, 3), 1))
    with (
        fc.autocast("float16"),
        pytest.raises(TypeError, match=r"^linear: autocast to float16 is for CUDA tensors, got"),
    ):
        F.linear(x, x)
    with pytest.raises(ValueError, match="dtype must be one of"):
        fc.autocast("float32")


def scaled_step(scaler, p, optimizer, gradient):
    scaler.scale((p * fc.tensor(gradient)).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()


def test_scaled_steps_equal_plain_ones():
    p = nn.Parameter(np.ones(3, np.float32))
    scaler = GradScaler(init_scale=2.0**10, growth_interval=2)
    optimizer = optim.SGD([p], lr=0.5)
    scaled_step(scaler, p, optimizer, np.float32([1, 2, 3]))
    np.testing.assert_array_equal(p.data, [0.5, 0.0, -0.5])
    scaled_step(scaler, p, optimizer, np.float32([1, 0, 0]))
    assert scaler.get_scale() == 2.0**11


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_step_with_bad_gradients_is_skipped(bad):
    p = nn.Parameter(np.ones(2, np.float32))
    scaler, optimizer = GradScaler(init_scale=8.0), optim.SGD([p], lr=0.5)
    p.grad = fc.tensor(np.float32([1, bad]))
    scaler.step(optimizer)
    scaler.update()
    np.testing.assert_array_equal(p.data, [1, 1])
    assert scaler.get_scale() == 4.0
    saved = scaler.state_dict()
    again = GradScaler()
    again.load_state_dict(saved)
    assert again.get_scale() == 4.0


def test_clipping_between():
    p = nn.Parameter(np.zeros(2, np.float32))
    scaler, optimizer = GradScaler(init_scale=16.0), optim.SGD([p], lr=1.0)
    p.grad = fc.tensor(np.float32([48, 64]))
    scaler.unscale_(optimizer)
    assert nn.utils.clip_grad_norm_([p], 1.0).item() == pytest.approx(5.0)
    with pytest.raises(RuntimeError, match="unscale_ has been called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    np.testing.assert_allclose(p.data, [-0.6, -0.8], rtol=1e-6)


def test_the_scale_moves_as_pytorchs():
    torch = pytest.importorskip("torch")
    options = {"init_scale": 64.0, "growth_interval": 3}
    ours, theirs = GradScaler(**options), torch.amp.GradScaler("cpu", **options)
    p, q = nn.Parameter(np.ones(1, np.float32)), torch.nn.Parameter(torch.ones(1))
    pair = optim.SGD([p], lr=0.1), torch.optim.SGD([q], lr=0.1)
    rng = np.random.default_rng(0)
    for _ in range(30):
        gradient = np.float32([np.inf if rng.random() < 0.2 else rng.random()])
        ours.scale((p * fc.tensor(gradient)).sum()).backward()
        theirs.scale((q * torch.from_numpy(gradient)).sum()).backward()
        for scaler, optimizer in zip((ours, theirs), pair, strict=True):
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
        assert ours.get_scale() == theirs.get_scale()
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-6)


def test_off():
    scaler = GradScaler(enabled=False)
    p = nn.Parameter(np.ones(1, np.float32))
    scaled_step(scaler, p, optim.SGD([p], lr=1.0), np.float32([1]))
    assert scaler.get_scale() == 1.0 and p.data[0] == 0
