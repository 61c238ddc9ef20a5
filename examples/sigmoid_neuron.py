"""Course A1: a sigmoid neuron, gate by gate.

f = 1 / (1 + exp(-(w0 x0 + w1 x1 + w2))). Each gate of the graph keeps its value, and after the
backward pass the gradient of f at it.
"""

from pathlib import Path

from fastconv.examples.show import check, leaf, start


def main(pictures: Path | None = None) -> None:
    w, x = leaf([2, -3, -3]), leaf([-1, -2])
    gates = {"w0 x0": w[0] * x[0], "w1 x1": w[1] * x[1]}
    gates["their sum"] = gates["w0 x0"] + gates["w1 x1"]
    gates["+ w2"] = gates["their sum"] + w[2]
    gates["times -1"] = -1.0 * gates["+ w2"]
    gates["exp"] = gates["times -1"].exp()
    gates["+ 1"] = gates["exp"] + 1.0
    gates["f = 1/x"] = f = 1.0 / gates["+ 1"]
    for gate in gates.values():
        gate.retain_grad()
    f.backward()

    print("  gate         value  gradient")
    for name, gate in gates.items():
        print(f"  {name:<10}{gate.item():8.2f}{gate.grad.item():10.2f}")
    check(
        "values", [g.item() for g in gates.values()], [-2, 6, 4, 1, -1, 0.37, 1.37, 0.73], digits=2
    )
    slopes = [0.2, 0.2, 0.2, 0.2, -0.2, -0.53, -0.53, 1]
    check("gradients", [g.grad.item() for g in gates.values()], slopes, digits=2)
    check("df/dw", w.grad, [-0.20, -0.39, 0.20], digits=2)
    check("df/dx", x.grad, [0.39, -0.59], digits=2)

    print("  the four patterns, for an upstream gradient of 2:")
    x, y = leaf(3), leaf(-4)
    (2.0 * (x + y)).backward()
    check("add distributes", [x.grad.item(), y.grad.item()], [2, 2])
    x, y = leaf(3), leaf(-4)
    (2.0 * (x * y)).backward()
    check("mul swaps", [x.grad.item(), y.grad.item()], [2 * -4, 2 * 3])
    x = leaf(3)
    (2.0 * x + 2.0 * x).backward()
    check("copy adds", x.grad, 4)
    z = leaf([3, -4])
    (2.0 * z.max()).backward()
    check("max routes", z.grad, [2, 0])


if __name__ == "__main__":
    start(main)
