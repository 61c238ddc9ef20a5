"""Readers, generated drawings and the loader."""

from __future__ import annotations

import gc
import gzip
import itertools
import json
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from deadlines import HANG

from fastconv.data import ArrayDataset, DataLoader, Normalize, drawings, mnist, read_idx
from fastconv.data.drawings import draw
from fastconv.files import FileFormatError

MNIST_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
TYPE_CODES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}


def idx_bytes(array: np.ndarray) -> bytes:
    big = array.astype(array.dtype.newbyteorder(">"))
    code = next(c for name, c in TYPE_CODES.items() if np.dtype(name) == big.dtype)
    sizes = np.asarray(array.shape, ">u4").tobytes()
    return bytes([0, 0, code, array.ndim]) + sizes + big.tobytes()


def write_mnist(folder: Path, train: int = 40, test: int = 20, compress: bool = True) -> None:
    generator = np.random.default_rng(0)
    for prefix, count in (("train", train), ("t10k", test)):
        images = generator.integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            data = idx_bytes(array)
            suffix = ".gz" if compress else ""
            file = folder / f"{prefix}-{name}-ubyte{suffix}"
            file.write_bytes(gzip.compress(data) if compress else data)


# --- IDX -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TYPE_CODES)
@pytest.mark.parametrize("compress", [False, True])
def test_read_idx_returns_the_array(tmp_path: Path, name: str, compress: bool) -> None:
    array = np.arange(-12, 12).reshape(2, 3, 4).astype(np.dtype(name).newbyteorder("="))
    data = idx_bytes(array)
    file = tmp_path / "a.idx"
    file.write_bytes(gzip.compress(data) if compress else data)
    read = read_idx(file)
    assert read.dtype == array.dtype and read.dtype.isnative and read.flags.writeable
    np.testing.assert_array_equal(read, array)


def test_read_idx_of_no_elements(tmp_path: Path) -> None:
    file = tmp_path / "empty.idx"
    file.write_bytes(idx_bytes(np.zeros((0, 28, 28), np.uint8)))
    assert read_idx(str(file)).shape == (0, 28, 28)


GOOD = idx_bytes(np.arange(60, dtype=np.int16).reshape(3, 4, 5))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "not an IDX file: .* found an empty file"),
        (b"\x00\x00", "not an IDX file: .* found 00 00"),
        (b"\x89PNG\r\n\x1a\n", "not an IDX file: .* found 89 50 4e 47"),
        (b"\x00\x00\x0a\x01" + bytes(8), "not an IDX file: .* found 00 00 0a 01"),
        (b"\x00\x00\x08\x00" + bytes(8), "not an IDX file: .* found 00 00 08 00"),
        (GOOD[:10], "truncated: expected 3 sizes of 4 bytes, found 6 bytes"),
        (
            GOOD[:-1],
            r"truncated: expected 120 bytes of data for int16 \(3, 4, 5\), found 119",
        ),
        (GOOD + b"x", r"trailing bytes: expected 120 bytes of data .* found more"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12 + b"x", "truncated: expected .* found 1"),
        (b"\x00\x00\x08\xff" + b"\x00\x00\x00\x01" * 255 + b"x", "255 dimensions; at most 32"),
    ],
)
@pytest.mark.parametrize("compress", [False, True])
def test_read_idx_refuses_broken_files(
    tmp_path: Path, data: bytes, text: str, compress: bool
) -> None:
    file = tmp_path / "bad.idx"
    file.write_bytes(gzip.compress(data) if compress else data)
    with pytest.raises(FileFormatError, match=rf"bad\.idx: {text}"):
        read_idx(file)


