"""Course B11: hardness: the earlier a sample's predicted label settles, the easier it is.

A recorder in the trainer notes after each epoch what the network says of every test sample; its
hardness is the epoch from which on that no longer changes. Digits are made up, or MNIST's where
--data-dir holds them (for CIFAR-10's, hand `Hardness` a loader of them).
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import data as sets
from fastconv import optim
from fastconv.examples.datasets import digit_data
from fastconv.examples.show import check, check_that, draw_image, picture, start
from fastconv.models import lenet5
from fastconv.train import Hardness, Trainer, sample_hardness

EPOCHS = 10


def main(pictures: Path | None = None, data: Path | None = None) -> None:
    said = np.array([[3, 1, 7], [5, 1, 7], [5, 1, 2], [5, 1, 7]])  # after each of four epochs
    check("labels settle in epoch", sample_hardness(said), [2, 1, 4])

    known, (unseen, truth) = digit_data(data, 1200, 500)
    fc.manual_seed(0)
    network = lenet5()
    recorder = Hardness(sets.DataLoader(sets.ArrayDataset(unseen, truth), 100))
    trainer = Trainer(network, optim.Adam(network.parameters(), 3e-3), callbacks=[recorder])
    trainer.fit(sets.DataLoader(sets.ArrayDataset(*known), 64, shuffle=True), epochs=EPOCHS)
    hardness, right = recorder.hardness(), recorder.labels[-1] == truth
    early, late = right[hardness <= 4], right[hardness > 6]
    print(f"  {right.mean():.1%} of 500 test digits are right after {EPOCHS} epochs")
    print(f"  settled by epoch 4: {len(early)}, {early.mean():.1%} right")
    print(f"  settled after epoch 6: {len(late)}, {late.mean():.1%} right")
    check_that("easy samples are right more often than hard ones", early.mean() > late.mean())

    if pictures:
        with picture(pictures, "hard_and_easy_samples", 4, 10, size=(10, 4.4)) as axes:
            for label in range(10):
                order = np.flatnonzero(truth == label)
                order = order[np.argsort(hardness[order], kind="stable")]
                for row, sample in enumerate((*order[:2], *order[-2:])):
                    title = f"{('easy', 'hard')[row // 2]}: {hardness[sample]}"
                    draw_image(axes[10 * row + label], unseen[sample, 0], title)
        with picture(pictures, "hardness", 1, 2, size=(8, 3.2)) as axes:
            axes[0].hist(hardness, bins=np.arange(EPOCHS + 1) + 0.5, rwidth=0.85)
            axes[0].set(xlabel="hardness, epochs", ylabel="samples")
            jitter = np.random.default_rng(0).uniform(-0.3, 0.3, (2, 500))
            axes[1].scatter(
                truth + jitter[0], hardness + jitter[1], c=right, s=8, cmap="coolwarm_r"
            )
            axes[1].set(xlabel="digit", ylabel="hardness", title="red: wrong in the end")
            axes[1].set_xticks(range(10))


if __name__ == "__main__":
    start(main)
