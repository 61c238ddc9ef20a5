"""The trainer, its callbacks, checkpoints, metrics, and whole runs in a folder."""

from fastconv.train.callbacks import Curves, History, Progress, Schedule
from fastconv.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from fastconv.train.hardness import Hardness, sample_hardness
from fastconv.train.metrics import Metrics, accuracy, confusion_matrix, outputs, top_k_accuracy
from fastconv.train.scaler import GradScaler
from fastconv.train.stopping import EarlyStopping, LossConverged
from fastconv.train.trainer import Callback, Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "Curves",
    "EarlyStopping",
    "GradScaler",
    "Hardness",
    "History",
    "LossConverged",
    "Metrics",
    "Progress",
    "Schedule",
    "Trainer",
    "accuracy",
    "confusion_matrix",
    "load_checkpoint",
    "outputs",
    "sample_hardness",
    "save_checkpoint",
    "top_k_accuracy",
]
