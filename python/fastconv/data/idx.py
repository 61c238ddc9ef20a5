"""The IDX format of MNIST: a type code, the sizes, then the values, all big-endian."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fastconv.files import FileFormatError, PathLike

# Third byte of the magic number: http://yann.lecun.com/exdb/mnist/ ("the IDX file format").
_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_BLOCK = 1 << 24


def read_idx(file: PathLike) -> np.ndarray:
    """Read an IDX file, plain or gzip-compressed, into an array of its own shape and type.

    The result is in native byte order. Raises FileFormatError, naming the file, what was expected
    and what was found, when it is truncated, has trailing bytes, or is no IDX file.
    """
    path = Path(file)
    with open(path, "rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            return _parse(path, gzip.GzipFile(fileobj=raw) if compressed else raw)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise FileFormatError(f"{path}: the gzip stream is broken: {error}") from None


def _parse(path: Path, stream: BinaryIO | gzip.GzipFile) -> np.ndarray:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES or magic[3] == 0:
        raise FileFormatError(
            f"{path}: not an IDX file: expected the bytes 00 00, a type code (08, 09, 0b to 0e) "
            f"and a number of dimensions, found {magic.hex(' ') or 'an empty file'}"
        )
    dtype, dimensions = _DTYPES[magic[2]], magic[3]
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise FileFormatError(
            f"{path}: truncated: expected {dimensions} sizes of 4 bytes, found {len(sizes)} bytes"
        )
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    if dimensions > 32:
        raise FileFormatError(f"{path}: {dimensions} dimensions; at most 32 can be read")
    expected = math.prod(shape) * dtype.itemsize
    data = _read(stream, expected + 1)
    if len(data) != expected:
        kind = "truncated" if len(data) < expected else "trailing bytes"
        found = len(data) if len(data) < expected else "more"
        raise FileFormatError(
            f"{path}: {kind}: expected {expected} bytes of data for {dtype.name} {shape}, "
            f"found {found}"
        )
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _read(stream: BinaryIO | gzip.GzipFile, limit: int) -> bytearray:
    """Up to `limit` bytes, in blocks: a header that lies about its sizes allocates nothing."""
    data = bytearray()
    while len(data) < limit:
        block = stream.read(min(_BLOCK, limit - len(data)))
        if not block:
            break
        data += block
    return data
