"""Batches in a seeded order, gathered ahead by a thread, resumable between any two of them."""

from __future__ import annotations

import operator
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv.data.dataset import ArrayDataset
from fastconv.data.transforms import Transform
from fastconv.data.words import AUGMENT, ORDER, uniform, words
from fastconv.devices import CPU, to_device
from fastconv.devices import device as named

if TYPE_CHECKING:
    from fastconv.autograd.tensor import Tensor

_GROUP_ROWS = 512  # rows gathered at once: a few hundred KB, and one hand-over for many batches

Group = tuple[int, np.ndarray]  # a place in the epoch, and the row numbers from there on
Rows = tuple[np.ndarray, ...]


class DataLoader:
    """Iterates over `dataset` in batches of Tensors; one pass is one epoch.

    With `shuffle`, epoch e's order is the sorted order of Philox words keyed on (seed, e): it
    depends on nothing that happened before. `prefetch` groups of batches are gathered ahead by a
    thread, which changes no result; 0 gathers in the caller's thread. The thread ends with its
    loop, however that ends, and with the interpreter. `device` is where the batches lie; groups of
    them go there at once.

    `augment` changes the images of each batch before the data set's own transform; its numbers
    are those of (seed, epoch, place in the epoch), whatever the size of a batch.

    `state_dict()` between two batches says where the loader is; after `load_state_dict` the next
    loop goes on with the very next batch. A loop that is left early counts as an epoch begun: the
    next one starts the next epoch.
    """

    def __init__(
        self,
        dataset: ArrayDataset,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        seed: int = 0,
        drop_last: bool = False,
        prefetch: int = 2,
        device: Any = CPU,
        augment: Transform | None = None,
    ) -> None:
        batch_size = _integer("batch_size", batch_size)
        seed, prefetch = _integer("seed", seed), _integer("prefetch", prefetch)
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size must be at least 1, got {batch_size}")
        if not 0 <= seed < 2**64:
            raise ValueError(f"DataLoader: seed must be in [0, 2**64), got {seed}")
        if prefetch < 0:
            raise ValueError(f"DataLoader: prefetch must not be negative, got {prefetch}")
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, bool(shuffle)
        self.seed, self.drop_last, self.prefetch = seed, bool(drop_last), prefetch
        self.device, self.augment = named(device), _transform(augment)
        self._epoch = self._position = 0
        self._begun = False

    def __len__(self) -> int:
        """Batches in an epoch."""
        rows = len(self.dataset)
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    @property
    def position(self) -> int:
        """How many batches of the epoch have been handed out."""
        return self._position

    def state_dict(self) -> dict[str, Any]:
        """The epoch, how many of its batches have been handed out, and what decides their order."""
        return {"epoch": self._epoch, "position": self._position, **self._order()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where `state_dict` was taken.

        Raises ValueError when there is no such place, or when this loader's batches are others.
        """
        for name, own in self._order().items():
            if state.get(name) != own:
                raise ValueError(
                    f"DataLoader: the state was saved with {name} {state.get(name)}, "
                    f"this loader has {own}"
                )
        epoch, position = int(state["epoch"]), int(state["position"])
        if epoch < 0 or not 0 <= position <= len(self):
            raise ValueError(
                f"DataLoader: no batch {position} in epoch {epoch}: an epoch has {len(self)}"
            )
        self._epoch, self._position, self._begun = epoch, position, False

    def _order(self) -> dict[str, Any]:
        """What decides what a batch holds."""
        return {
            "rows": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "seed": self.seed,
            "drop_last": self.drop_last,
            # A function is shown with its address, which is another in every process.
            "augment": None
            if self.augment is None
            else re.sub(" at 0x\\w+", "", repr(self.augment)),
        }

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        from fastconv.autograd.tensor import Tensor

        if self._begun:
            self._epoch, self._position = self._epoch + 1, 0
        self._begun = True
        gather = partial(self._gather, self._epoch)
        for arrays in _ahead(gather, self._groups(), self.prefetch):
            rows = len(arrays[0])
            arrays = tuple([to_device(array, self.device) for array in arrays])
            for start in range(0, rows, self.batch_size):
                self._position += 1
                yield tuple(Tensor(a[start : start + self.batch_size]) for a in arrays)
        self._epoch, self._position, self._begun = self._epoch + 1, 0, False

    def _gather(self, epoch: int, group: Group) -> Rows:
        (place, rows), augment = group, self.augment
        if augment is None:
            return self.dataset[rows]
        shape = (len(rows), augment.numbers)
        numbers = uniform(shape, AUGMENT, self.seed, epoch, place * augment.numbers)
        return self.dataset.take(rows, lambda images: augment(images, numbers))

    def _groups(self) -> Iterator[Group]:
        """The rest of the epoch's row numbers, a few batches at a time."""
        stop = min(len(self) * self.batch_size, len(self.dataset))
        start = self._position * self.batch_size
        if self.shuffle:
            order = _permutation(len(self.dataset), self.seed, self._epoch)
        else:
            order = np.arange(len(self.dataset))
        step = max(1, _GROUP_ROWS // self.batch_size) * self.batch_size
        return (
            (first, order[first : min(first + step, stop)]) for first in range(start, stop, step)
        )


def _integer(name: str, value: Any) -> int:
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"DataLoader: {name} must be an integer, got {value!r}")
    return operator.index(value)


def _transform(augment: Any) -> Transform | None:
    if augment is not None and not isinstance(augment, Transform):
        raise TypeError(
            f"DataLoader: augment must be a Transform, got {type(augment).__name__}; "
            "Compose makes one of functions"
        )
    return augment


def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    """0..count-1 in the order of `count` random words."""
    return np.argsort(words(count, ORDER, seed, epoch), kind="stable")


def _ahead(gather: Callable[[Group], Rows], groups: Iterator[Group], depth: int) -> Iterator[Rows]:
    """`map(gather, groups)`, with up to `depth` results made ahead by one thread.

    An executor's thread is joined at interpreter exit, also when a loop was left hanging. It does
    not exist in a forked child, which therefore gathers what is left by itself.
    """
    if depth == 0:
        yield from map(gather, groups)
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    owner = os.getpid()
    executor = ThreadPoolExecutor(1, thread_name_prefix="fastconv-loader")
    pending: deque[tuple[Group, Future[Rows]]] = deque()
    try:
        for group in islice(groups, depth):
            pending.append((group, executor.submit(gather, group)))
        while pending:
            group, future = pending.popleft()
            if os.getpid() != owner:
                yield gather(group)
                continue
            result = future.result()
            pending.extend((g, executor.submit(gather, g)) for g in islice(groups, 1))
            yield result
        yield from map(gather, groups)
    finally:
        if os.getpid() == owner:
            executor.shutdown(wait=True, cancel_futures=True)
