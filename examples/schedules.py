"""Course B7: learning-rate schedules: large steps first, small ones later. eta_0 is 1."""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import optim
from fastconv.examples.show import check, picture, start
from fastconv.optim import lr_scheduler as lr

t = np.arange(100)
RISE = 0.1 + 0.09 * t[:10], (1 + np.cos(np.pi * t[:90] / 90)) / 2


def warm_up(o: optim.Optimizer) -> lr.LRScheduler:
    return lr.SequentialLR(o, [lr.LinearLR(o, 0.1, 1, 10), lr.CosineAnnealingLR(o, 90)], [10])


SCHEDULES = {  # how to make it, and the formula of its rates
    "1 / sqrt(t)": (lambda o: lr.LambdaLR(o, lambda s: (s + 1) ** -0.5), (t + 1) ** -0.5),
    "step: a third every 25": (lambda o: lr.StepLR(o, 25, gamma=1 / 3), 3.0 ** -(t // 25)),
    "exponential": (lambda o: lr.ExponentialLR(o, 0.96), 0.96**t),
    "cosine": (lambda o: lr.CosineAnnealingLR(o, 100), (1 + np.cos(np.pi * t / 100)) / 2),
    "warm-up, then cosine": (warm_up, np.concatenate(RISE)),
    "one cycle": (lambda o: lr.OneCycleLR(o, 1.0, total_steps=101), None),
    "on a plateau": (lambda o: lr.ReduceLROnPlateau(o, factor=0.3, patience=15), None),
}


def rates(make) -> np.ndarray:
    """The rate of each step; the plateau sees a loss that falls for 30 steps."""
    optimizer = optim.SGD([fc.zeros(1, requires_grad=True)], lr=1.0)
    schedule, seen = make(optimizer), []
    for step in t:
        seen.append(optimizer.param_groups[0]["lr"])
        loss = [max(0.4, 1 - step / 50)] if isinstance(schedule, lr.ReduceLROnPlateau) else []
        schedule.step(*loss)
    return np.array(seen)


def main(pictures: Path | None = None) -> None:
    found = {name: rates(make) for name, (make, _) in SCHEDULES.items()}
    for name, (_, formula) in list(SCHEDULES.items())[:5]:
        check(f"{name}, at 0, 9, 18, ...", found[name][::9], formula[::9], tolerance=1e-12)
    check("one cycle is fastest in step", found["one cycle"].argmax(), 30)
    check("on a plateau", np.unique(found["on a plateau"]), 0.3 ** t[4::-1], tolerance=1e-12)

    if pictures:
        with picture(pictures, "schedules", 2, 4, size=(10, 4.4)) as axes:
            axes[7].axis("off")
            for a, (name, values) in zip(axes, found.items(), strict=False):
                a.plot(values)
                a.set(ylim=(0, 1.05), title=name)


if __name__ == "__main__":
    start(main)
