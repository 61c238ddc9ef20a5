"""Course B1: the nearest neighbour by L1 and by L2 distance, the baseline of image classification.

A picture gets the label of the training picture whose pixels differ least. Nothing is learned, all
training pictures are kept, and noise counts as much as strokes. scikit-learn does the search.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv.data.drawings import draw
from fastconv.examples.show import check, check_that, draw_image, fit, need, picture, start
from fastconv.models import xo_net

CLASSES = "XO"


def noisy(count: int, split: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = draw(count, seed=0, split=split)
    noise = np.random.default_rng(split).standard_normal(images.shape)
    return images + noise.astype(np.float32), labels


def main(pictures: Path | None = None) -> None:
    KNeighborsClassifier = need("sklearn.neighbors", "scikit-learn").KNeighborsClassifier
    (images, labels), (unseen, truth) = noisy(1000, split=0), noisy(500, split=1)
    flat, right = images.reshape(len(images), -1), {}
    for p in (1, 2):
        search = KNeighborsClassifier(1, p=p, algorithm="brute").fit(flat, labels)
        answers = search.predict(unseen.reshape(len(unseen), -1))
        right[f"nearest by L{p}"] = (answers == truth).mean()

    one, _ = search.kneighbors(unseen[:1].reshape(1, -1))
    by_hand = np.sqrt(((unseen[0] - images) ** 2).sum(axis=(1, 2, 3))).min()
    check("L2 distance to the nearest, as by the formula", one[0, 0], by_hand, tolerance=1e-4)
    fc.manual_seed(0)
    network = xo_net()
    fit(network, images, labels, epochs=10, rate=3e-3, batch=32)
    with fc.no_grad():
        right["a small network"] = (network(fc.tensor(unseen)).data.argmax(1) == truth).mean()
    for name, share in right.items():
        print(f"  {name}: {share:.1%} of 500 unseen drawings, from the same 1000")
    best = max(right["nearest by L1"], right["nearest by L2"])
    check_that("they beat guessing, the network beats them", 0.7 < best < right["a small network"])

    if pictures:
        wrong = np.flatnonzero(answers != truth)[:4]
        nearest = search.kneighbors(unseen[wrong].reshape(4, -1))[1][:, 0]
        with picture(pictures, "nearest_neighbour", 2, 4, size=(7, 3.8)) as axes:
            for a, b, mine, its in zip(axes, axes[4:], wrong, nearest, strict=False):
                draw_image(a, unseen[mine, 0], f"{CLASSES[truth[mine]]}, and by L2")
                draw_image(b, images[its, 0], f"nearest to an {CLASSES[labels[its]]}")


if __name__ == "__main__":
    start(main)
