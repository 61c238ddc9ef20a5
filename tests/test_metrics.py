"""Accuracy, top-k accuracy, the confusion matrix, and where a trainer takes them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastconv import nn, optim
from fastconv.autograd.tensor import Tensor
from fastconv.data import ArrayDataset, DataLoader
from fastconv.data.drawings import draw
from fastconv.random import manual_seed
from fastconv.train import (
    Metrics,
    Trainer,
    accuracy,
    confusion_matrix,
    outputs,
    top_k_accuracy,
)

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.4], [0.3, 0.2, 0.9], [0.2, 0.3, 0.1]], np.float32)
TARGETS = np.array([1, 1, 2, 2])


def test_worked_numbers() -> None:
    assert accuracy(SCORES, TARGETS) == 0.5
    assert [top_k_accuracy(SCORES, TARGETS, k) for k in (1, 2, 3, 9)] == [0.5, 0.75, 1, 1]
    matrix = confusion_matrix(SCORES, TARGETS)
    np.testing.assert_array_equal(matrix, [[0, 0, 0], [1, 1, 0], [0, 1, 1]])
    assert matrix.dtype == np.int64
    assert accuracy(Tensor(SCORES), Tensor(TARGETS)) == accuracy([1, 0, 2, 1], [1, 1, 2, 2]) == 0.5
    np.testing.assert_array_equal(confusion_matrix([1, 0, 2, 1], TARGETS), matrix)
    assert confusion_matrix([0], [0], num_classes=4).shape == (4, 4)


@pytest.mark.parametrize("seed", range(5))
def test_against_sorting(seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 4, (50, 6)).astype(np.float64)  # many ties
    targets = generator.integers(0, 6, 50)
    ranked = np.argsort(-scores, 1, kind="stable")
    for k in range(1, 7):
        expected = (ranked[:, :k] == targets[:, None]).any(1).mean()
        assert top_k_accuracy(scores, targets, k) == expected
    assert top_k_accuracy(scores, targets, 1) == accuracy(scores, targets)
    counts = np.zeros((6, 6), int)
    np.add.at(counts, (targets, scores.argmax(1)), 1)
    np.testing.assert_array_equal(confusion_matrix(scores, targets), counts)


def test_nan_is_no_good_answer() -> None:
    scores = np.array([[np.nan, 1.0], [1.0, np.nan]])
    assert top_k_accuracy(scores, np.array([1, 0]), 1) == 0
    assert top_k_accuracy(scores, np.array([1, 0]), 2) == 1


def test_nan_of_the_target_itself() -> None:
    scores = np.array([[np.nan, 1.0, 2.0], [1.0, np.nan, np.nan], [np.nan, np.nan, 0.0]])
    for target, first in (([0, 1, 0], 1), ([0, 2, 1], 1 / 3), ([2, 0, 2], 0)):
        assert top_k_accuracy(scores, np.array(target), 1) == pytest.approx(first)
        assert accuracy(scores, np.array(target)) == pytest.approx(first)
    assert top_k_accuracy(scores, np.array([0, 2, 1]), 2) == 1
    assert top_k_accuracy(scores, np.array([2, 0, 2]), 2) == pytest.approx(1 / 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint64])
def test_narrow_labels_are_counted_in_their_cells(dtype) -> None:
    target, predicted = np.array([99, 3], dtype), np.array([98, 99], dtype)
    matrix = confusion_matrix(predicted, target, 100)
    assert matrix.sum() == 2 and matrix[99, 98] == matrix[3, 99] == 1
    with pytest.raises(TypeError, match="confusion_matrix: output holds float64, expected integ"):
        confusion_matrix([0.5], [0], 2)


def test_of_no_samples() -> None:
    none = np.zeros((0, 3)), np.zeros(0, np.int64)
    assert accuracy(*none) == top_k_accuracy(*none) == 0
    np.testing.assert_array_equal(confusion_matrix(*none), np.zeros((3, 3)))
    assert confusion_matrix(none[1], none[1]).shape == (0, 0)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: accuracy(SCORES, TARGETS[:3]), r"accuracy: expected .*\(4, 3\) and \(3,\)"),
        (lambda: top_k_accuracy(TARGETS, TARGETS), r"top_k_accuracy: expected outputs .*\(4,\), 5"),
        (lambda: top_k_accuracy(SCORES, TARGETS, 0), r"k of at least 1, got \(4, 3\), 0"),
        (lambda: top_k_accuracy(SCORES, TARGETS - 2), "target holds labels from -1 to 0, expected"),
        (lambda: confusion_matrix(SCORES, TARGETS + 1), "target holds labels from 2 to 3, .* 0 to"),
        (lambda: confusion_matrix([4], [0], 3), "output holds labels from 4 to 4, expected 0 to 2"),
    ],
)
def test_bad_arguments(call, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()


def test_metrics_join_the_record() -> None:
    manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 2))
    loader = DataLoader(ArrayDataset(*draw(70)), 16)
    metrics = Metrics(loader, {"mine": accuracy, "confusion": confusion_matrix})
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.01), callbacks=[metrics])
    history = trainer.fit(DataLoader(ArrayDataset(*draw(64)), 32), loader, epochs=2)
    for record in history:
        assert math.isclose(record["val_mine"], record["val_accuracy"])
        right = record["val_confusion"][0][0] + record["val_confusion"][1][1]
        assert right == round(70 * record["val_accuracy"])
    found, targets = outputs(model, loader)
    assert found.shape == (70, 2) and not model.training
    np.testing.assert_array_equal(targets, draw(70)[1])
    assert accuracy(found, targets) == history[-1]["val_mine"]
    with pytest.raises(ValueError, match="the loader has no batches"):
        outputs(model, [])


def test_evaluate_shows_the_confusion_matrix(capsys, tmp_path) -> None:
    from fastconv.cli import main

    folder = str(tmp_path / "run")
    assert main(["train", "--epochs", "1", "--batch-size", "256", "--output", folder]) == 0
    capsys.readouterr()
    assert main(["evaluate", folder, "--confusion"]) == 0
    first, head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["0", "1"] and [line.split()[0] for line in lines] == ["X", "O"]
    counts = np.array([[int(word) for word in line.split()[1:3]] for line in lines])
    assert counts.sum() == 2000
    assert f"{counts.trace() / 20:.2f} %" in first
    for name, line, row in zip((0, 1), lines, counts, strict=True):
        assert line.endswith(f"{100 * row[name] / row.sum():.2f} %")
