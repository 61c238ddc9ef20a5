"""Files of public data sets: downloaded once, checked, kept in the user's cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def download(
    data: str, mirrors: Sequence[str], file: str, checksum: str, members: Sequence[str] = ()
) -> list[Path]:
    """Where `file` of the data set `data` lies in the cache, from the first mirror that gives it.

    checksum: "sha256:..." or "md5:...". members: unpack these of a tar archive; they are returned
    instead, in their order. Raises ImportError without pooch, and OSError, with what each mirror
    said, when none has a file of that checksum.
    """
    pooch = _pooch(data)
    folder = Path(pooch.os_cache("fastconv")) / data
    unpack: dict[str, Any] = {}
    if members:
        unpack["processor"] = pooch.Untar(members=list(members))
    reasons = []
    for mirror in mirrors:
        try:
            found = pooch.retrieve(mirror + file, checksum, fname=file, path=folder, **unpack)
        except (OSError, ValueError) as error:
            reasons.append(f"{mirror}: {error}")
            continue
        if not members:
            return [Path(found)]
        return [next(Path(path) for path in found if path.endswith(name)) for name in members]
    raise OSError(
        f"{data}: could not download {file}; is there a network? Name a folder that holds the "
        f"files instead (--data-dir, data_dir=). Tried {'; '.join(reasons)}"
    )


def _pooch(data: str) -> Any:
    try:
        import pooch
    except ImportError:
        raise ImportError(
            f"{data}: downloading needs pooch (pip install 'fastconv[data]'); "
            "or name a folder that holds the files (--data-dir, data_dir=)"
        ) from None
    return pooch
