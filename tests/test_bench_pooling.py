"""The bench's rows of pooling, in every number of dimensions, and what they are set beside."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv.bench.cases import LAYOUTS, cases, inputs, our_call, problem_of
from fastconv.testing import assert_matches

ROWS = [
    f"{kind}:{sizes}"
    for kind in ("pool", "avg")
    for sizes in ("n2c5w70s2", "n2c3w9s3sw2p1ceil1", "n1c3h8w6r2", "n1c2d4h5w6t2")
]


def values(result):
    first = result[0] if isinstance(result, tuple) else result
    return np.asarray(first)


@pytest.mark.parametrize("row", ROWS)
def test_the_peer_computes_the_same(row):
    torch_peer = pytest.importorskip("torch") and pytest.importorskip("fastconv.bench.torch_peer")
    for case in cases([row], ["forward", "backward_input"], list(LAYOUTS), "float32"):
        arrays = inputs(case)
        ours = values(our_call(case, arrays)())
        theirs = values(torch_peer.peer_call(case, arrays)()).reshape(ours.shape)
        assert_matches(ours, theirs.astype(np.float64), np.float32, 8, str(case))


def test_means_have_no_dilation():
    with pytest.raises(ValueError, match=r"^avg:n1c1h9r3dh2: average pooling has no dilation"):
        problem_of("avg:n1c1h9r3dh2")
