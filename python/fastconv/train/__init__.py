"""The trainer, its callbacks, checkpoints, and whole runs in a folder."""

from fastconv.train.callbacks import Curves, EarlyStopping, History, Progress, Schedule
from fastconv.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from fastconv.train.scaler import GradScaler
from fastconv.train.trainer import Callback, Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "Curves",
    "EarlyStopping",
    "GradScaler",
    "History",
    "Progress",
    "Schedule",
    "Trainer",
    "load_checkpoint",
    "save_checkpoint",
]
