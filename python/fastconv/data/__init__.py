"""Data sets, readers, random changes of pictures, and the loader."""

from fastconv.data.cifar10 import cifar10
from fastconv.data.dataset import ArrayDataset, Normalize, random_split
from fastconv.data.drawings import drawings
from fastconv.data.idx import read_idx
from fastconv.data.loader import DataLoader
from fastconv.data.mnist import fashion_mnist, mnist
from fastconv.data.pictures import image_folder
from fastconv.data.transforms import (
    Compose,
    Cutout,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomRotation,
    RandomShift,
    Transform,
)
from fastconv.data.warp import affine

__all__ = [
    "ArrayDataset",
    "Compose",
    "Cutout",
    "DataLoader",
    "Normalize",
    "RandomAffine",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomShift",
    "Transform",
    "affine",
    "cifar10",
    "drawings",
    "fashion_mnist",
    "image_folder",
    "mnist",
    "random_split",
    "read_idx",
]
