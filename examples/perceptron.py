"""Course B3: the perceptron with a step, and the network of one weight.

A perceptron with a step learns what a line separates. w <- w + (y - y_hat) x multiplies the error
by 1 - x^2 and so diverges for x^2 > 2.
"""

from pathlib import Path

import numpy as np

from fastconv.examples.show import check, check_that, picture, start

INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


def perceptron(targets: list[int]) -> int | None:
    """After how many rounds all four points are right; None where they are not after 100."""
    w, points = np.zeros(3), np.hstack([INPUTS, np.ones((4, 1))])
    for rounds in range(100):
        if all((points @ w > 0) == targets):
            return rounds
        for point, target in zip(points, targets, strict=True):
            w += (target - int(point @ w > 0)) * point
    return None


def one_weight(x: float, steps: int = 40) -> list[float]:
    """|y - y_hat| before each step, for y = 2 x and w from 0."""
    w, errors = 0.0, []
    for _ in range(steps):
        errors.append(abs(2 * x - w * x))
        w += (2 * x - w * x) * x
    return errors


def main(pictures: Path | None = None) -> None:
    for name, targets in {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "XOR": [0, 1, 1, 0]}.items():
        rounds = perceptron(targets)
        check_that(
            f"{name}: rounds until all are right: {rounds}", (rounds is None) == (name == "XOR")
        )

    errors = {x: one_weight(x) for x in (0.5, 1.2, 1.4, 1.43)}
    for x, e in errors.items():
        story = f"x^2 = {x * x:.2f}: the error goes from {e[0]:.2f} to {e[-1]:.2g}"
        check_that(story, (e[-1] < e[0]) == (x * x < 2))
        check("    by the factor |1 - x^2|", e[1] / e[0], abs(1 - x * x), tolerance=1e-12)

    if pictures:
        with picture(pictures, "perceptron", size=(5, 3.5)) as (axes,):
            for x, e in errors.items():
                axes.semilogy(e, label=f"x^2 = {x * x:.2f}")
            axes.set(
                title="one weight: error of w += (y - y_hat) x", xlabel="step", ylim=(1e-9, None)
            )
            axes.legend()


if __name__ == "__main__":
    start(main)
