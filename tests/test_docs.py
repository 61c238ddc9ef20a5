"""The documentation's Python runs: the blocks of a page in order, in one namespace and a folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str, int]]:
    """Language, text and first line of every block of a page."""
    text = page.read_text(encoding="utf-8")
    return [(m[1], m[2], text.count("\n", 0, m.start()) + 2) for m in BLOCK.finditer(text)]


def with_code() -> list[Path]:
    return [page for page in PAGES if any(kind == "python" for kind, _, _ in blocks(page))]


@pytest.mark.parametrize("page", with_code(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "page"}
    printed = None
    for kind, text, line in blocks(page):
        if kind == "python":
            exec(compile("\n" * (line - 1) + text, page, "exec"), namespace)
            printed = capsys.readouterr().out
        elif kind == "text" and printed is not None:  # what the block before it prints
            assert printed == text, f"{page}:{line}"


def test_pages_are_found():
    names = {page.name for page in with_code()}
    assert {"README.md", "tutorial.md", "contracts.md"} <= names
    assert {page.name for page in (ROOT / "docs" / "howto").glob("*.md")} - names == {"index.md"}
