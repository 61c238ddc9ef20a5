"""Course E3: the network of sigmoids, trained with the lecture's update rule.

conv, sigmoid, pool, conv, sigmoid, pool, fully connected, sigmoid, fully connected, softmax; and
w <- w - eta dL/dw, written out. Digits are made up, or MNIST's where --data-dir holds them.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import data as sets
from fastconv import nn
from fastconv.examples.datasets import digit_data
from fastconv.examples.show import check_that, picture, share_right, start
from fastconv.models import sigmoid_net, summary

ETA, EPOCHS = 0.5, 9


def main(pictures: Path | None = None, data: Path | None = None) -> None:
    (images, labels), (unseen, truth) = digit_data(data, 1500, 1000)
    fc.manual_seed(0)
    network = sigmoid_net()
    print("  " + str(summary(network, (1, 28, 28))).replace("\n", "\n  "))
    losses = []
    for epoch in range(EPOCHS):
        batches = sets.DataLoader(sets.ArrayDataset(images, labels), 20, shuffle=True, seed=epoch)
        for x, y in batches:
            loss = nn.functional.cross_entropy(network(x), y)
            network.zero_grad()
            loss.backward()
            for w in network.parameters():
                w.data -= ETA * w.grad.data
            losses.append(loss.item())
    means = np.reshape(losses, (EPOCHS, -1)).mean(axis=1)
    print("  loss by epoch: " + ", ".join(f"{mean:.3f}" for mean in means))
    right = share_right(network, unseen, truth)
    check_that(f"{right:.1%} of 1000 unseen digits are right", right > 0.7)

    if pictures:
        with picture(pictures, "sigmoid_network", size=(5, 3.4)) as (axes,):
            axes.plot(np.arange(len(losses)) / len(losses) * EPOCHS, losses, lw=0.4, alpha=0.5)
            axes.plot(np.arange(EPOCHS) + 0.5, means, "o-", label="mean of an epoch")
            axes.set(xlabel="epoch", ylabel="loss", title="sigmoids, w <- w - eta dL/dw")
            axes.legend()


if __name__ == "__main__":
    start(main)
