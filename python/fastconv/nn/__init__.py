"""Layers, losses, initial values; ``nn.functional`` has the same as functions."""

from fastconv.nn import functional, init, utils
from fastconv.nn.activation import (
    ELU,
    GELU,
    Hardtanh,
    LeakyReLU,
    Maxout,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from fastconv.nn.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from fastconv.nn.container import Sequential, chain
from fastconv.nn.conv import Conv2d
from fastconv.nn.dropout import Dropout, Dropout2d
from fastconv.nn.flatten import Flatten
from fastconv.nn.linear import Linear
from fastconv.nn.loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HingeLoss,
    HuberLoss,
    L1Loss,
    MSELoss,
    MultiMarginLoss,
    NLLLoss,
    SmoothL1Loss,
    ZeroOneLoss,
)
from fastconv.nn.module import Module, Parameter
from fastconv.nn.normalization import LocalResponseNorm
from fastconv.nn.pooling import MaxPool2d

__all__ = [
    "ELU",
    "GELU",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout2d",
    "Flatten",
    "Hardtanh",
    "HingeLoss",
    "HuberLoss",
    "L1Loss",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "MSELoss",
    "MaxPool2d",
    "Maxout",
    "Module",
    "MultiMarginLoss",
    "NLLLoss",
    "Parameter",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Tanh",
    "ZeroOneLoss",
    "chain",
    "functional",
    "init",
    "utils",
]
