"""The one source of random numbers: NumPy's Generator over the counter-based Philox4x64-10.

Weights, shuffles and drawings come from here, so a run is repeated by its seed and resumed by its
state. Without :func:`manual_seed` the seed is 0: two runs of one program draw the same numbers.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

_NAME = "Philox"
_generator: np.random.Generator | None = None


def generator() -> np.random.Generator:
    """The generator that fastconv draws from; drawing from it advances fastconv's stream."""
    global _generator
    if _generator is None:  # made here: importing numpy.random takes longer than fastconv may
        _generator = np.random.Generator(np.random.Philox(key=0))
    return _generator


def manual_seed(seed: int) -> None:
    """Start the stream of ``seed`` from its beginning.

    The seed, 0 <= seed < 2**64, is Philox's key, so different seeds are different streams.
    Raises TypeError for what is no integer and ValueError outside the range.
    """
    try:
        key = operator.index(seed)
    except TypeError:
        raise TypeError(f"manual_seed: seed must be an integer, got {seed!r}") from None
    if not 0 <= key < 2**64:
        raise ValueError(f"manual_seed: seed must be in [0, 2**64), got {key}")
    generator().bit_generator.state = np.random.Philox(key=key).state


def get_state() -> dict[str, Any]:
    """The stream's position as plain strings, integers and lists (JSON can hold it)."""
    state: Any = generator().bit_generator.state
    return {
        "bit_generator": _NAME,
        "counter": [int(word) for word in state["state"]["counter"]],
        "key": [int(word) for word in state["state"]["key"]],
        "buffer": [int(word) for word in state["buffer"]],
        "buffer_pos": int(state["buffer_pos"]),
        "has_uint32": int(state["has_uint32"]),
        "uinteger": int(state["uinteger"]),
    }


def set_state(state: dict[str, Any]) -> None:
    """Continue exactly where :func:`get_state` was called.

    Raises ValueError if the state is another generator's or incomplete; nothing changes then.
    """
    name = state.get("bit_generator") if isinstance(state, dict) else None
    if name != _NAME:
        raise ValueError(f"set_state: expected the state of a {_NAME} generator, got {name!r}")
    try:
        restored = np.random.Philox(key=0)
        restored.state = {
            "bit_generator": _NAME,
            "state": {
                "counter": _words(state, "counter", 4),
                "key": _words(state, "key", 2),
            },
            "buffer": _words(state, "buffer", 4),
            "buffer_pos": int(state["buffer_pos"]),
            "has_uint32": int(state["has_uint32"]),
            "uinteger": int(state["uinteger"]),
        }
    except KeyError as error:
        raise ValueError(f"set_state: the state has no {error}") from None
    except (TypeError, OverflowError) as error:
        raise ValueError(f"set_state: not a generator's state: {error}") from None
    generator().bit_generator.state = restored.state


def _words(state: dict[str, Any], name: str, count: int) -> np.ndarray:
    words = [operator.index(word) for word in state[name]]
    if len(words) != count or not all(0 <= word < 2**64 for word in words):
        raise ValueError(f"set_state: {name} must be {count} words of 64 bits, got {words}")
    return np.array(words, dtype=np.uint64)
