"""Files that a kill at any moment cannot break: safetensors and JSON, written whole or not at all.

Every writer here goes through `atomic_write`: the bytes go to a temporary name in the same folder,
are synced, and take the final name in one rename. Readers check before they trust; nothing is
unpickled and loading never runs code.
"""

from __future__ import annotations

import errno
import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from fastconv.devices import to_host

if TYPE_CHECKING:
    from fastconv.nn import Module
    from fastconv.nn.module import LoadResult

PathLike = Union[str, "os.PathLike[str]"]

_CHECKSUM = "crc32"


class FileFormatError(ValueError):
    """A file that is truncated, corrupt or of another kind; the text says which and how."""


def atomic_write(file: PathLike, chunks: Iterable[bytes | memoryview]) -> None:
    """Write `chunks` to `file` so that its name always holds the whole old or the whole new bytes.

    A symbolic link stays one: what it names is written. Raises OSError when the folder is missing,
    full or read-only, or when `file` is there and no regular file; the old one then still stands.
    """
    path = writable_path(file)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as stream:
            stream.writelines(chunks)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def writable_path(file: PathLike) -> Path:
    """Where `atomic_write` would put `file`, links followed. Raises OSError where it could not."""
    path = Path(os.path.realpath(file))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file, so it cannot be replaced", str(file))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(path.parent))
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(errno.EACCES, "the folder is not writable", str(path.parent))
    return path


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(folder: PathLike, names: Iterable[str]) -> None:
    """Remove what killed writers of the files `names` left in `folder`."""
    known = "|".join(map(re.escape, names))
    for path in Path(folder).glob(".*.tmp"):
        match = re.fullmatch(rf"\.(?:{known})\.(\d+)\.tmp", path.name, re.ASCII)
        if match and not path.is_dir() and not _runs(int(match[1])):
            path.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def save_json(file: PathLike, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinities raise ValueError."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    atomic_write(file, [text.encode()])


def load_json(file: PathLike) -> Any:
    """Read a JSON file. Raises FileFormatError when it does not parse."""
    try:
        return json.loads(Path(file).read_bytes())
    except ValueError as error:
        raise FileFormatError(f"{file}: not a JSON file: {error}") from None
    except RecursionError:
        raise FileFormatError(f"{file}: not a JSON file of ours: nested too deeply") from None


def save_safetensors(
    file: PathLike, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named arrays as one safetensors file, atomically; equal contents give equal bytes.

    Arrays of a CUDA device are written as those of the CPU, and read as such.
    `metadata` maps text to text. A checksum of the data is added to it under "crc32", so that
    `load_safetensors` also notices flipped bits that leave the header intact.
    """
    from safetensors.numpy import save

    # The library writes a strided array's memory as it lies: only contiguous ones come out right.
    contiguous = {
        name: np.require(to_host(array), requirements="C") for name, array in arrays.items()
    }
    blob = memoryview(save(contiguous))
    start = 8 + int.from_bytes(blob[:8], "little")
    data = blob[start:]
    entries = json.loads(bytes(blob[8:start]))
    notes = {**(metadata or {}), _CHECKSUM: f"{zlib.crc32(data):08x}"}
    # The library writes metadata in hash order, which differs from process to process.
    header = {"__metadata__": dict(sorted(notes.items())), **entries}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    atomic_write(file, [len(text).to_bytes(8, "little"), text, data])


def load_safetensors(file: PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read a safetensors file: (arrays by name, metadata).

    Raises FileFormatError naming the file when it is truncated or corrupt, OSError when it cannot
    be read. Works for files of any writer; the checksum is compared where there is one.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    blob = Path(file).read_bytes()
    try:
        arrays = dict(sorted(load(blob).items()))  # the library's order differs from run to run
    except SafetensorError as error:
        raise FileFormatError(f"{file}: not a whole safetensors file: {error}") from None
    except (KeyError, TypeError) as error:
        raise FileFormatError(f"{file}: holds a type that NumPy does not have: {error}") from None
    start = 8 + int.from_bytes(blob[:8], "little")
    metadata = json.loads(blob[8:start]).get("__metadata__") or {}
    found = f"{zlib.crc32(memoryview(blob)[start:]):08x}"
    expected = metadata.pop(_CHECKSUM, found)
    if found != expected:
        raise FileFormatError(
            f"{file}: the data is corrupt: checksum {found}, expected {expected} from the header"
        )
    return {name: np.require(a, requirements="W") for name, a in arrays.items()}, metadata


def save_weights(model: Module, file: PathLike) -> None:
    """Write a model's `state_dict()` as safetensors under PyTorch's names.

    The same network in PyTorch loads it with `load_state_dict(safetensors.torch.load_file(file))`.
    """
    if not hasattr(model, "state_dict"):
        raise TypeError(f"save_weights: model must be a Module, got {type(model).__name__}")
    state = {name: array_of(value) for name, value in model.state_dict().items()}
    save_safetensors(file, state, {"format": "np"})


def load_weights(model: Module, file: PathLike, strict: bool = True) -> LoadResult:
    """Load safetensors weights, also PyTorch's, into `model`.

    With ``strict=False`` only names that both have are loaded, and the result lists the others.
    Raises FileFormatError when the file is broken and what `model.load_state_dict` raises when
    its names or shapes are not the model's.
    """
    arrays, _ = load_safetensors(file)
    return model.load_state_dict(arrays, strict=strict)


def array_of(value: Any) -> Any:
    """The array behind a Tensor; anything else as it is."""
    from fastconv.autograd.tensor import Tensor

    return value.data if isinstance(value, Tensor) else value
