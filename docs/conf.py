"""Sphinx: `python -m sphinx -W --keep-going -b html docs build/html`, of what is installed."""

import re
import sys
from pathlib import Path
from typing import Any

import fastconv

sys.path.insert(0, str(Path(__file__).parent))

project = "fastconv"
copyright = "the fastconv authors"
release = version = fastconv.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "course_page",
]
exclude_patterns = ["generated"]
myst_heading_anchors = 3
default_role = "code"

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"fastconv {version}"
html_copy_source = False


def plain(app: Any, what: str, name: str, object: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text: outside of literals, neither ``*shape`` nor ``|x|`` is markup."""
    for i, line in enumerate(lines):
        parts = re.split(r"(``[^`]*``|`[^`]*`)", line)
        parts[::2] = [re.sub(r"(?<!\\)([*|])", r"\\\1", part) for part in parts[::2]]
        lines[i] = "".join(parts)


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", plain)