@pytest.mark.parametrize("cut", [5, 20, -12, -4])
def test_read_idx_refuses_a_cut_gzip_stream(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "cut.gz"
    file.write_bytes(gzip.compress(GOOD)[:cut])
    with pytest.raises(FileFormatError, match=r"cut\.gz: "):
        read_idx(file)


def test_read_idx_refuses_flipped_gzip_bytes(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    image = idx_bytes(generator.integers(0, 256, (10, 28, 28), np.uint8))
    whole = gzip.compress(image)
    file = tmp_path / "flip.gz"
    for position in range(10, len(whole) - 4, len(whole) // 20):
        data = bytearray(whole)
        data[position] ^= 0x55
        file.write_bytes(data)
        with pytest.raises(FileFormatError, match=r"flip\.gz: "):
            read_idx(file)


def test_read_idx_of_a_missing_file() -> None:
    with pytest.raises(FileNotFoundError):
        read_idx("no/such/file")


# --- MNIST ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [False, True])
def test_mnist_from_a_folder(tmp_path: Path, compress: bool) -> None:
    write_mnist(tmp_path, compress=compress)
    train, test = mnist(tmp_path)
    assert (len(train), len(test)) == (40, 20)
    assert train.arrays[0].shape == (40, 1, 28, 28) and train.arrays[0].dtype == np.uint8
    images, labels = train[np.arange(3)]
    assert images.dtype == np.float32 and labels.dtype == np.int64
    expected = (train.arrays[0][:3] / 255 - 0.1307) / 0.3081
    np.testing.assert_allclose(images, expected, atol=1e-6)
    np.testing.assert_array_equal(labels, [0, 1, 2])


def test_mnist_names_the_file_that_is_missing_or_wrong(tmp_path: Path) -> None:
    write_mnist(tmp_path, compress=False)
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(idx_bytes(np.full(40, 11, np.uint8)))
    with pytest.raises(FileFormatError, match=r"train-labels.*expected labels 0 to 9, found 11"):
        mnist(tmp_path)
    labels.write_bytes(idx_bytes(np.zeros(39, np.uint8)))
    with pytest.raises(FileFormatError, match=r"train-labels.*expected 40 labels"):
        mnist(tmp_path)
    images = tmp_path / "train-images-idx3-ubyte"
    images.write_bytes(idx_bytes(np.zeros((40, 28, 27), np.uint8)))
    with pytest.raises(FileFormatError, match=r"train-images.*expected bytes of shape"):
        mnist(tmp_path)
    images.unlink()
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte\.gz"):
        mnist(tmp_path)


class FakePooch:
    """Stands for pooch: no test needs the network."""

    def __init__(self, folder: Path, fail: Exception | None = None) -> None:
        self.folder, self.fail, self.asked = folder, fail, []

    def os_cache(self, name: str) -> Path:
        return self.folder / name

    def retrieve(self, url: str, known_hash: str, fname: str, path: Path) -> str:
        self.asked.append((url, known_hash, Path(path)))
        if self.fail:
            raise self.fail
        return str(self.folder / fname)


def test_mnist_downloads_with_checksum_into_the_cache(tmp_path, monkeypatch) -> None:
    write_mnist(tmp_path)
    pooch = FakePooch(tmp_path)
    monkeypatch.setitem(sys.modules, "pooch", pooch)
    train, _ = mnist()
    assert len(train) == 40
    assert [url.rsplit("/", 1)[1] for url, _, _ in pooch.asked] == [f"{n}.gz" for n in MNIST_NAMES]
    for _, known_hash, folder in pooch.asked:
        assert known_hash.startswith("sha256:") and len(known_hash) == 7 + 64
        assert folder == tmp_path / "fastconv" / "mnist"


def test_mnist_without_network_says_so(tmp_path, monkeypatch) -> None:
    pooch = FakePooch(tmp_path, ConnectionError("no route to host"))
    monkeypatch.setitem(sys.modules, "pooch", pooch)
    with pytest.raises(OSError, match=r"could not download .* is there a network.*no route"):
        mnist()
    assert len({url for url, _, _ in pooch.asked}) == 2


def test_mnist_without_pooch_says_so(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"pip install 'fastconv\[data\]'.*--data-dir"):
        mnist()


# --- drawings ------------------------------------------------------------------------------------


def test_drawings_are_seeded_and_the_splits_differ() -> None:
    train, test = drawings(300, 300, seed=3)
    again, _ = drawings(300, 300, seed=3)
    other, _ = drawings(300, 300, seed=4)
    np.testing.assert_array_equal(train.arrays[0], again.arrays[0])
    assert not np.array_equal(train.arrays[0], other.arrays[0])
    assert not np.array_equal(train.arrays[0], test.arrays[0])
    everything = np.concatenate([train.arrays[0], test.arrays[0]]).reshape(600, -1)
    assert len(np.unique(everything, axis=0)) == 600


def test_the_first_drawings_do_not_depend_on_how_many() -> None:
    few, many = draw(10, seed=5), draw(2000, seed=5)
    np.testing.assert_array_equal(few[0], many[0][:10])
    np.testing.assert_array_equal(few[1], many[1][:10])


def test_drawings_look_as_they_should() -> None:
    images, labels = draw(2000)
    assert images.dtype == np.float32 and images.shape == (2000, 1, 28, 28)
    assert labels.dtype == np.int64 and set(labels) == {0, 1}
    assert 0.45 < labels.mean() < 0.55
    assert images.min() == -1 and 0.9 < images.max() <= 1
    ink = (images + 1) / 2
    grey = ((ink > 0.05) & (ink < 0.65)).sum() / (ink > 0.05).sum()
    assert 0.1 < grey < 0.9, "lines are anti-aliased"
    # Moved: the centre of mass wanders; an X has ink at its centre and an O has none.
    total = ink.sum((1, 2, 3))
    rows = (ink.sum((1, 3)) @ np.arange(28)) / total
    columns = (ink.sum((1, 2)) @ np.arange(28)) / total
    assert rows.std() > 1.5 and columns.std() > 1.5
    centre = ink[np.arange(2000), 0, np.rint(rows).astype(int), np.rint(columns).astype(int)]
    assert centre[labels == 0].mean() > 0.6 and centre[labels == 1].max() < 0.6
    # Nothing is cut off at the border: shapes are moved within the frame.
    assert ink[:, 0, [0, -1], :].mean() < 0.02


def test_drawings_of_none() -> None:
    images, labels = draw(0)
    assert images.shape == (0, 1, 28, 28) and labels.shape == (0,)
    with pytest.raises(ValueError, match="count must not be negative, got -1"):
        draw(-1)
    with pytest.raises(ValueError, match=r"seed must be in \[0, 2\*\*64\), got -1"):
        draw(1, seed=-1)


# --- dataset -------------------------------------------------------------------------------------


def test_dataset_takes_rows() -> None:
    dataset = ArrayDataset(np.arange(12).reshape(6, 2), np.arange(6), transform=lambda x: x + 1)
    for index in (np.array([4, 1]), [4, 1]):
        first, second = dataset[index]
        np.testing.assert_array_equal(first, [[9, 10], [3, 4]])
        np.testing.assert_array_equal(second, [4, 1])
    assert dataset[2][1] == 2 and len(dataset) == 6
    np.testing.assert_array_equal(dataset[1:3][0], [[3, 4], [5, 6]])


def test_rows_of_a_view_are_taken_without_a_copy_of_it_all() -> None:
    view = np.arange(4 << 20, dtype=np.uint8).reshape(1024, 4096)[:, 1:]
    tracemalloc.start()
    (taken,) = ArrayDataset(view)[np.array([3, 1])]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(taken, view[[3, 1]])
    assert peak < view.nbytes // 8


def test_dataset_refuses_unequal_lengths() -> None:
    with pytest.raises(ValueError, match=r"different lengths \[3, 4\]"):
        ArrayDataset(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="one or more arrays"):
        ArrayDataset()


def test_normalize_by_channel() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5), np.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    expected = (images / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    np.testing.assert_allclose(Normalize(mean, std)(images), expected, atol=1e-6)
    with pytest.raises(ValueError, match="std must be positive, got 0"):
        Normalize(0.5, 0)


# --- loader --------------------------------------------------------------------------------------


def loader_of(count: int = 1000, batch_size: int = 32, **options) -> DataLoader:
    rows = np.arange(count)
    options.setdefault("shuffle", True)
    return DataLoader(ArrayDataset(rows.astype(np.float32), rows), batch_size, **options)


def labels_of(batches) -> list[list[int]]:
    return [batch[1].numpy().tolist() for batch in batches]


def flat_list(batches: list[list[int]]) -> list[int]:
    return list(itertools.chain.from_iterable(batches))


def loader_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("fastconv-loader")]


def wait_for_no_threads() -> None:
    deadline = time.monotonic() + 60
    while loader_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not loader_threads()


def test_an_epoch_holds_every_row_once() -> None:
    loader = loader_of()
    batches = labels_of(loader)
    assert len(batches) == len(loader) == 32
    assert [len(b) for b in batches] == [32] * 31 + [8]
    flat = flat_list(batches)
    assert sorted(flat) == list(range(1000)) and flat != sorted(flat)
    assert flat_list(labels_of(loader)) != flat, "the next epoch has another order"


def test_batches_belong_together_and_share_no_memory() -> None:
    batches = [(x.numpy(), y.numpy()) for x, y in loader_of(prefetch=2)]
    for images, labels in batches:
        np.testing.assert_array_equal(images, labels)
        images[...] = -1
    for _, labels in batches:
        assert labels.min() >= 0
    for (a, _), (b, _) in itertools.pairwise(batches):
        assert not np.shares_memory(a, b)


def test_order_without_shuffle_and_drop_last() -> None:
    assert labels_of(loader_of(7, 3, shuffle=False)) == [[0, 1, 2], [3, 4, 5], [6]]
    loader = loader_of(7, 3, shuffle=False, drop_last=True)
    assert labels_of(loader) == [[0, 1, 2], [3, 4, 5]] and len(loader) == 2
    assert labels_of(loader_of(0, 3)) == []


@pytest.mark.parametrize("batch_size", [1, 7, 64, 600, 5000])
def test_prefetch_changes_nothing(batch_size: int) -> None:
    runs = []
    for prefetch in (0, 1, 5):
        loader = loader_of(700, batch_size, seed=9, prefetch=prefetch)
        runs.append([labels_of(loader), labels_of(loader)])
    assert runs[0] == runs[1] == runs[2]


@pytest.mark.parametrize("seed", [7, 2**63, 2**64 - 1])
def test_the_order_is_fixed_by_seed_and_epoch(seed: int) -> None:
    key = np.array([seed, 1], np.uint64)
    words = np.random.Philox(key=key, counter=[0, 0, 0, 1]).random_raw(10)
    loader = loader_of(10, 10, seed=seed)
    list(loader)
    assert labels_of(loader) == [np.argsort(words).tolist()]
    assert labels_of(loader_of(seed=seed)) == labels_of(loader_of(seed=seed))
    assert labels_of(loader_of(seed=seed)) != labels_of(loader_of(seed=seed - 1))


@pytest.mark.parametrize("prefetch", [0, 2])
def test_resume_between_any_two_batches(prefetch: int) -> None:
    whole = loader_of(100, 8, seed=2)
    expected = labels_of(whole) + labels_of(whole)
    for stop in range(1, len(expected)):
        first, seen = loader_of(100, 8, seed=2, prefetch=prefetch), []
        while len(seen) < stop:
            for _, labels in first:
                seen.append(labels.numpy().tolist())
                if len(seen) == stop:
                    break
        second = loader_of(100, 8, seed=2, prefetch=prefetch)
        second.load_state_dict(first.state_dict())
        while len(seen) < len(expected):
            seen += labels_of(second)
        assert seen == expected, f"stopped after {stop} batches"


def test_state_counts_what_was_handed_out() -> None:
    loader = loader_of(100, 10)
    start = loader.state_dict()
    assert start.items() >= {"epoch": 0, "position": 0}.items()
    for count, _ in enumerate(loader, 1):
        assert loader.state_dict() == {**start, "position": count}
    assert loader.state_dict() == {**start, "epoch": 1}
    with pytest.raises(ValueError, match="no batch 11 in epoch 0: an epoch has 10"):
        loader.load_state_dict({**start, "position": 11})


@pytest.mark.parametrize(
    ("count", "options", "text"),
    [
        (101, {}, "rows 100, this loader has 101"),
        (100, {"batch_size": 20}, "batch_size 10, this loader has 20"),
        (100, {"shuffle": False}, "shuffle True, this loader has False"),
        (100, {"seed": 5}, "seed 0, this loader has 5"),
        (100, {"drop_last": True}, "drop_last False, this loader has True"),
    ],
)
def test_the_state_of_another_order_is_refused(count: int, options: dict, text: str) -> None:
    state = loader_of(100, 10).state_dict()
    other = loader_of(count, **{"batch_size": 10, **options})
    with pytest.raises(ValueError, match=f"DataLoader: the state was saved with {text}"):
        other.load_state_dict(state)


def test_a_loop_left_early_counts_as_an_epoch() -> None:
    loader, whole = loader_of(100, 10), loader_of(100, 10)
    labels_of(whole)
    for _ in loader:
        break
    assert labels_of(loader) == labels_of(whole)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"seed": -1}, r"seed must be in \[0, 2\*\*64\), got -1"),
        ({"prefetch": -1}, "prefetch must not be negative, got -1"),
    ],
)
def test_loader_refuses_bad_arguments(options: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        loader_of(**options)


def test_the_thread_ends_with_the_loop() -> None:
    loader = loader_of(5000, 8)
    for _ in loader:
        pass
    wait_for_no_threads()
    for _ in loader:
        assert loader_threads()
        break
    gc.collect()
    wait_for_no_threads()
    with pytest.raises(KeyError):
        for _ in loader:
            raise KeyError
    gc.collect()
    wait_for_no_threads()


def test_an_error_in_the_thread_reaches_the_loop() -> None:
    calls = []

    def fail(rows: np.ndarray) -> np.ndarray:
        calls.append(len(rows))
        if len(calls) == 3:
            raise ArithmeticError("broken transform")
        return rows

    rows = np.arange(5000)
    loader = DataLoader(ArrayDataset(rows, transform=fail), 64, prefetch=2)
    seen = 0
    with pytest.raises(ArithmeticError, match="broken transform"):
        for _ in loader:
            seen += 1
    assert seen == 16, "the batches before the error are handed out"
    wait_for_no_threads()


SCRIPT = """
import numpy as np
from fastconv.data import ArrayDataset, DataLoader
rows = np.arange(100000)
loader = DataLoader(ArrayDataset(rows.astype(np.float32), rows), 64, shuffle=True, prefetch=3)
batches = iter(loader)
first = next(batches)[1].numpy().tolist()
"""


def run_script(text: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT + text], capture_output=True, text=True, timeout=HANG
    )


