"""Course B6: the optimizers' update rules, as formulas beside the kernels, over 100 updates."""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv.examples.show import check_that, leaf, start

OPTIMIZERS = {
    "SGD": (fc.optim.SGD, {}),
    "momentum": (fc.optim.SGD, {"momentum": 0.9}),
    "Nesterov": (fc.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "Adagrad": (fc.optim.Adagrad, {}),
    "Adadelta": (fc.optim.Adadelta, {}),
    "RMSprop": (fc.optim.RMSprop, {}),
    "Adam": (fc.optim.Adam, {}),
    "AdamW": (fc.optim.AdamW, {"weight_decay": 0.01}),
    "LAMB": (fc.optim.LAMB, {"eps": 1e-8}),
}


def formula(name: str, s: dict, g: np.ndarray, p: np.ndarray, t: int) -> np.ndarray:
    """What update t takes off p, in units of the learning rate; s is what the rule keeps."""
    if name in ("SGD", "momentum", "Nesterov"):
        s["v"] = 0.9 * s["v"] + g
        return {"SGD": g, "momentum": s["v"], "Nesterov": g + 0.9 * s["v"]}[name]
    if name == "Adagrad":
        s["E"] = s["E"] + g * g
        return g / (np.sqrt(s["E"]) + 1e-10)
    if name == "Adadelta":
        s["E"] = 0.9 * s["E"] + 0.1 * g * g
        d = np.sqrt((s["D"] + 1e-6) / (s["E"] + 1e-6)) * g
        s["D"] = 0.9 * s["D"] + 0.1 * d * d
        return d
    if name == "RMSprop":
        s["E"] = 0.99 * s["E"] + 0.01 * g * g
        return g / (np.sqrt(s["E"]) + 1e-8)
    s["m"], s["v"] = 0.9 * s["m"] + 0.1 * g, 0.999 * s["v"] + 0.001 * g * g
    d = s["m"] / (1 - 0.9**t) / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-8)
    lamb = np.linalg.norm(p) / np.linalg.norm(d) * d
    return {"Adam": d, "AdamW": d + 0.01 * p, "LAMB": lamb}[name]


def main(pictures: Path | None = None) -> None:
    grads = np.random.default_rng(0).standard_normal((100, 6))
    for name, (kind, options) in OPTIMIZERS.items():
        p, kept = np.linspace(-2, 2, 6), dict.fromkeys("vEDm", 0.0)
        parameter = leaf(p)
        optimizer = kind([parameter], lr=0.05, **options)
        for t, g in enumerate(grads, start=1):
            p = p - 0.05 * formula(name, kept, g, p, t)
            parameter.grad = fc.tensor(g)
            optimizer.step()
        gap = np.abs(parameter.data - p).max()
        check_that(f"{name}: formula and kernel are {gap:.0e} apart", gap < 1e-12)


if __name__ == "__main__":
    start(main)
