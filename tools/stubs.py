"""Write python/fastconv/_core.pyi from the installed module; with --check, only compare.

Needs the "dev" extra (pybind11-stubgen, ruff).
"""

from __future__ import annotations

import argparse
import difflib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

STUB = Path(__file__).parent.parent / "python" / "fastconv" / "_core.pyi"


def generate() -> str:
    """The stub of the module that ``import fastconv`` finds, without its version, formatted."""
    with tempfile.TemporaryDirectory() as folder:
        run("-m", "pybind11_stubgen", "fastconv._core", "--exit-code", "--output-dir", folder)
        made = Path(folder) / "fastconv" / "_core.pyi"
        made.write_text(re.sub(r"^(__version__: str) = .*$", r"\1", made.read_text(), flags=re.M))
        config = str(STUB.parents[2] / "pyproject.toml")
        run("-m", "ruff", "check", "--quiet", "--fix", "--exit-zero", "--config", config, str(made))
        run("-m", "ruff", "format", "--quiet", "--config", config, str(made))
        return made.read_text()


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"stubs: {' '.join(command)} failed\n{done.stdout}{done.stderr}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; 1 if not current")
    check = parser.parse_args().check
    fresh = generate()
    if not check:
        STUB.write_text(fresh)
        return 0
    committed = STUB.read_text() if STUB.exists() else ""
    if fresh == committed:
        return 0
    sys.stdout.writelines(
        difflib.unified_diff(
            committed.splitlines(True), fresh.splitlines(True), "committed", "generated"
        )
    )
    print("stubs: python/fastconv/_core.pyi is not current; run python tools/stubs.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
