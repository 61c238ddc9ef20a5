"""Sphinx: `python -m sphinx -W --keep-going -b html docs build/html`, of what is installed."""

import sys
from pathlib import Path

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
