"""Data sets, readers and the loader."""

from fastconv.data.cifar10 import cifar10
from fastconv.data.dataset import ArrayDataset, Normalize
from fastconv.data.drawings import drawings
from fastconv.data.idx import read_idx
from fastconv.data.loader import DataLoader
from fastconv.data.mnist import fashion_mnist, mnist
from fastconv.data.pictures import image_folder

__all__ = [
    "ArrayDataset",
    "DataLoader",
    "Normalize",
    "cifar10",
    "drawings",
    "fashion_mnist",
    "image_folder",
    "mnist",
    "read_idx",
]
