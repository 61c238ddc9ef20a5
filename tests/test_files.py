"""Safetensors and JSON: whole, checked, deterministic."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from deadlines import HANG

import fastconv
from fastconv.files import (
    FileFormatError,
    atomic_write,
    load_json,
    load_safetensors,
    remove_temporaries,
    save_json,
    save_safetensors,
)

ARRAYS = {
    "weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "bias": np.linspace(0, 1, 5),
    "steps": np.array(7, np.int64),
    "none": np.zeros((0, 3), np.float32),
    "bytes": np.arange(3, dtype=np.uint8),
}


def test_arrays_and_metadata_come_back(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    save_safetensors(file, ARRAYS, {"note": "Grüße", "kind": "test"})
    arrays, metadata = load_safetensors(str(file))
    assert metadata == {"note": "Grüße", "kind": "test"}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype and arrays[name].shape == array.shape
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].flags.writeable
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_library_reads_the_file(tmp_path: Path) -> None:
    from safetensors import safe_open

    file = tmp_path / "a.safetensors"
    save_safetensors(file, ARRAYS, {"format": "np"})
    with safe_open(file, "np") as opened:
        assert opened.metadata()["format"] == "np"
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(opened.get_tensor(name), array)


def test_strided_arrays_are_written_right(tmp_path: Path) -> None:
    base = np.arange(240, dtype=np.float32).reshape(2, 4, 5, 6)
    arrays = {
        "transposed": base.transpose(0, 3, 1, 2),
        "fortran": np.asfortranarray(base),
        "reversed": base[:, ::-1],
        "stepped": base[..., ::2],
        "broadcast": np.broadcast_to(base[0, 0, 0], (3, 6)),
    }
    save_safetensors(tmp_path / "s", arrays)
    read, metadata = load_safetensors(tmp_path / "s")
    assert metadata == {}
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)


def test_bytes_are_the_same_in_every_process(tmp_path: Path) -> None:
    script = """
