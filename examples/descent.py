"""Course B5: stochastic, mini-batch and full-batch gradient descent, epochs, and when to stop.

One sample a step is noisy and slow an epoch; the full batch is smooth and takes one step an epoch.
Training stops when |f(t + n) - f(t)| < eps: here n = 5 epochs, eps = 0.005.
"""

import time
from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import data, nn, optim
from fastconv.examples.show import check, check_that, picture, start
from fastconv.train import LossConverged, Trainer

BATCHES = {1: 0.01, 32: 0.1, 64: 0.1, 128: 0.1, 512: 0.3}  # samples a step: learning rate
EPOCHS = 150  # at most


def main(pictures: Path | None = None) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 512)
    angle = 2 * np.pi * labels / 3 + 0.45 * rng.standard_normal(512)
    points = np.float32(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    points += 0.2 * rng.standard_normal(points.shape).astype(np.float32)
    curves = {}
    for size, rate in BATCHES.items():
        fc.manual_seed(0)
        network = nn.Linear(2, 3)
        loader = data.DataLoader(data.ArrayDataset(points, labels), size, shuffle=True)
        stop = LossConverged(0.005, n=5)
        descent = optim.SGD(network.parameters(), rate)
        begin = time.perf_counter()
        history = Trainer(network, descent, callbacks=[stop]).fit(loader, epochs=EPOCHS)
        curves[size] = [record["train_loss"] for record in history]
        seconds = time.perf_counter() - begin
        print(
            f"  {size:>3} a step: {len(loader):>3} steps an epoch, {len(history):>3} epochs, "
            f"loss {curves[size][-1]:.3f}, {seconds:.2f} s"
        )
    check("steps an epoch", [-(-512 // size) for size in BATCHES], [512, 16, 8, 4, 1])
    check_that("all came near the same loss", max(c[-1] for c in curves.values()) < 0.5)
    check_that("all stopped by themselves", max(map(len, curves.values())) < EPOCHS)
    for curve in curves.values():
        check_that(
            f"|f(t + n) - f(t)| was {curve[-6] - curve[-1]:.4f}", abs(curve[-6] - curve[-1]) < 0.005
        )

    if pictures:
        with picture(pictures, "descent", size=(5.5, 3.6)) as (axes,):
            for size, curve in curves.items():
                axes.plot(curve, label=f"{size} a step")
            axes.set(xlabel="epoch", ylabel="loss", title="until the loss no longer changes")
            axes.legend()


if __name__ == "__main__":
    start(main)
