"""Random changes of pictures, and the loader that applies them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from fastconv.data import (
    ArrayDataset,
    Compose,
    Cutout,
    DataLoader,
    Normalize,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomRotation,
    RandomShift,
    Transform,
    affine,
    random_split,
)

ALL = [
    RandomHorizontalFlip(),
    RandomCrop(padding=2),
    RandomCrop((5, 4)),
    RandomShift((1, 2), fill=7),
    RandomAffine(10, 1.5, 0.1),
    RandomRotation(15, fill=3),
    Cutout(3, fill=9),
    Compose([RandomShift(1), RandomHorizontalFlip(), Cutout(2)]),
]


def pictures(count: int = 6, dtype=np.uint8, channels: int = 3) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.integers(1, 200, (count, channels, 6, 7)).astype(dtype)


def numbers_for(transform: Transform, count: int) -> np.ndarray:
    return np.random.default_rng(1).random((count, transform.numbers))


@pytest.mark.parametrize("transform", ALL, ids=repr)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_a_transform_keeps_type_and_input_and_changes_the_rest(transform, dtype) -> None:
    images = pictures(dtype=dtype)
    before, numbers = images.copy(), numbers_for(transform, 6)
    result = transform(images, numbers)
    assert result.dtype == dtype and result.shape[:2] == (6, 3)
    np.testing.assert_array_equal(images, before)
    assert result.shape != images.shape or (result != images).any()
    each = [transform(images[i : i + 1], numbers[i : i + 1]) for i in range(6)]
    np.testing.assert_array_equal(result, np.concatenate(each), "a sample's own numbers decide")
    assert transform(images[:0], numbers[:0]).shape == (0, *result.shape[1:])
    with pytest.raises(ValueError, match=r"expected images \(N, C, H, W\), got shape \(6, 7\)"):
        transform(images[0, 0], numbers)


def test_flip_mirrors_columns() -> None:
    images = pictures(2)
    result = RandomHorizontalFlip(0.5)(images, np.array([[0.49], [0.5]]))
    np.testing.assert_array_equal(result, [images[0, :, :, ::-1], images[1]])


def test_crop_takes_a_window_of_the_padded_picture() -> None:
    images = pictures(3)
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (1, 1)), constant_values=5)
    crop = RandomCrop((4, 9), (2, 1), fill=5)
    result = crop(images, np.array([[0, 0], [0.5, 0.99], [1 - 2**-53, 0]]))
    expected = [padded[0, :, 0:4], padded[1, :, 3:7], padded[2, :, 6:10]]
    np.testing.assert_array_equal(result, expected)
    with pytest.raises(ValueError, match=r"size \(11, 1\) does not fit into images \(3, 3, 6, 7\)"):
        RandomCrop((11, 1), 2)(images, np.zeros((3, 2)))


def test_every_shift_within_the_limits_comes_up() -> None:
    image = np.zeros((1, 1, 7, 7), np.uint8)
    image[0, 0, 3, 3] = 1
    images = np.repeat(image, 400, 0)
    shift = RandomShift((1, 2))
    places = np.argwhere(shift(images, numbers_for(shift, 400))[:, 0])[:, 1:] - 3
    assert {tuple(p) for p in places} == {(y, x) for y in range(-1, 2) for x in range(-2, 3)}


def test_cutout_fills_a_square_and_cuts_it_at_the_edge() -> None:
    images = pictures(2)
    result = Cutout(3, fill=0)(images, np.array([[0.5, 0.5], [0, 0.99]]))
    expected = images.copy()
    expected[0, :, 2:5, 2:5] = 0
    expected[1, :, 0:2, 5:7] = 0
    np.testing.assert_array_equal(result, expected)


# --- turning, moving, scaling --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_affine_by_whole_steps_is_exact(dtype) -> None:
    images = pictures(3, dtype)
    np.testing.assert_array_equal(affine(images), images)
    moved = affine(images, shift=[[1, 0], [0, -2], [-1, 1]], fill=4)
    expected = np.full_like(images, 4)
    expected[0, :, 1:] = images[0, :, :-1]
    expected[1, :, :, :-2] = images[1, :, :, 2:]
    expected[2, :, :-1, 1:] = images[2, :, 1:, :-1]
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_affine_by_quarter_turns_is_anticlockwise(quarters: int) -> None:
    images = pictures(2, np.float64)[..., :6]
    turned = affine(images, degrees=90.0 * quarters)
    np.testing.assert_allclose(turned, np.rot90(images, quarters, (2, 3)), rtol=1e-4, atol=1e-3)


def test_affine_interpolates() -> None:
    ramp = np.broadcast_to(np.arange(9.0)[:, None] * 10 + np.arange(9), (2, 1, 9, 9)).copy()
    half = affine(ramp, shift=(0.5, 0.25))[:, :, 1:, 1:]
    np.testing.assert_allclose(half, ramp[:, :, 1:, 1:] - 5.25, rtol=1e-6)
    larger = affine(ramp, scale=[2, 1])
    centre = ramp[0, 0, 4, 4]
    np.testing.assert_allclose(larger[0, 0] - centre, (ramp[0, 0] - centre) / 2, atol=1e-5)
    np.testing.assert_array_equal(larger[1], ramp[1])
    whole = affine(ramp.astype(np.uint8), shift=(0.5, 0.25))[:, :, 1:, 1:]
    np.testing.assert_array_equal(whole, np.rint(half))


def test_affine_agrees_with_pillow() -> None:
    image = pytest.importorskip("PIL.Image")
    smooth = np.hypot(*(np.mgrid[-10:11, -10:11] - 1.0)).astype(np.float32)
    for degrees in (-20, 7, 33):
        expected = np.array(
            image.fromarray(smooth).rotate(degrees, image.Resampling.BILINEAR, fillcolor=0)
        )
        found = affine(smooth[None, None], degrees)[0, 0]
        inner = np.hypot(*np.mgrid[-10:11, -10:11]) < 9
        np.testing.assert_allclose(found[inner], expected[inner], atol=0.02)


def test_affine_in_pieces_is_the_same(monkeypatch) -> None:
    from fastconv.data import warp

    images, shift = pictures(5), np.random.default_rng(2).random((5, 2))
    expected = affine(images, 12, shift, 1.1)
    monkeypatch.setattr(warp, "_CELLS", 2 * 42)
    np.testing.assert_array_equal(affine(images, 12, shift, 1.1), expected)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: RandomHorizontalFlip(1.5), r"RandomHorizontalFlip: p must be in \[0, 1\], got"),
        (lambda: RandomCrop(4, -1), "RandomCrop: padding must not be negative, got -1"),
        (lambda: RandomShift((0, -1)), r"RandomShift: pixels must not be negative, got \(0, -1\)"),
        (lambda: RandomAffine(scale=1), r"RandomAffine: scale must be in \[0, 1\), got 1"),
        (lambda: RandomAffine(shift=-1), "RandomAffine: shift must not be negative, got -1"),
        (lambda: RandomRotation(-1), "RandomRotation: degrees must not be negative, got -1"),
        (lambda: Cutout(-1), "Cutout: size must not be negative, got -1"),
    ],
)
def test_transforms_refuse_bad_arguments(make, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


# --- in the loader -------------------------------------------------------------------------------

RECIPE = Compose([RandomCrop(padding=1), RandomAffine(10, 1, 0.1), RandomHorizontalFlip()])


def loader_of(batch_size: int = 8, count: int = 100, **options) -> DataLoader:
    dataset = ArrayDataset(pictures(count), np.arange(count), transform=Normalize(0.5, 0.5))
    options.setdefault("augment", RECIPE)
    return DataLoader(dataset, batch_size, shuffle=True, seed=2, **options)


def bytes_of(batches) -> list[tuple[bytes, bytes]]:
    return [(images.numpy().tobytes(), labels.numpy().tobytes()) for images, labels in batches]


def test_the_loader_changes_images_and_leaves_labels_and_order() -> None:
    loader, other = loader_of(100), loader_of(100, augment=None)
    plain, changed = ([b for _ in range(2) for b in which] for which in (other, loader))
    for (a, labels), (b, same) in zip(plain, changed, strict=True):
        np.testing.assert_array_equal(labels.numpy(), same.numpy())
        assert a.shape == b.shape and b.data.dtype == np.float32
        assert (a.numpy() != b.numpy()).reshape(100, -1).any(1).all()
    first, second = (b[0].numpy()[np.argsort(b[1].numpy())] for b in changed)
    assert (first != second).reshape(100, -1).any(1).all(), "each epoch has its own changes"


@pytest.mark.parametrize("prefetch", [0, 3])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_numbers_do_not_depend_on_batches_and_threads(batch_size: int, prefetch: int) -> None:
    expected = next(iter(loader_of(600, count=600)))
    batches = list(loader_of(batch_size, count=600, prefetch=prefetch))
    found = np.concatenate([images.numpy() for images, _ in batches])
    np.testing.assert_array_equal(found, expected[0].numpy())


def test_augmented_batches_resume_between_any_two() -> None:
    whole = loader_of()
    expected = [*bytes_of(whole), *bytes_of(whole)]
    for stop in range(1, len(expected), 3):
        first, seen = loader_of(), []
        while len(seen) < stop:
            for batch in first:
                seen += bytes_of([batch])
                if len(seen) == stop:
                    break
        second = loader_of(prefetch=0)
        second.load_state_dict(first.state_dict())
        while len(seen) < len(expected):
            seen += bytes_of(second)
        assert seen == expected, f"stopped after {stop} batches"


def test_the_state_names_the_transform() -> None:
    state = loader_of().state_dict()
    with pytest.raises(ValueError, match=r"saved with augment Compose\(.*this loader has None"):
        loader_of(augment=None).load_state_dict(state)
    with pytest.raises(ValueError, match=r"this loader has Compose.*degrees=20"):
        loader_of(augment=Compose([RandomAffine(20)])).load_state_dict(state)
    with pytest.raises(TypeError, match="augment must be a Transform, got function; Compose makes"):
        loader_of(augment=lambda images: images)


def test_functions_and_own_transforms_compose() -> None:
    @dataclass(frozen=True)
    class Darken(Transform):
        numbers = 1

        def __call__(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
            return (images * numbers[:, :, None, None]).astype(images.dtype)

    def double(images: np.ndarray) -> np.ndarray:
        return 2 * images

    both = Compose([RandomHorizontalFlip(0), double, Darken()])
    images, numbers = pictures(4, np.float32), np.array([[0.3, 0.5]] * 4)
    assert both.numbers == 2
    np.testing.assert_array_equal(both(images, numbers), images)
    assert " at 0x" not in loader_of(augment=both).state_dict()["augment"]


def test_numbers_are_philox_words_in_the_order_of_the_epoch() -> None:
    class Keep(Transform):
        numbers = 3
        seen: list[np.ndarray] = []  # noqa: RUF012

        def __call__(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
            self.seen.append(numbers)
            return images

    loader = loader_of(2, 1001, augment=Keep(), prefetch=0)
    loader.load_state_dict({**loader.state_dict(), "epoch": 1, "position": 3})
    list(loader)
    key = np.array([2, 1], np.uint64)
    words = np.random.Philox(key=key, counter=[0, 0, 0, 3]).random_raw(3 * 1001)
    expected = (words >> np.uint64(11)).reshape(1001, 3) / 2.0**53
    np.testing.assert_array_equal(np.concatenate(Keep.seen), expected[6:])


# --- splits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [([70, 30], [70, 30]), ([0.7, 0.3], [70, 30]), ([1 / 3] * 3, [34, 33, 33]), ([1.0], [100])],
)
def test_random_split_puts_every_row_in_one_part(lengths, sizes: list[int]) -> None:
    dataset = ArrayDataset(
        pictures(100), np.arange(100), transform=Normalize(0.5, 0.5), classes=["a"]
    )
    parts = random_split(dataset, lengths, seed=4)
    assert [len(part) for part in parts] == sizes
    rows = np.concatenate([part.arrays[1] for part in parts])
    assert sorted(rows) == list(range(100))
    for part in parts:
        np.testing.assert_array_equal(part.arrays[0], dataset.arrays[0][part.arrays[1]])
        assert part.transform is dataset.transform and part.classes == ("a",)
    again = random_split(dataset, lengths, seed=4)
    other = random_split(dataset, lengths, seed=5)
    np.testing.assert_array_equal(parts[0].arrays[1], again[0].arrays[1])
    assert len(sizes) == 1 or not np.array_equal(parts[0].arrays[1], other[0].arrays[1])


@pytest.mark.parametrize(
    ("lengths", "text"),
    [
        ([60, 30], r"lengths \[60, 30\] of a data set of 100 rows"),
        ([0.5, 0.4], r"shares must add up to 1, got \[0.5, 0.4\]"),
        ([-10, 110], r"lengths must not be negative, got \[-10, 110\]"),
    ],
)
def test_random_split_refuses_other_lengths(lengths, text: str) -> None:
    with pytest.raises(ValueError, match=f"random_split: {text}"):
        random_split(ArrayDataset(np.zeros(100)), lengths)


def test_random_split_of_one_row() -> None:
    parts = random_split(ArrayDataset(np.zeros((1, 2))), [1, 0])
    assert [len(part) for part in parts] == [1, 0]


# --- the command line ----------------------------------------------------------------------------


def test_train_augment_is_part_of_the_run(capsys, tmp_path) -> None:
    from fastconv.cli import main
    from fastconv.files import load_json

    short = ["train", "--epochs", "1", "--batch-size", "256"]
    for name, options in (("plain", []), ("changed", ["--augment"])):
        assert main([*short, *options, "--output", str(tmp_path / name)]) == 0
        assert load_json(tmp_path / name / "config.json")["augment"] is bool(options)
        assert (", augmented\n" in capsys.readouterr().out) is bool(options)
    plain, changed = (load_json(tmp_path / n / "history.json")[0] for n in ("plain", "changed"))
    assert changed["train_loss"] != plain["train_loss"] and changed["val_accuracy"] > 0.6
    assert main(["train", "--resume", "--output", str(tmp_path / "changed")]) == 0
    assert main(["train", "--resume", "--augment", "--output", str(tmp_path / "plain")]) == 1
    assert "augment is False there and True here" in capsys.readouterr().err
