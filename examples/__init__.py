"""The course gallery: each system of the lectures as a script of at most 60 lines.

Every script prints what the lecture shows, checks the lecture's numbers against what the kernels
compute, and draws pictures where it is given a folder. `fastconv gallery` and
`python -m fastconv.examples` list and run them; `python -m fastconv.examples.NAME` runs one.

The first sentence of a script's docstring names its rows of the course, "Course A2, A3: ...";
the list of scripts and the table of rows are read from there.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Script", "call", "row_order", "rows", "run", "scripts"]

_HEADING = re.compile(r"Course ([A-Z]\d+(?:, [A-Z]\d+)*): (.+)")


class Script(NamedTuple):
    """A script of the gallery: its module's name, its rows of the course, what it shows."""

    name: str
    rows: tuple[str, ...]
    title: str


def scripts() -> dict[str, Script]:
    """All scripts by name, in the order of the course; none is imported for it."""
    found = []
    for module in pkgutil.iter_modules(__path__):
        file = Path(__path__[0], f"{module.name}.py")
        text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        if heading := _HEADING.match(text):
            names = tuple(heading[1].split(", "))
            found.append(Script(module.name, names, heading[2].rstrip(".")))
    found.sort(key=lambda script: row_order(script.rows[0]))
    return {script.name: script for script in found}


def rows() -> dict[str, list[str]]:
    """The names of the scripts that show each row, in the order of the course."""
    table: dict[str, list[str]] = {}
    for script in scripts().values():
        for row in script.rows:
            table.setdefault(row, []).append(script.name)
    return dict(sorted(table.items(), key=lambda item: row_order(item[0])))


def row_order(row: str) -> tuple[str, int]:
    """What sorts A2 before A10."""
    return row[0], int(row[1:])


def run(name: str, pictures: Path | None = None, data: Path | None = None) -> None:
    """Run one script; pictures go to a folder, and scripts that read data find them in one.

    Raises `show.CheckFailed` where a number is not what the lecture gives.
    """
    call(importlib.import_module(f"fastconv.examples.{name}").main, pictures, data)


def call(main: Callable[..., None], pictures: Path | None, data: Path | None) -> None:
    """Call a script's `main(pictures)`, or its `main(pictures, data)`."""
    takes_data = "data" in inspect.signature(main).parameters
    main(pictures, data) if takes_data else main(pictures)
