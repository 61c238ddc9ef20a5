"""Course A5: one backward pass through L layers costs O(L), not O(L^2).

Every gate runs its backward once, with the gradient that arrives; nothing is derived anew for each
parameter. Measured on a chain of gates, and counted on a graph with 2^20 paths.
"""

import gc
import time
from pathlib import Path

import fastconv as fc
from fastconv.examples.show import check, check_that, leaf, picture, start

DEPTHS = [250, 500, 1000, 2000, 4000, 8000]


def main(pictures: Path | None = None) -> None:
    gc.collect()
    gc.disable()
    try:
        seconds = [min(measure(depth) for _ in range(3)) for depth in DEPTHS]
    finally:
        gc.enable()
    for depth, time_ in zip(DEPTHS, seconds, strict=True):
        print(f"  {depth:>5} layers: {1e3 * time_:7.2f} ms, {1e6 * time_ / depth:.2f} us a layer")
    # 32 times the layers: 32 times the time if linear, 1024 if quadratic; halfway between them.
    check_that("the time grows with L and not with its square", seconds[-1] / seconds[0] < 32**1.5)

    y = x = leaf(1)
    for _ in range(20):
        y = y * 0.5 + y * 0.5  # two paths from each sum to the next
    y.backward()
    check("the gradient over 2^20 paths, from 60 gates", x.grad, 1)

    if pictures:
        with picture(pictures, "backward_cost", size=(5, 3.5)) as (axes,):
            axes.loglog(DEPTHS, [1e3 * s for s in seconds], "o-", label="measured")
            for power, style, label in ((1, "--", "L"), (2, ":", "L squared")):
                line = [1e3 * seconds[0] * (d / DEPTHS[0]) ** power for d in DEPTHS]
                axes.loglog(DEPTHS, line, style, label=label)
            axes.set_xticks(DEPTHS, DEPTHS)
            axes.set_xticks([], minor=True)
            axes.set(xlabel="layers L", ylabel="backward, ms", title="One backward pass")
            axes.legend()


def measure(depth: int) -> float:
    """Seconds of the backward pass through `depth` gates."""
    y = x = fc.ones(1, requires_grad=True)
    for _ in range(depth):
        y = y * 1.0
    begin = time.thread_time()
    y.backward()
    elapsed = time.thread_time() - begin
    assert x.grad is not None and x.grad.item() == 1
    return elapsed


if __name__ == "__main__":
    start(main)