def test_the_interpreter_exits_with_a_loop_left_hanging() -> None:
    done = run_script("print(len(first))")
    assert (done.returncode, done.stdout, done.stderr) == (0, "64\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on_with_the_same_batches() -> None:
    done = run_script(
        """
import os, sys, warnings
warnings.simplefilter("ignore")
child = os.fork()
rest = [batch[1].numpy().tolist() for batch in batches]
flat = sorted(sum(rest, first))
if child == 0:
    sys.exit(0 if flat == list(range(100000)) else 3)
_, status = os.waitpid(child, 0)
print(os.WEXITSTATUS(status), flat == list(range(100000)))
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 True\n", "")


@pytest.mark.parametrize("name", ["batch_size", "seed", "prefetch"])
@pytest.mark.parametrize("value", [True, 2.0, "2", None, np.bool_(True)])
def test_loader_takes_only_integers(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"DataLoader: {name} must be an integer, got "):
        DataLoader(ArrayDataset(np.zeros(4)), **{name: value})  # type: ignore[arg-type]


def test_loader_takes_numpy_integers() -> None:
    loader = loader_of(10, np.int32(3), seed=np.uint64(2**64 - 1))
    assert labels_of(loader) == labels_of(loader_of(10, 3, seed=2**64 - 1))
    json.dumps(loader.state_dict())
