"""Optimizers, and learning-rate schedules in ``optim.lr_scheduler``."""

from fastconv.optim import lr_scheduler
from fastconv.optim.adam import Adam, AdamW
from fastconv.optim.adaptive import Adadelta, Adagrad, RMSprop
from fastconv.optim.lamb import LAMB
from fastconv.optim.lbfgs import LBFGS
from fastconv.optim.optimizer import Optimizer
from fastconv.optim.sgd import SGD

__all__ = [
    "LAMB",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "lr_scheduler",
]
