"""Compiles csrc/cuda and the emulator into one library; only what has changed is compiled."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = Path(tempfile.gettempdir()) / f"fastconv-emulator-{os.getuid()}"
FLAGS = ["-std=c++17", "-O2", "-fPIC", "-Wall", "-Wextra", f"-I{HERE}"]
# Every access of a kernel calls the emulator (access.cpp), in place of both sanitizers; a frame
# larger than a page must not step over the page that faults below its stack.
CHECKED = ["-fsanitize=thread", "-fsanitize=alignment", "-fstack-clash-protection"]
KERNEL_FLAGS = ["-x", "c++", "-Wno-unknown-pragmas", *CHECKED]
ENTRY = HERE / "entry" / "backend.cpp"
CORE = ["problem.cpp", "problem_size.cpp", "norm_problem.cpp", "descriptor.cpp", "update_rules.cpp"]
KEEP = 400  # objects and libraries

# A file of the repository, header or not, and what is replaced in it by what.
Substitutions = Mapping[str, tuple[str, str]]


def library_sources() -> list[Path]:
    """All of csrc/cuda but the Python module, with the core's problems."""
    cuda = ROOT / "csrc" / "cuda"
    found = [
        *cuda.rglob("*.cu"),
        *(p for p in cuda.rglob("*.cpp") if p.name != "module.cpp"),
    ]
    return [ENTRY, *sorted(found)] + [ROOT / "csrc" / "core" / name for name in CORE]


def emulator_sources() -> list[Path]:
    return sorted(HERE.glob("*.cpp"))


def compiler() -> str:
    found = os.environ.get("CXX", "").split()[:1] or ["g++"]
    if shutil.which(found[0]) is None:
        raise FileNotFoundError(
            f"the emulator needs a C++ compiler; {found[0]} is not there (set CXX)"
        )
    return found[0]


def digest(*parts: str | bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part.encode() if isinstance(part, str) else part)
        total.update(b"\0")
    return total.hexdigest()[:32]


def run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-6000:]}")


def unchanged(manifest: Path) -> bool:
    """Whether all that a source included when it was compiled is still the same."""
    try:
        for name, content in json.loads(manifest.read_text()).items():
            if digest(Path(name).read_bytes()) != content:
                return False
    except (OSError, ValueError):
        return False
    return True


def dependencies(rule: str) -> list[str]:
    return [word for word in rule.replace("\\\n", " ").split()[1:] if not word.startswith("/usr/")]


def flags_of(source: Path) -> list[str]:
    return [compiler(), *FLAGS, *(KERNEL_FLAGS if source.suffix == ".cu" else [])]


def compile_source(source: Path) -> Path:
    """The object file of a source; beside it, of what it was made."""
    key = digest(*flags_of(source), str(source), source.read_bytes())
    target, manifest = CACHE / f"{key}.o", CACHE / f"{key}.json"
    if target.exists() and unchanged(manifest):
        target.touch()
        return target
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        made, rule = Path(folder) / "made.o", Path(folder) / "made.d"
        command = [*flags_of(source), f"-I{ROOT / 'csrc'}", "-MMD", "-MF", str(rule)]
        run([*command, "-c", str(source), "-o", str(made)])
        used = {os.path.abspath(name) for name in dependencies(rule.read_text())}
        written = Path(folder) / "made.json"
        written.write_text(json.dumps({name: digest(Path(name).read_bytes()) for name in used}))
        written.replace(manifest)
        made.replace(target)
    return target


def changed_tree(folder: Path, changes: Substitutions) -> None:
    """The sources with their changes, below another folder."""
    for part in ("csrc", "tests/emulator/kernels"):
        shutil.copytree(ROOT / part, folder / part)
    for name, (old, new) in changes.items():
        text = (folder / name).read_text()
        if text.count(old) != 1:
            raise ValueError(f"{name} holds {old!r} {text.count(old)} times, not once")
        (folder / name).write_text(text.replace(old, new))


def compile_changed(source: Path, changes: Substitutions) -> tuple[Path, bool]:
    """Its object file, and whether it reads anything that is changed."""
    plain = compile_source(source)
    manifest = plain.with_suffix(".json").read_text()
    if not {str(ROOT / name) for name in changes} & set(json.loads(manifest)):
        return plain, False
    target = CACHE / f"{digest(plain.name, manifest, repr(sorted(changes.items())))}.o"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=CACHE) as name:
            folder, made = Path(name), Path(name) / "made.o"
            changed_tree(folder, changes)
            command = [*flags_of(source), f"-I{folder / 'csrc'}"]
            run([*command, "-c", str(folder / source.relative_to(ROOT)), "-o", str(made)])
            made.replace(target)
    target.touch()
    return target, True


def forget_the_oldest() -> None:
    files = sorted(CACHE.glob("*.*o"), key=lambda path: path.stat().st_mtime)
    for path in files[:-KEEP]:
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Of the processes that build or clear the cache: they would compile the same sources, and miss
    what another has just removed."""
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_library(
    sources: Sequence[Path] | None = None,
    substitutions: Substitutions | None = None,
    within: str = "*",
) -> Path:
    """The shared library of the emulator with `sources` (default: all of the CUDA backend).

    `substitutions` changes the text of some files first, for tests that must see a fault, as the
    sources whose names are like `within` read them.
    """
    CACHE.mkdir(mode=0o700, exist_ok=True)
    changes = substitutions or {}
    wanted = [*emulator_sources(), *(library_sources() if sources is None else sources)]
    with alone():
        return build_of(wanted, changes, within)


def build_of(wanted: Sequence[Path], changes: Substitutions, within: str) -> Path:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        seen = [changes if fnmatchcase(source.name, within) else {} for source in wanted]
        built = list(pool.map(compile_changed, wanted, seen))
    if changes and not any(changed for _, changed in built):
        raise ValueError(f"no source of the library reads {sorted(changes)}")
    objects = [path for path, _ in built]
    target = CACHE / f"{digest(*(path.read_bytes() for path in objects))}.so"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            made = Path(folder) / "made.so"
            link = [compiler(), "-shared", "-o", str(made), *map(str, objects)]
            run([*link, "-Wl,-z,defs", "-pthread", "-ldl"])
            made.replace(target)
    target.touch()
    forget_the_oldest()
    return target


if __name__ == "__main__":
    print(build_library())
