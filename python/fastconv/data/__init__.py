"""Data sets, readers and the loader."""

from fastconv.data.dataset import ArrayDataset, Normalize
from fastconv.data.drawings import drawings
from fastconv.data.idx import read_idx
from fastconv.data.loader import DataLoader
from fastconv.data.mnist import mnist

__all__ = ["ArrayDataset", "DataLoader", "Normalize", "drawings", "mnist", "read_idx"]
