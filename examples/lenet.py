"""Course E4: LeNet-5 on 28x28 digits, and the lecture's variant of 3x3 kernels on 32x32.

Digits are made up, or MNIST's where --data-dir holds them. `fastconv train lenet5 --data mnist`
trains to the end: 99.2 %.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv.examples.datasets import digit_data
from fastconv.examples.show import check, check_that, fit, picture, share_right, start
from fastconv.models import lenet5, lenet_3x3, summary
from fastconv.train import confusion_matrix


def main(pictures: Path | None = None, data: Path | None = None) -> None:
    (images, labels), (unseen, truth) = digit_data(data, 2000, 1000)
    check("LeNet-5's parameters", summary(lenet5(), (1, 28, 28)).parameters, 61_706)
    variant = summary(lenet_3x3(), (1, 32, 32))
    check("the 32x32 variant's", variant.parameters, 81_194)
    check(
        "its maps before the first fully connected layer", variant.rows[5].output_shape, (16, 6, 6)
    )

    fc.manual_seed(0)
    for name, network, padding in (("LeNet-5", lenet5(), 0), ("variant", lenet_3x3(), 2)):
        frame = ((0, 0), (0, 0), (padding, padding), (padding, padding))
        known, new = (np.pad(x, frame, constant_values=x.min()) for x in (images, unseen))
        losses = fit(network, known, labels, epochs=4, rate=4e-3)
        right = share_right(network, new, truth)
        print(f"  {name}: loss " + ", ".join(f"{loss:.3f}" for loss in losses))
        check_that(f"{name}: {right:.1%} of 1000 unseen digits are right", right > 0.75)

    with fc.no_grad():
        answers = network(fc.tensor(new)).data.argmax(axis=1)
    table = confusion_matrix(answers, truth, 10)
    check("the confusion matrix's diagonal counts them", np.trace(table), round(1000 * right))
    if pictures:
        with picture(pictures, "lenet", size=(4.6, 4.4)) as (axes,):
            axes.imshow(np.sqrt(table), cmap="Blues")
            for (row, column), count in np.ndenumerate(table):
                colour = "white" if row == column else "black"
                axes.text(column, row, count or "", ha="center", va="center", size=8, color=colour)
            axes.set(xlabel="answer", ylabel="truth", title="confusion matrix of the variant")
            axes.set(xticks=range(10), yticks=range(10))


if __name__ == "__main__":
    start(main)
