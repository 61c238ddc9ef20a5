"""Course B9: dropout, initial weights, gradient clipping, augmentation and early stopping."""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import data, nn, optim
from fastconv.data.drawings import draw
from fastconv.examples.show import check, check_that, draw_image, picture, start
from fastconv.models import xo_net
from fastconv.train import EarlyStopping, Trainer


def main(pictures: Path | None = None) -> None:
    fc.manual_seed(0)
    ones = fc.ones(100_000)
    dropped = nn.functional.dropout(ones, 0.3).data
    check("dropout of 0.3: share of zeros", (dropped == 0).mean(), 0.3, tolerance=0.01)
    check("mean afterwards: survivors are scaled up", dropped.mean(), 1, tolerance=0.01)
    for name, gain in (("He's weights", 2**0.5), ("weights of half their size", 0.5**0.5)):
        x = fc.randn(64, 256)
        for _ in range(20):
            layer = nn.Linear(256, 256, bias=False)
            nn.init.normal_(layer.weight, std=gain / 16)
            x = layer(x).relu()
        print(
            f"  {name}: activations after 20 ReLU layers have mean square {(x.data**2).mean():.1e}"
        )
    check_that("the smaller ones fade", float((x.data**2).mean()) < 1e-9)

    layer = nn.Linear(10, 1)
    (1000.0 * layer(fc.randn(8, 10))).sum().backward()
    before = nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
    after = np.sqrt(sum((p.grad.data**2).sum() for p in layer.parameters()))
    check(f"clipping: the gradient's norm, {float(before):.0f}, becomes", after, 1, tolerance=1e-4)

    images, labels = draw(200, seed=4)
    changes = data.RandomAffine(degrees=25, shift=3, scale=0.15, fill=-1)
    train = data.DataLoader(data.ArrayDataset(images, labels), 20, shuffle=True, augment=changes)
    validation = data.DataLoader(data.ArrayDataset(*draw(300, seed=5)), 100)
    network, stopping = xo_net(), EarlyStopping("val_loss", patience=3)
    trainer = Trainer(network, optim.Adam(network.parameters(), 8e-3), callbacks=[stopping])
    history = trainer.fit(train, validation, epochs=40)
    losses = [record["val_loss"] for record in history]
    best, right = int(np.argmin(losses)), history[-1]["val_accuracy"]
    print(f"  learned from 200 augmented drawings: {right:.1%} of others are right")
    check("early stopping waits 3 epochs after the best one", len(losses) - 1 - best, 3)

    if pictures:
        with picture(pictures, "training_aids", 2, 6, size=(9, 3.2)) as axes:
            six = data.DataLoader(data.ArrayDataset(images[:6], labels[:6]), 6, augment=changes)
            changed = next(iter(six))[0].data
            for a, b, image, other in zip(axes, axes[6:], images, changed, strict=False):
                draw_image(a, image[0])
                draw_image(b, other[0], "augmented")


if __name__ == "__main__":
    start(main)
