"""The course gallery: every script runs and checks its numbers, every row of the course has one."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from deadlines import HANG

import fastconv as fc
from fastconv import examples
from fastconv.cli import main
from fastconv.examples.show import CheckFailed, check, check_that

FOLDER = Path(examples.__path__[0])
COURSE = {"A": 6, "B": 15, "C": 14, "D": 2, "E": 11}
ROWS = [f"{part}{number + 1}" for part, count in COURSE.items() for number in range(count)]


def test_every_row_has_a_script():
    assert list(examples.rows()) == ROWS


def test_every_file_is_a_script_or_shared():
    files = {file.stem for file in FOLDER.glob("*.py")}
    assert files - set(examples.scripts()) == {
        "__init__",
        "__main__",
        "datasets",
        "generated",
        "show",
    }


@pytest.mark.parametrize("name", examples.scripts())
def test_script(name, tmp_path, capsys):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    draws = any(isinstance(n, ast.Name) and n.id == "picture" for n in ast.walk(ast.parse(text)))
    if draws:
        pytest.importorskip("matplotlib")
    examples.run(name, tmp_path)
    assert capsys.readouterr().out.splitlines()
    pictures = sorted(tmp_path.iterdir())
    assert bool(pictures) == draws
    assert all(file.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for file in pictures)


def test_a_script_starts_alone(tmp_path):
    copy = shutil.copy(FOLDER / "matrix_gradients.py", tmp_path)
    for command in ([copy], ["-m", "fastconv.examples.matrix_gradients"]):
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, timeout=HANG
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "df/dx = [-0.112  0.636]" in done.stdout


def test_command_lists_and_runs(capsys):
    assert main(["gallery"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line[12:36].strip() for line in listed] == list(examples.scripts())
    assert main(["gallery", "A1", "matrix_gradients"]) == 0
    out = capsys.readouterr().out
    assert out.index("sigmoid_neuron (A1)") < out.index("matrix_gradients (A2, A3)")
    assert main(["gallery", "Z9"]) == 1
    assert "no script or row 'Z9'" in capsys.readouterr().err


def test_a_wrong_number_fails(capsys, monkeypatch):
    with pytest.raises(CheckFailed, match=r"f is 0.73, expected 0.74"):
        check("f", 0.7311, 0.74, digits=2)
    with pytest.raises(CheckFailed, match="expected"):
        check("f", [1.0, 2.0], [[1, 2]])
    with pytest.raises(CheckFailed, match="nan"):
        check("f", np.nan, 1, tolerance=9)
    with pytest.raises(CheckFailed, match="it does not hold that it falls"):
        check_that("it falls", False)
    check("f", fc.tensor([1.0, 2.0], requires_grad=True), [1, 2])
    assert capsys.readouterr().out == "  f = [1 2]\n"
    from fastconv.examples import matrix_gradients

    monkeypatch.setattr(matrix_gradients.ops, "relu_backward", lambda grad, y: grad)
    assert main(["gallery", "A3"]) == 1
    assert capsys.readouterr().err.startswith("fastconv gallery: ReLU backward is [4.0, -1.0")


def test_pictures_without_matplotlib_say_what_to_install(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["gallery", "A5", "--output", str(tmp_path)]) == 1
    assert "this needs matplotlib: pip install matplotlib" in capsys.readouterr().err
