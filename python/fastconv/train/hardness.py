"""How hard samples are to learn: the earlier their predicted label settles, the easier."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.autograd.engine import no_grad
from fastconv.data import DataLoader
from fastconv.devices import to_host
from fastconv.train.trainer import Callback, Trainer


def sample_hardness(labels: np.ndarray) -> np.ndarray:
    """int64 (N,): from which epoch on, counted from 1, each sample's label no longer changes.

    labels: predicted labels (epochs, N), at least one epoch. 1 is easiest; as many as there were
    epochs is a label that changed in the last one.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or not len(labels):
        raise ValueError(f"sample_hardness: expected labels (epochs, N), got {labels.shape}")
    changed = labels[1:] != labels[:-1]
    epochs = np.arange(2, len(labels) + 1)[:, None]
    return np.where(changed, epochs, 1).max(0, initial=1)


class Hardness(Callback):
    """Records which label the model predicts for every sample after each epoch.

    loader: gives the samples, of the training data or others, in one order: it neither shuffles
    nor augments, and leaves none out. Costs one evaluation of them an epoch, and changes nothing
    in the run.
    """

    def __init__(self, loader: DataLoader) -> None:
        if loader.shuffle or loader.drop_last or loader.augment is not None:
            raise ValueError(
                "Hardness: the loader must not shuffle, augment or drop the last batch"
            )
        self.loader = loader
        self._epochs: list[np.ndarray] = []

    @property
    def labels(self) -> np.ndarray:
        """int32 (epochs, N), the label predicted after each epoch."""
        return np.array(self._epochs, np.int32).reshape(-1, len(self.loader.dataset))

    def hardness(self) -> np.ndarray:
        """`sample_hardness` of what has been recorded. ValueError before the first epoch's end."""
        return sample_hardness(self.labels)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        trainer.model.eval()
        with no_grad():
            found = [to_host(trainer.model(inputs).data.argmax(1)) for inputs, *_ in self.loader]
        self._epochs.append(np.concatenate([np.zeros(0, np.int32), *found], dtype=np.int32))

    def state_dict(self) -> dict[str, Any]:
        return {"labels": self.labels}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        labels = state["labels"]
        if labels.shape[1] != len(self.loader.dataset):
            raise ValueError(
                f"Hardness: the state was saved with {labels.shape[1]} samples, the loader has "
                f"{len(self.loader.dataset)}"
            )
        self._epochs = list(labels)
