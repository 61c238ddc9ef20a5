"""Optimizers, and learning-rate schedules in ``optim.lr_scheduler``."""

from fastconv.optim import lr_scheduler
from fastconv.optim.adam import Adam
from fastconv.optim.optimizer import Optimizer
from fastconv.optim.sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer", "lr_scheduler"]
