"""Data sets of pictures: CIFAR-10's binary files, Fashion-MNIST, a folder with one class each."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from test_data import write_mnist

from fastconv.data import cifar10, fashion_mnist, image_folder
from fastconv.data.pictures import read_picture
from fastconv.data.sources import SOURCES
from fastconv.files import FileFormatError
from fastconv.train.config import Config, fits

BATCHES = [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]


def write_cifar(folder: Path, count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (6 count, 3, 32, 32) and labels of the six files that are written."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (6 * count, 3, 32, 32), np.uint8)
    labels = generator.integers(0, 10, 6 * count).astype(np.uint8)
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(BATCHES):
        rows = range(number * count, (number + 1) * count)
        records = [bytes([labels[row]]) + pixels[row].tobytes() for row in rows]
        (folder / name).write_bytes(b"".join(records))
    return pixels, labels


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin"])
def test_cifar10_from_a_folder(tmp_path: Path, inner: str) -> None:
    pixels, labels = write_cifar(tmp_path / inner)
    train, test = cifar10(tmp_path)
    np.testing.assert_array_equal(train.arrays[0], pixels[:20])
    np.testing.assert_array_equal(test.arrays[0], pixels[20:])
    np.testing.assert_array_equal(np.concatenate([train.arrays[1], test.arrays[1]]), labels)
    assert train.classes[3] == "cat" and train.arrays[1].dtype == np.int64
    assert train.arrays[0].flags.c_contiguous  # views of records take rows slowly
    images, _ = train[:2]
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    expected = (pixels[:2] / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    assert images.dtype == np.float32
    np.testing.assert_allclose(images, expected, atol=1e-6)


def test_cifar10_names_the_file_that_is_missing_or_wrong(tmp_path: Path) -> None:
    write_cifar(tmp_path)
    file = tmp_path / "data_batch_3.bin"
    whole = file.read_bytes()
    for data in (whole[:-1], b""):
        file.write_bytes(data)
        with pytest.raises(FileFormatError, match=rf"batch_3\.bin: .* 3073 .*, found {len(data)} "):
            cifar10(tmp_path)
    file.write_bytes(b"\x0a" + whole[1:])
    with pytest.raises(FileFormatError, match=r"batch_3\.bin: expected labels 0 to 9, found 10"):
        cifar10(tmp_path)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=r"cifar10: no data_batch_3\.bin in "):
        cifar10(tmp_path)


class FakePooch:
    """Stands for pooch: no test needs the network."""

    def __init__(self, found: dict[str, list[Path] | Path]) -> None:
        self.found, self.asked = found, []

    def os_cache(self, name: str) -> Path:
        return Path("cache") / name

    def Untar(self, members: list[str]) -> list[str]:
        return members

    def retrieve(self, url, known_hash, fname, path, processor=None):
        self.asked.append((url, known_hash, path, processor))
        found = self.found[fname]
        return str(found) if processor is None else list(map(str, found))


def test_cifar10_downloads_the_archive_and_reads_its_members(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    pixels, _ = write_cifar(folder)
    shuffled = [folder / name for name in reversed(BATCHES)]
    pooch = FakePooch({"cifar-10-binary.tar.gz": shuffled})
    monkeypatch.setitem(sys.modules, "pooch", pooch)
    train, test = cifar10()
    np.testing.assert_array_equal(train.arrays[0], pixels[:20])
    np.testing.assert_array_equal(test.arrays[0], pixels[20:])
    ((url, known_hash, path, members),) = pooch.asked
    assert url.endswith("/cifar-10-binary.tar.gz") and path == Path("cache/fastconv/cifar10")
    assert known_hash.startswith("md5:") and len(known_hash) == 4 + 32
    assert members == [f"cifar-10-batches-bin/{name}" for name in BATCHES]


def test_fashion_mnist_is_read_as_mnist(tmp_path: Path, monkeypatch) -> None:
    write_mnist(tmp_path)
    train, test = fashion_mnist(tmp_path)
    assert (len(train), len(test)) == (40, 20) and train.classes[9] == "Ankle boot"
    images, _ = train[:2]
    expected = (train.arrays[0][:2] / 255 - 0.2860) / 0.3530
    np.testing.assert_allclose(images, expected, atol=1e-6)
    pooch = FakePooch({file.name: file for file in tmp_path.iterdir()})
    monkeypatch.setitem(sys.modules, "pooch", pooch)
    np.testing.assert_array_equal(fashion_mnist()[0].arrays[0], train.arrays[0])
    hashes = {known_hash for _, known_hash, _, _ in pooch.asked}
    assert len(hashes) == 4 and all(h.startswith("md5:") and len(h) == 36 for h in hashes)
    with pytest.raises(FileNotFoundError, match="fashion_mnist: neither train-images"):
        fashion_mnist(tmp_path / "none")


# --- a folder of pictures ------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """cat: a.png, deep/b.bmp; dog: c.png and files that are none of it. All 5 high, 4 wide."""
    image = pytest.importorskip("PIL.Image")
    generator = np.random.default_rng(0)
    for name in ("cat/a.png", "cat/deep/b.bmp", "dog/c.png", "dog/.hidden.png", ".git/d.png"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(generator.integers(0, 256, (5, 4, 3), np.uint8)).save(file)
    (tmp_path / "dog" / "notes.txt").write_text("no picture")
    (tmp_path / "readme.png").write_text("no class")
    return tmp_path


def test_image_folder_reads_one_class_a_sub_folder(folder: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    dataset = image_folder(folder, mean=(0.1, 0.2, 0.3), std=0.5)
    assert dataset.classes == ("cat", "dog") and dataset.arrays[0].shape == (3, 3, 5, 4)
    np.testing.assert_array_equal(dataset.arrays[1], [0, 0, 1])
    for row, name in enumerate(("cat/a.png", "cat/deep/b.bmp", "dog/c.png")):
        with image.open(folder / name) as picture:
            expected = np.array(picture).transpose(2, 0, 1)
        np.testing.assert_array_equal(dataset.arrays[0][row], expected)
    expected = (dataset.arrays[0] / 255 - np.reshape((0.1, 0.2, 0.3), (3, 1, 1))) / 0.5
    np.testing.assert_allclose(dataset[:][0], expected, atol=1e-6)


def test_image_folder_scales_and_makes_grey(folder: Path) -> None:
    assert image_folder(folder, 8, channels=1).arrays[0].shape == (3, 1, 8, 8)
    assert image_folder(folder, (7, 9)).arrays[0].shape == (3, 3, 7, 9)
    with pytest.raises(ValueError, match="channels must be 1 or 3, got 2"):
        image_folder(folder, channels=2)


def test_image_folder_says_what_is_wrong(folder: Path, tmp_path: Path, monkeypatch) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (4, 6)).save(folder / "dog" / "d.png")
    with pytest.raises(FileFormatError, match=r"d\.png: a picture of \(6, 4\) .*a\.png has \(5"):
        image_folder(folder)
    assert len(image_folder(folder, 5)) == 4
    (folder / "dog" / "d.png").write_text("words")
    with pytest.raises(FileFormatError, match=r"d\.png: not a picture that can be read"):
        image_folder(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no sub-folder with pictures in .*empty"):
        image_folder(tmp_path / "empty")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install 'fastconv\[vision\]'"):
        image_folder(folder)


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("RGBA", (2, 3), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_picture(tmp_path / "clear.png") == 255).all()
    assert read_picture(tmp_path / "clear.png", 1).shape == (1, 3, 2)


# --- the command line ----------------------------------------------------------------------------


def test_every_source_describes_its_samples(tmp_path: Path) -> None:
    write_cifar(tmp_path)
    write_mnist(tmp_path)
    for name, source in SOURCES.items():
        train, test = source.load(None if name == "drawings" else tmp_path)
        assert train.classes == test.classes == source.classes
        assert train[:1][0].shape[1:] == test[:1][0].shape[1:] == source.shape


def test_a_config_holds_one_scale_or_one_a_channel() -> None:
    grey, colour = {"shape": [1, 2, 2]}, {"shape": [3, 2, 2]}
    assert fits("input", {**colour, "mean": [0.1, 0.2, 0.3], "std": 0.5})
    assert not fits("input", {**grey, "mean": [0.1, 0.2, 0.3], "std": 0.5})
    assert not fits("input", {**colour, "mean": [0.1, 0.2, "0.3"], "std": 0.5})
    with pytest.raises(ValueError, match=r"lenet5 takes input .* samples of cifar10 have \(3"):
        Config.of(model="lenet5", data="cifar10")
