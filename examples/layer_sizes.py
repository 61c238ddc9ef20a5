"""Course C3, C14: how large a layer's output is, and how many parameters it has.

Output size floor((W - F + 2P) / S) + 1, parameters (F F D + 1) K: the lecture's layers by formula,
and as a model's summary prints both for every layer.
"""

from pathlib import Path

from fastconv import nn
from fastconv.examples.show import check, start
from fastconv.models import lenet5, summary

# Input W x W x D, K filters F x F, stride S, padding P, and the lecture's output and parameters.
LAYERS = [
    dict(W=32, D=3, K=10, F=5, S=1, P=2, output=(10, 32, 32), parameters=760),
    dict(W=32, D=3, K=10, F=5, S=2, P=2, output=(10, 16, 16), parameters=760),
    dict(W=32, D=3, K=6, F=5, S=1, P=0, output=(6, 28, 28), parameters=456),
    dict(W=7, D=1, K=1, F=3, S=2, P=1, output=(1, 4, 4), parameters=10),
]


def main(pictures: Path | None = None) -> None:
    for layer in LAYERS:
        W, D, K, F, S, P = (layer[name] for name in "WDKFSP")
        print(f"  {W}x{W}x{D}, {K} filters {F}x{F}, stride {S}, padding {P}:")
        size = (W - F + 2 * P) // S + 1
        check("  formula: output", (K, size, size), layer["output"])
        check("  formula: parameters", (F * F * D + 1) * K, layer["parameters"])
        network = nn.Sequential(nn.Conv2d(D, K, F, stride=S, padding=P))
        row = summary(network, (D, W, W)).rows[0]
        check("  summary: output", row.output_shape, layer["output"])
        check("  summary: parameters", row.parameters, layer["parameters"])
    print("\n  the same for every layer of LeNet-5:\n")
    table = summary(lenet5(), (1, 28, 28))
    print("  " + str(table).replace("\n", "\n  "))
    check("its parameters", table.parameters, 61_706)


if __name__ == "__main__":
    start(main)
