"""Tensors, layers, optimizers and training on a CUDA device: the same bits as on the CPU.

The arrays are the stand-in's, the kernels the CPU's and NumPy's: what differs is a way through
fastconv that goes over the host, or mixes the two.
"""

from __future__ import annotations

import copy
import itertools
import sys

import numpy as np
import pytest
import test_gradients
from emulator import cupy_stand_in as cupy

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import nn, optim
from fastconv.cli import main
from fastconv.data import ArrayDataset, DataLoader
from fastconv.devices import describe_cuda, to_device
from fastconv.models import summary
from fastconv.train import Checkpoint, Trainer

pytestmark = pytest.mark.usefixtures("cuda_by_cpu")


def normal(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def host(array):
    return cupy.on_host(array) if cupy.is_array(array) else array


def assert_same(actual, expected):
    assert cupy.is_array(actual) and actual.dtype == expected.dtype
    assert actual.shape == np.shape(expected)
    np.testing.assert_array_equal(host(actual), expected)


def test_device_names():
    assert fc.device("cuda") == fc.device("cuda:0") == fc.Device("cuda", 0)
    assert str(fc.device("cuda:3")) == "cuda:3" and fc.device("cpu").index is None
    assert fc.device("cpu") != fc.device("cuda") and fc.device(fc.device("cpu")).type == "cpu"
    assert len({fc.device("cuda"), fc.device("cuda:0"), fc.device("cpu")}) == 2
    for wrong in ("gpu", "cuda:", "cuda:-1", "cpu:0", "cuda:x"):
        with pytest.raises(ValueError, match="device: must be"):
            fc.device(wrong)
    with pytest.raises(TypeError, match="device: expected a name"):
        fc.device(0)


def test_tensors_are_made_on_a_device():
    assert_same(fc.zeros(2, 3, device="cuda").data, np.zeros((2, 3), "f4"))
    assert_same(fc.ones(2, device="cuda:0").data, np.ones(2, "f4"))
    assert_same(fc.arange(4, device="cuda").data, np.arange(4))
    assert_same(fc.tensor([[1.0]], device="cuda").data, np.ones((1, 1), "f4"))
    fc.manual_seed(1)
    drawn = fc.randn(3).data
    fc.manual_seed(1)
    assert_same(fc.randn(3, device="cuda").data, drawn)
    array = cupy.asarray(normal(3))
    assert fc.tensor(array).data is array and fc.Tensor(array).device.type == "cuda"


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_tensors_of_16_bits_are_for_devices(kind):
    if kind == "bfloat16":
        pytest.importorskip("ml_dtypes")
    with pytest.raises(TypeError, match=f"to: dtype {kind} is not supported on cpu"):
        fc.ones(2).to(kind)
    x = fc.ones(2, device="cuda", requires_grad=True)
    y = x.to(kind)
    assert str(y.dtype) == kind and y.requires_grad
    (y * 2).sum().backward()
    assert_same(x.grad.data, np.full(2, 2, "f4"))


def test_moving_keeps_values_layout_and_gradients():
    array = normal(2, 4, 4, 3).transpose(0, 3, 1, 2)
    x = fc.tensor(array, requires_grad=True)
    y = x.cuda()
    assert_same(y.data, array)
    assert y.data.strides == array.strides and y.cuda() is y and y.to("cuda") is y
    back = y.cpu()
    assert back.data.strides == array.strides and back.device == fc.device("cpu")
    (back * 3).sum().backward()
    np.testing.assert_array_equal(x.grad.data, np.full(array.shape, 3, "f4"))
    assert y.to("cpu", np.float64).dtype == np.float64
    assert y.to(dtype=np.float64, device="cpu").device.type == "cpu"
    with pytest.raises(TypeError, match="to: dtype is given twice"):
        x.to(np.float64, dtype=np.float64)


def test_what_needs_the_cpu_says_so():
    x = fc.ones(2, device="cuda")
    with pytest.raises(TypeError, match=r"numpy: the tensor is on cuda:0; use .cpu\(\) first"):
        x.numpy()
    with pytest.raises(TypeError, match="the tensor is on cuda:0"):
        np.asarray(x)
    assert repr(x) == "tensor([1., 1.], device='cuda:0')"
    assert x.tolist() == [1, 1] and x[0].item() == 1 and float(x.sum()) == 2
    assert x.__dlpack_device__() == (2, 0)


MIXED = {
    "add": lambda x, y: x + y,
    "matmul": lambda x, y: x @ y,
    "add_": lambda x, y: x.add_(y),
    "copy_": lambda x, y: x.copy_(y),
    "eq": lambda x, y: x == y,
    "cat": lambda x, y: fc.cat([x, y]),
    "linear": lambda x, y: F.linear(x, y),
    "mse_loss": lambda x, y: F.mse_loss(x, y),
    "backward": lambda x, y: x.requires_grad_().sum(0).backward(y.sum(0)),
}


@pytest.mark.parametrize("operation", MIXED)
def test_devices_do_not_mix(operation):
    here, there = fc.ones(2, 2), fc.ones(2, 2, device="cuda")
    for x, y in itertools.permutations((here, there)):
        with pytest.raises(TypeError, match=rf"is on {y.device}|is on {x.device}"):
            MIXED[operation](x, y)


def run(function, arrays, device):
    """The result, and the gradients of all inputs."""
    tensors = [fc.tensor(a, requires_grad=True, device=device) for a in arrays]
    y = function(*tensors)
    y.backward(fc.ones(*y.shape, dtype=y.dtype, device=device) if y.shape else None)
    return [y.data, *[x.grad.data for x in tensors]]


@pytest.mark.parametrize(
    "name", [*test_gradients.UNARY, *test_gradients.SEVERAL, "fused conv2d", "fused linear"]
)
def test_every_operation_and_its_gradient(name, monkeypatch):
    fused = {
        "fused conv2d": (
            lambda x, w, b: F.conv2d(x, w, b, padding=1, activation="tanh"),
            normal(2, 2, 4, 4, dtype="f8"),
            normal(3, 2, 3, 3, dtype="f8"),
            normal(3, dtype="f8"),
        ),
        "fused linear": (
            lambda x, w: F.linear(x, w, activation="sigmoid"),
            normal(3, 4, dtype="f8"),
            normal(2, 4, dtype="f8"),
        ),
    }
    function, *arrays = {**test_gradients.UNARY, **test_gradients.SEVERAL, **fused}[name]
    expected = run(function, arrays, "cpu")
    made = fc.tensor
    monkeypatch.setattr(fc, "tensor", lambda *a, **k: made(*a, **{"device": "cuda", **k}))
    for actual, wanted in zip(run(function, arrays, "cuda"), expected, strict=True):
        assert_same(actual, wanted)


def network():
    fc.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(24, 3),
    )


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "Adam": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "Adagrad": lambda p: optim.Adagrad(p, initial_accumulator_value=0.1),
    "Adadelta": lambda p: optim.Adadelta(p),
    "RMSprop": lambda p: optim.RMSprop(p, momentum=0.9, centered=True),
    "LAMB": lambda p: optim.LAMB(p, weight_decay=0.01),
    "LBFGS": lambda p: optim.LBFGS(p, max_iter=4, line_search_fn="strong_wolfe"),
}


