"""The course page, made at build time: every script of the gallery is run for its pictures.

A script runs again when it is younger than its folder's output.txt in docs/generated. With
`-D run_course=0` none runs, for a quick look at the other pages.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path
from typing import Any

from fastconv import examples

OUTPUT = "output.txt"


def setup(app: Any) -> dict[str, bool]:
    app.add_config_value("run_course", True, "env", [bool, str])
    app.connect("builder-inited", run_scripts)
    app.connect("source-read", complete)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def run_scripts(app: Any) -> None:
    """Leave pictures and what was printed in a folder for each script; a failed check ends it."""
    for name in examples.scripts() if app.config.run_course not in (False, "0") else ():
        folder = Path(app.srcdir, "generated", name)
        output = folder / OUTPUT
        if output.exists() and output.stat().st_mtime > source(name).stat().st_mtime:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            examples.run(name, folder)
        lines = printed.getvalue().splitlines()
        kept = [line for line in lines if not line.startswith("  picture: ")]
        output.write_text("\n".join(kept) + "\n", encoding="utf-8")


def source(name: str) -> Path:
    return Path(examples.__path__[0], f"{name}.py")


def complete(app: Any, docname: str, text: list[str]) -> None:
    """Add the table of rows and a section for each script to course.md."""
    if docname == "course":
        sections = [section(app, script) for script in examples.scripts().values()]
        text[0] += "\n".join(["", *table(), "", *sections])


def table() -> list[str]:
    """A line for each row of the course and script: what it shows, the file, the test."""
    found = examples.scripts()
    lines = [
        "| row | what it shows | script | test in `tests/test_gallery.py` |",
        "|---|---|---|---|",
    ]
    for row, names in examples.rows().items():
        for name in names:
            title = escaped(found[name].title)
            lines.append(
                f"| {row} | [{title}](#{name}) | `examples/{name}.py` | `test_script[{name}]` |"
            )
    return lines


def section(app: Any, script: examples.Script) -> str:
    """What a script shows, its pictures, what it prints, and its text."""
    folder = Path(app.srcdir, "generated", script.name)
    pictures = [
        f"![{file.stem}](generated/{script.name}/{file.name})\n"
        for file in sorted(folder.glob("*.png"))
    ]
    printed = [f"```text\n{file.read_text(encoding='utf-8')}```\n" for file in folder.glob(OUTPUT)]
    title = escaped(script.title[:1].upper() + script.title[1:])
    return "\n".join(
        [
            f"({script.name})=\n## {', '.join(script.rows)}: {title}\n",
            *pictures,
            *printed,
            f"<details><summary><code>examples/{script.name}.py</code></summary>\n",
            f"```python\n{source(script.name).read_text(encoding='utf-8')}```\n",
            "</details>\n",
        ]
    )


def escaped(text: str) -> str:
    """Text whose signs Markdown leaves alone."""
    for sign in "\\*_|[]<>":
        text = text.replace(sign, "\\" + sign)
    return text
