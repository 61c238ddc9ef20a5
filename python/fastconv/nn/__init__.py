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
from fastconv.nn.attention import MultiheadAttention
from fastconv.nn.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from fastconv.nn.container import Sequential, chain
from fastconv.nn.conv import Conv1d, Conv2d
from fastconv.nn.dropout import Dropout, Dropout1d, Dropout2d, Dropout3d
from fastconv.nn.flatten import Flatten, Identity, Unflatten
from fastconv.nn.linear import Linear
from fastconv.nn.lists import ModuleDict, ModuleList, ParameterList
from fastconv.nn.local import LocallyConnected1d, LocallyConnected2d
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
    "Conv1d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "Flatten",
    "Hardtanh",
    "HingeLoss",
    "HuberLoss",
    "Identity",
    "L1Loss",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "LocallyConnected1d",
    "LocallyConnected2d",
    "MSELoss",
    "MaxPool2d",
    "Maxout",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiMarginLoss",
    "MultiheadAttention",
    "NLLLoss",
    "Parameter",
    "ParameterList",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Tanh",
    "Unflatten",
    "ZeroOneLoss",
    "chain",
    "functional",
    "init",
    "utils",
]
