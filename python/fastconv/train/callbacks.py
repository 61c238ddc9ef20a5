"""What usually steps into a training loop: progress, history, schedule, curves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from fastconv.files import PathLike, save_json
from fastconv.train.trainer import Callback, Trainer


class Progress(Callback):
    """A line for each epoch on standard output; on a terminal a bar above it meanwhile."""

    def __init__(self) -> None:
        self._bar: Any = None

    def on_epoch_start(self, trainer: Trainer) -> None:
        if not sys.stderr.isatty() or trainer.loader is None:
            return
        from tqdm import tqdm

        self._bar = tqdm(
            total=len(trainer.loader),
            initial=trainer.loader.position,
            desc=f"epoch {trainer.epoch + 1}/{trainer.epochs}",
            unit="batch",
            leave=False,
            dynamic_ncols=True,
        )

    def on_batch_end(self, trainer: Trainer, loss: float) -> None:
        if self._bar is not None:
            self._bar.update()

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        self._close()
        line = f"epoch {record['epoch']:>{len(str(trainer.epochs))}}/{trainer.epochs}"
        line += f"  train_loss {record['train_loss']:.4f}"
        if "val_loss" in record:
            line += f"  val_loss {record['val_loss']:.4f}"
        if "val_accuracy" in record:
            line += f"  val_accuracy {100 * record['val_accuracy']:.2f} %"
        print(f"{line}  {record['seconds']:.2f} s", flush=True)

    def on_exception(self, trainer: Trainer, error: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class History(Callback):
    """Keeps `trainer.history` in a JSON file that is whole at every moment."""

    def __init__(self, file: PathLike) -> None:
        self.file = Path(file)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        save_json(self.file, trainer.history)

    def on_fit_end(self, trainer: Trainer) -> None:
        save_json(self.file, trainer.history)


class Schedule(Callback):
    """Steps a learning-rate scheduler after each batch or, with every="epoch", each epoch."""

    def __init__(self, scheduler: Any, every: str = "batch") -> None:
        if every not in ("batch", "epoch"):
            raise ValueError(f"Schedule: every must be 'batch' or 'epoch', got {every!r}")
        self.scheduler, self.every = scheduler, every

    def on_batch_end(self, trainer: Trainer, loss: float) -> None:
        if self.every == "batch":
            self.scheduler.step()

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        if self.every == "epoch":
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        return self.scheduler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scheduler.load_state_dict(state)


class Curves(Callback):
    """Draws losses and accuracy over the epochs when the run ends; needs matplotlib."""

    def __init__(self, file: PathLike) -> None:
        self.file = Path(file)

    def on_fit_end(self, trainer: Trainer) -> None:
        try:
            from matplotlib.figure import Figure
        except ImportError:
            return
        if not trainer.history:
            return
        epochs = [record["epoch"] for record in trainer.history]
        validated = "val_loss" in trainer.history[0]
        classified = "val_accuracy" in trainer.history[0]
        figure = Figure(figsize=(9 if classified else 5, 3.5), layout="constrained")
        axes = figure.subplots(1, 2 if classified else 1, squeeze=False)[0]
        for name in ("train_loss", "val_loss")[: 1 + validated]:
            axes[0].plot(epochs, [r[name] for r in trainer.history], "o-", ms=3, label=name)
        axes[0].set(xlabel="epoch", ylabel="loss", ylim=(0, None))
        axes[0].legend()
        if classified:
            accuracy = [100 * r["val_accuracy"] for r in trainer.history]
            axes[1].plot(epochs, accuracy, "o-", ms=3, color="tab:green")
            axes[1].set(xlabel="epoch", ylabel="val_accuracy, %")
        for axis in axes:
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.grid(alpha=0.3)
        self._save(figure)

    def _save(self, figure: Any) -> None:
        import io

        from fastconv.files import atomic_write

        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=120)
        atomic_write(self.file, [buffer.getvalue()])
