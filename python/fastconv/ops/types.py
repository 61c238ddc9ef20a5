"""Types that the signatures of fastconv.ops are written in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, Union

from numpy.typing import NDArray

Array = NDArray[Any]  # NumPy's, or CuPy's of the same form


class SupportsDLPack(Protocol):
    """An array of another library that lends its memory."""

    def __dlpack__(self, *, stream: Any = None) -> Any: ...

    def __dlpack_device__(self) -> tuple[Any, Any]: ...


ArrayLike = Union[Array, SupportsDLPack]  # noqa: UP007
Size = Union[int, Sequence[int]]  # noqa: UP007
OutputSize = Union[int, None, Sequence[Union[int, None]]]  # noqa: UP007
Padding = Union[int, str, Sequence[int], Sequence[Sequence[int]]]  # noqa: UP007
Approximation = Literal["none", "tanh"]
Activation = Literal["relu", "sigmoid", "tanh"]
MemoryFormat = Literal["contiguous", "channels_last"]
Reduction = Literal["mean", "sum", "none"]
