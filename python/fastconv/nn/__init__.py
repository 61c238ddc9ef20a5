"""Layers, losses, initial values; ``nn.functional`` has the same as functions."""

from fastconv.nn import functional, init, utils
from fastconv.nn.activation import ReLU, Sigmoid, Softmax, Tanh
from fastconv.nn.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from fastconv.nn.container import Sequential, chain
from fastconv.nn.conv import Conv2d
from fastconv.nn.dropout import Dropout, Dropout2d
from fastconv.nn.flatten import Flatten
from fastconv.nn.linear import Linear
from fastconv.nn.loss import CrossEntropyLoss, MSELoss
from fastconv.nn.module import Module, Parameter
from fastconv.nn.normalization import LocalResponseNorm
from fastconv.nn.pooling import MaxPool2d

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout2d",
    "Flatten",
    "Linear",
    "LocalResponseNorm",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "chain",
    "functional",
    "init",
    "utils",
]
