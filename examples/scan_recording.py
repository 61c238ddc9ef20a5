"""Course C9: an MLP slid over a recording: does this signal contain the word?

Slid over all windows, it is a convolutional network with the same weights: filters as long as a
window, then 1x1. The whole signal's answer is the largest window's,
their softmax-weighted mean, or that of a second MLP over the largest of each eighth.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn
from fastconv.examples.generated import WORD, recording, recordings, word_windows
from fastconv.examples.show import check, check_that, fit, picture, start


def train(inputs: np.ndarray, labels: np.ndarray) -> nn.Sequential:
    mlp = nn.Sequential(nn.Linear(inputs.shape[1], 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())
    fit(mlp, inputs, np.float32(labels)[:, None], epochs=15, rate=5e-3, loss=nn.MSELoss())
    return mlp


def main(pictures: Path | None = None) -> None:
    fc.manual_seed(0)
    mlp = train(*word_windows(600))
    first, last = nn.Conv2d(1, 16, (1, len(WORD))), nn.Conv2d(16, 1, 1)
    network = nn.Sequential(first, nn.ReLU(), last, nn.Sigmoid())
    for own, array in zip(network.parameters(), mlp.parameters(), strict=True):
        own.data[...] = array.data.reshape(own.shape)

    sounds, said = recordings(1500, seed=1)
    scans = network(fc.tensor(sounds[:, None, None])).data[:, 0, 0]  # an answer for each window
    windows = np.lib.stride_tricks.sliding_window_view(sounds[0], len(WORD)).copy()
    gap = np.abs(mlp(fc.tensor(windows)).data[:, 0] - scans[0]).max()
    check_that(f"scan and convolutional network agree to rounding ({gap:.0e})", gap < 1e-6)
    for place in (0, 77, 432, 200):
        sound = recording(place, seed=90_000 + place)
        scan = network(fc.tensor(sound.reshape(1, 1, 1, -1))).data.ravel()
        check(f"the word said at {place} is found at", scan.argmax(), place)

    eighths = scans[:, :432].reshape(1500, 8, 54).max(axis=2)
    second = train(eighths[:1000], said[:1000])(fc.tensor(eighths)).data[:, 0]
    softmax = np.average(scans, axis=1, weights=np.exp(20 * scans))
    for name, answer in (("maximum", scans.max(axis=1)), ("softmax", softmax), ("MLP", second)):
        right = ((answer > 0.5) == said)[1000:].mean()
        check_that(f"the {name} is right for {right:.1%} of 500 recordings", right > 0.9)

    if pictures:
        with picture(pictures, "scan_recording", 2, 1, size=(8, 4)) as axes:
            axes[1].sharex(axes[0])
            for a, values in zip(axes, (sound, scan), strict=True):
                a.plot(values, lw=0.7)
                a.axvspan(place, place + len(WORD), alpha=0.2, color="tab:orange")
            axes[0].set_title("recording; the word is shaded")
            axes[1].set_title("the MLP's answer for the window that begins there")


if __name__ == "__main__":
    start(main)
