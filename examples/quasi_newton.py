"""Course B6: L-BFGS beside SciPy's BFGS, in Rosenbrock's valley.

Quasi-Newton methods learn the curvature from the gradients they meet: a few dozen evaluations
where plain descent needs thousands.
"""

from pathlib import Path

import numpy as np

from fastconv import Tensor, optim
from fastconv.examples.show import check, check_that, leaf, need, start

BEGIN = [-1.2, 1.0]


def rosenbrock(p: Tensor) -> Tensor:
    return (1.0 - p[0]) ** 2 + 100.0 * (p[1] - p[0] ** 2) ** 2


def main(pictures: Path | None = None) -> None:
    p, losses = leaf(BEGIN), []
    method = optim.LBFGS([p], max_iter=100, tolerance_change=0, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        method.zero_grad()
        loss = rosenbrock(p)
        loss.backward()
        losses.append(loss.item())
        return loss

    method.step(closure)
    check(f"L-BFGS, {len(losses)} evaluations", p, [1, 1], tolerance=1e-6)

    def with_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        q = leaf(x)
        value = rosenbrock(q)
        value.backward()
        return value.item(), q.grad.data

    scipy = need("scipy.optimize", "scipy")
    result = scipy.minimize(with_gradient, BEGIN, method="BFGS", jac=True)
    check(f"SciPy's BFGS, {result.nfev} evaluations", result.x, [1, 1], tolerance=1e-5)

    q, steps = leaf(BEGIN), 0
    descent = optim.SGD([q], lr=1e-3)
    while rosenbrock(q).item() > 1e-2 and steps < 10_000:
        descent.zero_grad()
        rosenbrock(q).backward()
        descent.step()
        steps += 1
    print(f"  gradient descent has not come below a loss of 0.01 before step {steps}")
    check_that("which is more than 20 times as many", steps > 20 * len(losses))


if __name__ == "__main__":
    start(main)
