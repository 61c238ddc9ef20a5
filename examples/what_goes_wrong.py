"""Course B15: what goes wrong: memorised training data, slow sigmoids and tanh, dead units.

A ReLU unit pushed below 0 for every input has gradient 0 and never comes back.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn
from fastconv.examples.generated import plane_points
from fastconv.examples.show import check, check_that, fit, picture, share_right, start


def network(kind: type) -> nn.Sequential:
    fc.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 48), kind(), nn.Linear(48, 48), kind(), nn.Linear(48, 2))


def main(pictures: Path | None = None) -> None:
    points, labels = plane_points("circles", 60, seed=0)
    noisy = np.where(np.random.default_rng(0).uniform(size=60) < 0.15, 1 - labels, labels)
    unseen, truth = plane_points("circles", 1000, seed=1)
    learner, curve = network(nn.ReLU), []
    for _ in range(25):
        fit(learner, points, noisy, epochs=20, rate=3e-3, batch=60)
        curve.append([share_right(learner, points, noisy), share_right(learner, unseen, truth)])
    best = max(test for _, test in curve)
    check("right of the training data, 15% of which are mislabelled", curve[-1][0], 1)
    story = f"of the test data {best:.1%} were right at best, {curve[-1][1]:.1%} in the end"
    check_that(story, curve[-1][1] < min(0.95, best))

    losses = {}
    points, labels = plane_points("spirals", 200, seed=0)
    for kind in (nn.Sigmoid, nn.Tanh, nn.ReLU):
        losses[kind.__name__] = fit(network(kind), points, labels, epochs=150, rate=5e-3)
        print(f"  spirals, {kind.__name__}: loss {losses[kind.__name__][-1]:.4f} after 150 epochs")
    check_that("sigmoids are slowest", max(losses, key=lambda k: losses[k][-1]) == "Sigmoid")

    unit = nn.Linear(2, 1)
    unit.bias.data[...] = -20
    ((unit(fc.tensor(points)).relu() - 1.0) ** 2).mean().backward()
    check("a dead unit's gradient: weights", unit.weight.grad, [[0, 0]])

    if pictures:
        with picture(pictures, "what_goes_wrong", 1, 2, size=(9, 3.4)) as axes:
            axes[0].plot(
                20 * np.arange(1, 26), curve, label=["training, with wrong labels", "test"]
            )
            axes[0].set(xlabel="epoch", ylabel="share right", title="learned by heart")
            for name, values in losses.items():
                axes[1].semilogy(values, label=name)
            axes[1].set(xlabel="epoch", title="loss on spirals")
            for a in axes:
                a.legend()


if __name__ == "__main__":
    start(main)
