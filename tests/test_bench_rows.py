"""The bench's rows of pooling, activations and normalisations, and their peers."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv.bench import moving
from fastconv.bench.cases import LAYOUTS, cases, inputs, our_call, problem_of
from fastconv.testing import assert_matches

POOLING = [
    f"{kind}:{sizes}"
    for kind in ("pool", "avg")
    for sizes in ("n2c5w70s2", "n2c3w9s3sw2p1ceil1", "n1c3h8w6r2", "n1c2d4h5w6t2")
]
ARRAYS = {"lrn": "n2c7h5", "group": "n2c64h3w5", "layer": "n6c33"}
MOVING = [f"{kind}:{ARRAYS.get(kind, 'n2c3h4w5')}" for kind in (*moving.ACTIVATIONS, *moving.NORMS)]
TERMS = {**dict.fromkeys(POOLING, 8), **dict.fromkeys(MOVING, 64)}


def values(result):
    first = result[0] if isinstance(result, tuple) else result
    return np.asarray(first)


@pytest.mark.parametrize("row", TERMS)
def test_the_peer_computes_the_same(row):
    torch_peer = pytest.importorskip("torch") and pytest.importorskip("fastconv.bench.torch_peer")
    with torch_peer.without_tape():
        for case in cases([row], ["forward", "backward_input"], list(LAYOUTS), "float32"):
            arrays = inputs(case)
            ours = values(our_call(case, arrays)())
            theirs = values(torch_peer.peer_call(case, arrays)()).reshape(ours.shape)
            assert_matches(ours, theirs.astype(np.float64), np.float32, TERMS[row], str(case))


def test_means_have_no_dilation():
    with pytest.raises(ValueError, match=r"^avg:n1c1h9r3dh2: average pooling has no dilation"):
        problem_of("avg:n1c1h9r3dh2")


def test_activations_have_no_layout():
    rows = list(cases(["gelu:n2c3h4w5"], ["forward", "backward_input"], list(LAYOUTS), "float32"))
    assert [row.layout for row in rows] == ["rows", "rows"]


@pytest.mark.parametrize("row", ["relu:n2c3h4w5", "lrn:n2c3h4w5"])
def test_what_a_row_moves(row):
    forward, backward = cases([row], ["forward", "backward_input"], ["nchw"], "float32")
    array = 4 * 2 * 3 * 4 * 5
    assert forward.work == (0, 2 * array)
    assert backward.work == (0, 3 * array)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("group:n2c48h3", r"^group:n2c48h3: 32 groups do not divide 48 channels"),
        ("layer:n2c48h3", r"^layer:n2c48h3: a layer norm's array has rows of channels"),
    ],
)
def test_arrays_that_do_not_fit(row, message):
    with pytest.raises(ValueError, match=message):
        problem_of(row)
