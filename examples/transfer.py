"""Course E9: transfer: load a trained network, replace its last layer, freeze the rest, retrain.

LeNet-5 learns the digits 0 to 4; its features then serve for 5 to 9, of which there are few.
"""

import tempfile
from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn
from fastconv.examples.datasets import Arrays, digit_data
from fastconv.examples.show import check, check_that, fit, share_right, start
from fastconv.models import lenet5


def only(arrays: Arrays, low: bool, count: int) -> Arrays:
    """The first samples of the digits 0 to 4, or of 5 to 9, whose labels become 0 to 4."""
    images, labels = arrays
    rows = np.flatnonzero((labels < 5) == low)[:count]
    return images[rows], labels[rows] % 5


def main(pictures: Path | None = None, data: Path | None = None) -> None:
    known, other = digit_data(data, 3000, 1500)
    unseen, truth = only(other, False, 500)
    few = only(known, False, 60)
    fc.manual_seed(0)
    source = lenet5(num_classes=5)
    fit(source, *only(known, True, 1500), epochs=5, rate=3e-3)
    print(f"  0 to 4, from 1500 samples: {share_right(source, *only(other, True, 500)):.1%} right")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "digits.safetensors")
        fc.save_weights(source, file)
        network = lenet5(num_classes=5)
        fc.load_weights(network, file)

    network.requires_grad_(False)
    network.fc3 = nn.Linear(84, 5)
    before = network.conv1.weight.data.copy()
    learned = sum(p.numel() for p in network.parameters() if p.requires_grad)
    check("parameters that are still learned, of 61,281", learned, 84 * 5 + 5)
    fit(network, *few, epochs=60, rate=1e-2, batch=20)
    transferred = share_right(network, unseen, truth)
    check_that(
        "the frozen filters are as they were", np.array_equal(network.conv1.weight.data, before)
    )

    scratch = lenet5(num_classes=5)
    fit(scratch, *few, epochs=60, rate=3e-3, batch=20)
    from_nothing = share_right(scratch, unseen, truth)
    print(
        f"  5 to 9, from 60 samples: {transferred:.1%} transferred, {from_nothing:.1%} from nothing"
    )
    check_that("what was learned helps", transferred > from_nothing)


if __name__ == "__main__":
    start(main)
