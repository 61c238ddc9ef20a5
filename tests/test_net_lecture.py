"""The lecture's network and training loop, in its own words: only the import lines differ."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn as nn
import fastconv.nn.functional as F
import fastconv.optim as optim


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()  # noqa: UP008 (as the lecture has it)
        self.conv1 = nn.Conv2d(1, 6, 3)
        self.conv2 = nn.Conv2d(6, 16, 3)
        self.fc1 = nn.Linear(16 * 6 * 6, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, self.num_flat_features(x))
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        x = self.fc3(x)
        return x

    def num_flat_features(self, x):
        size = x.size()[1:]
        num_features = 1
        for s in size:
            num_features *= s
        return num_features


@pytest.mark.parametrize("loss", ["mean squared error", "cross-entropy"])
def test_the_lectures_training_loop(loss):
    fc.manual_seed(0)
    net = Net()
    input = fc.randn(1, 1, 32, 32)
    if loss == "cross-entropy":
        criterion, target = nn.CrossEntropyLoss(), fc.tensor([3])
    else:
        criterion, target = nn.MSELoss(), fc.randn(10).view(1, -1)

    optimizer = optim.SGD(net.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        output = net(input)
        loss = criterion(output, target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert losses == sorted(losses, reverse=True)


def test_its_parameters_and_description():
    net = Net()
    assert sum(p.numel() for p in net.parameters()) == 81_194
    assert len(list(net.parameters())) == 10
    assert (
        repr(net)
        == """Net(
  (conv1): Conv2d(1, 6, kernel_size=(3, 3), stride=(1, 1))
  (conv2): Conv2d(6, 16, kernel_size=(3, 3), stride=(1, 1))
  (fc1): Linear(in_features=576, out_features=120, bias=True)
  (fc2): Linear(in_features=120, out_features=84, bias=True)
  (fc3): Linear(in_features=84, out_features=10, bias=True)
)"""
    )


def test_parameters_of_ten_filters_as_the_lecture_counts_them():
    layer = nn.Conv2d(3, 10, 5, padding=2)
    assert sum(p.numel() for p in layer.parameters()) == (5 * 5 * 3 + 1) * 10 == 760
    x = fc.zeros(1, 3, 32, 32)
    assert layer(x).shape == (1, 10, 32, 32)
    assert nn.Conv2d(3, 10, 5, stride=2, padding=2)(x).shape == (1, 10, 16, 16)
    assert nn.Conv2d(3, 6, 5)(x).shape == (1, 6, 28, 28)


def test_every_step_equals_pytorch():
    torch = pytest.importorskip("torch")
    fc.manual_seed(1)
    net = Net().double()
    names = {"conv1": (1, 6), "conv2": (6, 16)}
    twin = torch.nn.ModuleDict({n: torch.nn.Conv2d(*c, 3) for n, c in names.items()})
    for name, sizes in {"fc1": (576, 120), "fc2": (120, 84), "fc3": (84, 10)}.items():
        twin[name] = torch.nn.Linear(*sizes)
    twin = twin.double()
    twin.load_state_dict({key: torch.tensor(value) for key, value in net.state_dict().items()})

    def forward(x):
        f = torch.nn.functional
        x = f.max_pool2d(f.relu(twin["conv1"](x)), 2)
        x = f.max_pool2d(f.relu(twin["conv2"](x)), 2).flatten(1)
        return twin["fc3"](f.relu(twin["fc2"](f.relu(twin["fc1"](x)))))

    data = fc.randn(4, 1, 32, 32, dtype=np.float64)
    classes = np.array([1, 9, 0, 4])
    ours = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    theirs = torch.optim.SGD(twin.parameters(), lr=0.05, momentum=0.9)
    for _ in range(5):
        ours.zero_grad()
        theirs.zero_grad()
        first = F.cross_entropy(net(data), fc.tensor(classes))
        second = torch.nn.functional.cross_entropy(
            forward(torch.tensor(data.data)), torch.tensor(classes)
        )
        first.backward()
        second.backward()
        np.testing.assert_allclose(first.item(), second.item(), rtol=1e-12)
        for (name, p), q in zip(net.named_parameters(), twin.parameters(), strict=True):
            np.testing.assert_allclose(
                p.grad.data, q.grad.numpy(), rtol=1e-9, atol=1e-13, err_msg=name
            )
        ours.step()
        theirs.step()