import sys
import numpy as np
from fastconv.files import save_safetensors
names = sys.argv[2:]
arrays = {name: np.full((3,), ord(name), np.float32) for name in names}
save_safetensors(sys.argv[1], arrays, {name * 3: name for name in names})
"""
    for run, names in enumerate(("abcdef", "fedcba", "cabfed")):
        command = [sys.executable, "-c", script, str(tmp_path / str(run)), *names]
        subprocess.run(command, check=True, timeout=HANG)
    contents = {file.read_bytes() for file in tmp_path.iterdir()}
    assert len(contents) == 1


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut.safetensors"
    save_safetensors(whole, ARRAYS, {"format": "np"})
    data = whole.read_bytes()
    for length in [*range(0, 40), *range(40, len(data), 7), len(data) - 1]:
        cut.write_bytes(data[:length])
        with pytest.raises(FileFormatError, match=r"cut\.safetensors: not a whole safetensors"):
            load_safetensors(cut)
    cut.write_bytes(data + b"x")
    with pytest.raises(FileFormatError, match=r"cut\.safetensors: "):
        load_safetensors(cut)


def test_every_flipped_byte_is_noticed_or_harmless(tmp_path: Path) -> None:
    """A header may be changed into another good one (a name, a note); values may not change."""
    whole, bad = tmp_path / "whole", tmp_path / "bad.safetensors"
    save_safetensors(whole, ARRAYS, {"format": "np"})
    data = whole.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    noticed = 0
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 0x20
        bad.write_bytes(changed)
        try:
            load_safetensors(bad)
        except FileFormatError as error:
            assert "bad.safetensors: " in str(error)
            noticed += 1
        else:
            assert position < start, f"byte {position} of the data changed unnoticed"
    assert noticed > len(data) - start


def header(entries: object) -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 a zip file, as torch.save writes",
        (2**63).to_bytes(8, "little") + b"{}",
        header(b"not json"),
        header([1, 2]),
        header({"a": F32}),
        header({"a": {**F32, "shape": [2**40, 2**40]}}) + bytes(8),
        header({"a": {**F32, "data_offsets": [8, 0]}}) + bytes(8),
        header({"a": {**F32, "data_offsets": [-8, 0]}}) + bytes(8),
        header({"a": {**F32, "dtype": "pickle"}}) + bytes(8),
        header({"a": F32, "b": {**F32, "data_offsets": [4, 12]}}) + bytes(12),
        header({"a": {**F32, "dtype": "BF16", "data_offsets": [0, 4]}}) + bytes(4),
    ],
)
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "odd.safetensors"
    file.write_bytes(data)
    with pytest.raises(FileFormatError, match=r"odd\.safetensors: "):
        load_safetensors(file)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_safetensors(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        save_safetensors(tmp_path / "no folder" / "file", ARRAYS)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "kept.json"
    save_json(file, {"old": 1})

    def fail(*_) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save_json(file, {"new": 2})
    monkeypatch.undo()
    assert load_json(file) == {"old": 1}
    assert list(tmp_path.iterdir()) == [file]


def test_the_name_appears_only_when_the_bytes_are_synced(tmp_path: Path, monkeypatch) -> None:
    file, order = tmp_path / "file", []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("sync"), sync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("replace"), replace(a, b)))
    atomic_write(file, [b"one", memoryview(b"two")])
    assert order == ["sync", "replace", "sync"]
    assert file.read_bytes() == b"onetwo"


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(timeout=HANG)
    return process.pid


def test_leftovers_of_known_names_are_removed(tmp_path: Path) -> None:
    ended = ended_process()
    kept = [
        "mine.tmp",
        ".mine.tmp",
        f".other.json.{ended}.tmp",
        f".model_safetensors.{ended}.tmp",
        f".model.safetensors.{os.getppid()}.tmp",
        ".model.safetensors.x.tmp",
    ]
    for name in (*kept, f".model.safetensors.{ended}.tmp", f".a.json.{'9' * 30}.tmp"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / f".a.json.{ended}.tmp").mkdir()
    remove_temporaries(tmp_path, ["model.safetensors", "a.json"])
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*kept, f".a.json.{ended}.tmp"}


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link, dangling = tmp_path / "there" / "a.json", tmp_path / "link", tmp_path / "new"
    save_json(target, 1)
    link.symlink_to(target)
    dangling.symlink_to("there/b.json")
    save_json(link, 2)
    save_json(dangling, 3)
    assert link.is_symlink() and dangling.is_symlink()
    assert load_json(target) == 2 and load_json(tmp_path / "there" / "b.json") == 3
    assert len(list(tmp_path.rglob("*"))) == 5


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    fifo, folder, link = tmp_path / "fifo", tmp_path / "folder", tmp_path / "link"
    os.mkfifo(fifo)
    folder.mkdir()
    link.symlink_to(fifo)
    for file in (fifo, folder, link):
        with pytest.raises(OSError, match=rf"not a regular file.*{file.name}"):
            save_json(file, 1)
    assert fifo.is_fifo() and folder.is_dir() and link.is_symlink()
    assert len(list(tmp_path.iterdir())) == 3


def test_json_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    save_json(file, [{"name": "Ö", "value": 0.1}])
    assert load_json(file) == [{"name": "Ö", "value": 0.1}]
    with pytest.raises(ValueError, match="JSON compliant"):
        save_json(file, float("nan"))
    file.write_text('{"cut": ')
    with pytest.raises(FileFormatError, match=r"a\.json: not a JSON file"):
        load_json(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileFormatError, match=r"a\.json: not a JSON file"):
        load_json(file)


FORBIDDEN = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve"}


@pytest.mark.parametrize(
    "file", sorted(Path(fastconv.__file__).parent.rglob("*.py")), ids=lambda file: file.name
)
def test_nothing_unpickles_or_runs_text(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not FORBIDDEN & {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in FORBIDDEN
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec", "compile", "__import__"}
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant) and node.value.value is False
