"""Course B12: the lecture's network and training loop, in its own words.

Only the import lines are changed, and what the slide leaves out is added: num_flat_features, an
input, a target and a criterion. 32x32 input, 81,194 parameters.
"""

from pathlib import Path

import fastconv as fc
import fastconv.nn as nn
import fastconv.nn.functional as F
import fastconv.optim as optim
from fastconv.examples.show import check, check_that, start


class Net(nn.Module):
    def __init__(self):
        super().__init__()
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
        return self.fc3(x)

    def num_flat_features(self, x):
        return x.size()[1] * x.size()[2] * x.size()[3]


def main(pictures: Path | None = None) -> None:
    fc.manual_seed(0)
    net = Net()
    input, target = fc.randn(1, 1, 32, 32), fc.randn(1, 10)
    criterion = nn.MSELoss()
    optimizer = optim.SGD(net.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        output = net(input)
        loss = criterion(output, target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    check("parameters", sum(p.numel() for p in net.parameters()), 81_194)
    check("output", output.shape, (1, 10))
    print(f"  loss {losses[0]:.4f} after the first step, {losses[-1]:.4f} after the thirtieth")
    check_that("the loss falls at every step", losses == sorted(losses, reverse=True))


if __name__ == "__main__":
    start(main)
