"""Course B13: 2*3=36, 7*1=49, 5*2=100, 2*2=16, 3*5=? Learning from examples.

The shortest small program that explains all four; and a network fitted to them, exp(w . log(x, y)).
"""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn, optim
from fastconv.examples.show import check, start

EXAMPLES = {(2, 3): 36, (7, 1): 49, (5, 2): 100, (2, 2): 16}
LEAVES = {"x": lambda x, y: x, "y": lambda x, y: y, "2": lambda x, y: 2}
OPERATIONS = {"+": np.add, "-": np.subtract, "*": np.multiply}


def programs(size: int) -> Iterator[tuple[str, Callable]]:
    """All expressions of `size` leaves."""
    if size == 1:
        yield from LEAVES.items()
    for left in range(1, size):
        for (s, f), (t, g) in product(programs(left), programs(size - left)):
            for sign, op in OPERATIONS.items():
                yield f"({s} {sign} {t})", lambda x, y, f=f, g=g, op=op: op(f(x, y), g(x, y))


def search() -> tuple[str, Callable, int]:
    """The first program, from short to long, that explains the examples; how many were tried."""
    tried = 0
    for size in range(1, 6):
        for text, program in programs(size):
            tried += 1
            if all(program(*inputs) == value for inputs, value in EXAMPLES.items()):
                return text, program, tried
    raise LookupError("no program of five leaves does")


def main(pictures: Path | None = None) -> None:
    text, program, tried = search()
    print(f"  program {tried} is the first to explain all four: {text}")
    check("it says that 3*5 is", program(3, 5), 225)
    x = fc.tensor(np.log(list(EXAMPLES)))
    y = fc.tensor(np.log(list(EXAMPLES.values()))[:, None])
    network = nn.Linear(2, 1).double()
    descent = optim.SGD(network.parameters(), lr=0.2, momentum=0.9)
    for _ in range(1000):
        descent.zero_grad()
        nn.functional.mse_loss(network(x), y).backward()
        descent.step()
    check("the network's exponents of x and y", network.weight.data[0], [2, 2], digits=6)
    answer = np.exp(network(fc.tensor(np.log([[3.0, 5.0]]))).item())
    check("the network says that 3*5 is", answer, 225, digits=6)


if __name__ == "__main__":
    start(main)
