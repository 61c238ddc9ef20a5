"""Course C10: shifted input gives a shifted map, and the pooled answer does not move.

conv(shift(x)) = shift(conv(x)) wherever the pattern stays inside, for every filter; the maximum
over the whole map is then the same number: equivariance, and the classifier's invariance.
"""

from pathlib import Path

import numpy as np

from fastconv import ops
from fastconv.data.drawings import draw
from fastconv.examples.show import check_that, draw_image, picture, start

SHIFTS = [(0, 0), (9, 4), (-6, 11), (-12, -13)]


def main(pictures: Path | None = None) -> None:
    rng = np.random.default_rng(0)
    drawing = np.round(8 * (draw(1, seed=3)[0] + 1))  # whole numbers: every sum is exact
    field = np.pad(drawing, ((0, 0), (0, 0), (18, 18), (18, 18)))
    weight = rng.integers(-3, 4, (4, 1, 5, 5)).astype(np.float32)

    def features(x: np.ndarray) -> np.ndarray:
        return ops.conv2d(x, weight, padding=2, activation="relu")

    maps, answers = [], []
    for dy, dx in SHIFTS:
        moved = np.roll(field, (dy, dx), axis=(2, 3))
        maps.append(features(moved))
        answers.append(maps[-1].max(axis=(2, 3)))
        same = np.array_equal(maps[-1], np.roll(maps[0], (dy, dx), axis=(2, 3)))
        check_that(f"conv(shift(x)) = shift(conv(x)) for a shift by ({dy}, {dx})", same)
    check_that(
        "the pooled features are the same for all shifts", np.ptp(answers, axis=0).max() == 0
    )
    print(f"  pooled features: {answers[0][0]}")
    dense = rng.standard_normal((1, field.size)).astype(np.float32)
    outputs = [ops.linear(np.roll(field, s, (2, 3)).reshape(1, -1), dense).item() for s in SHIFTS]
    check_that("a fully connected unit's answer changes with every shift", len(set(outputs)) == 4)

    if pictures:
        with picture(pictures, "equivariance", 2, 4, size=(8, 4.2)) as axes:
            for number, shift in enumerate(SHIFTS):
                draw_image(axes[number], np.roll(field, shift, (2, 3))[0, 0], f"shift {shift}")
                draw_image(axes[4 + number], maps[number][0, 0], f"map, max {answers[0][0, 0]:.0f}")


if __name__ == "__main__":
    start(main)