def train_steps(model, optimizer, device, steps=3, memory_format=None):
    x = to_device(normal(5, 1, 8, 8), fc.device(device))
    target = to_device(np.arange(5) % 3, fc.device(device))
    model.to(memory_format=memory_format or "contiguous")

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(fc.tensor(x)), fc.tensor(target))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return [host(array) for array in model.state_dict().values()]


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_gives_the_same_weights(name, memory_format):
    results = []
    for device in ("cpu", "cuda"):
        model = network().to(device)
        optimizer = OPTIMIZERS[name](model.parameters())
        results.append(train_steps(model, optimizer, device, memory_format=memory_format))
        assert all(cupy.is_array(p.data) == (device == "cuda") for p in model.parameters())
    for actual, expected in zip(*results[::-1], strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_a_training_step_waits_for_nothing_but_the_loss():
    model = network().cuda()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, target = fc.tensor(normal(5, 1, 8, 8)).cuda(), fc.arange(3, device="cuda")[[0, 1, 2, 0, 1]]
    for step in range(2):
        cupy.calls.clear()
        loss = F.cross_entropy(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        copies = {name: cupy.calls[name] for name in ("get", "asarray", "copy", "synchronize")}
        assert copies == {"get": 0, "asarray": 0, "copy": 0, "synchronize": 0}, step
    loss.item()
    assert cupy.calls["get"] == 1


def test_modules_move_with_gradients_and_buffers():
    model = network()
    model.register_buffer("mean", fc.ones(3))
    model[0].weight.grad = fc.ones(4, 1, 3, 3)
    moved = copy.deepcopy(model).cuda()
    assert {str(tensor.device) for _, tensor in moved._entries()} == {"cuda:0"}
    assert str(moved[0].weight.grad.device) == "cuda:0"
    assert moved.to("cpu", np.float64)[0].weight.dtype == np.float64
    moved.cuda().load_state_dict(copy.deepcopy(model).double().state_dict())
    assert_same(moved[0].weight.data, model[0].weight.data.astype("f8"))
    assert "6 x 2 x 2" in str(summary(network().cuda(), (1, 8, 8)))
    nn.init.normal_(moved[0].weight)
    assert cupy.is_array(moved[0].weight.data)


def test_optimizer_state_travels_between_devices():
    model = network()
    optimizer = optim.Adam(model.parameters())
    train_steps(model, optimizer, "cpu")
    there = copy.deepcopy(model).cuda()
    continued = optim.Adam(there.parameters())
    continued.load_state_dict(optimizer.state_dict())
    assert cupy.is_array(continued.state[there[0].weight]["exp_avg"])
    expected = train_steps(model, optimizer, "cpu")
    for actual, wanted in zip(train_steps(there, continued, "cuda"), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


def test_files_hold_no_device(tmp_path):
    model = network()
    fc.save_weights(model, tmp_path / "cpu.safetensors")
    fc.save_weights(copy.deepcopy(model).cuda(), tmp_path / "cuda.safetensors")
    assert (tmp_path / "cpu.safetensors").read_bytes() == (
        tmp_path / "cuda.safetensors"
    ).read_bytes()
    other = nn.Sequential(*network().children()).cuda()
    fc.load_weights(other, tmp_path / "cpu.safetensors")
    assert_same(other[0].weight.data, model[0].weight.data)


def fit(device, folder, epochs, resume=False):
    model = network().to(device)
    data = ArrayDataset(normal(60, 1, 8, 8), np.arange(60) % 3)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    checkpoint = Checkpoint(folder / f"{device}.safetensors", resume=resume)
    trainer = Trainer(model, optimizer, callbacks=[checkpoint])
    loader = DataLoader(data, 8, shuffle=True, device=device)
    history = trainer.fit(loader, DataLoader(data, 20, device=device), epochs)
    weights = [host(array) for array in model.state_dict().values()]
    return weights, [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def test_the_trainer_trains_and_resumes_on_the_device(tmp_path):
    weights, history = fit("cpu", tmp_path, 3)
    fit("cuda", tmp_path, 1)
    there, resumed = fit("cuda", tmp_path, 3, resume=True)
    assert resumed == history
    for actual, expected in zip(there, weights, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_the_loader_moves_many_batches_at_once():
    data = ArrayDataset(normal(64, 1, 4, 4), np.arange(64))
    batches = list(DataLoader(data, 8, device="cuda"))
    assert len(batches) == 8 and cupy.calls["asarray"] == 2
    assert_same(batches[3][1].data, np.arange(24, 32))


def test_the_command_trains_on_the_device(tmp_path, capsys):
    results = []
    for device in ("cpu", "cuda"):
        folder = str(tmp_path / device)
        options = ["--epochs", "1", "--batch-size", "512", "--device", device, "--output", folder]
        assert main(["train", *options]) == 0
        results.append((tmp_path / device / "model.safetensors").read_bytes())
    assert results[0] == results[1] and cupy.calls["asarray"] > 0
    assert main(["evaluate", str(tmp_path / "cuda")]) == 0
    capsys.readouterr()


def test_the_command_needs_cupy_for_the_device(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main(["train", "--device", "cuda", "--output", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("fastconv train: --device cuda: arrays of a CUDA device are CuPy's")
    assert "pip install 'fastconv[cuda]'" in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_build_without_cuda_describes_itself(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastconv._cuda", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert describe_cuda() == (None, "none: this fastconv was built without CUDA")
