"""Problems as one line of text, and back."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastconv import _core
from fastconv.testing import (
    DESCRIPTOR_SETS,
    describe,
    descriptor_set,
    parse_descriptor,
    with_batch,
)

EVERY = [text for texts in DESCRIPTOR_SETS.values() for text in texts]


@pytest.mark.parametrize("text", dict.fromkeys(EVERY))
def test_every_descriptor_says_the_same_twice(text):
    problem = parse_descriptor(text)
    assert parse_descriptor(describe(problem)) == problem
    assert describe(parse_descriptor(describe(problem))) == describe(problem)


@pytest.mark.parametrize("name", [n for n in DESCRIPTOR_SETS if n != "corner"])
def test_the_sets_of_networks_are_written_in_shortest_form(name):
    for text in DESCRIPTOR_SETS[name]:
        assert describe(parse_descriptor(text)) == text


@pytest.mark.parametrize("name", DESCRIPTOR_SETS)
def test_a_set_names_each_problem_once(name):
    problems = [describe(parse_descriptor(text)) for text in DESCRIPTOR_SETS[name]]
    assert len(set(problems)) == len(problems)


def test_keys():
    p = parse_descriptor("n64g2c4h32w16k6r5s3sh2sw1dh1dw2ph2pw0qh1qw3")
    assert (p.batch, p.groups, p.in_channels, p.out_channels) == (64, 2, 4, 6)
    assert (p.input, p.kernel, p.stride, p.dilation) == ((32, 16), (5, 3), (2, 1), (1, 2))
    assert p.padding == ((2, 1), (0, 3))
    assert p.output == (16, 15)
    assert p.input_shape == (64, 4, 32, 16)
    assert p.weight_shape == (6, 2, 5, 3)
    assert p.output_shape == (64, 6, 16, 15)


def test_defaults():
    p = parse_descriptor("n1c3h8k4r3")
    assert (p.input, p.kernel, p.stride, p.dilation) == ((8, 8), (3, 3), (1, 1), (1, 1))
    assert p.padding == ((0, 0), (0, 0)) and p.groups == 1
    pool = parse_descriptor("pool:n1c3h8r2")
    assert pool.stride == (2, 2) and not pool.ceil_mode


def test_one_and_three_dimensions():
    assert parse_descriptor("n2c3w9k4s3pw1").output_shape == (2, 4, 9)
    p = parse_descriptor("n2c3d5h6w7k4t3r2s1")
    assert p.input_shape == (2, 3, 5, 6, 7) and p.weight_shape == (4, 3, 3, 2, 1)
    assert p.output_shape == (2, 4, 3, 5, 7)


def test_counts():
    p = parse_descriptor("n2c3h32k10r5p2")
    assert p.flops == 2 * (2 * 10 * 32 * 32) * (3 * 5 * 5)
    assert p.bytes(4) == 4 * (2 * 3 * 32 * 32 + 10 * 3 * 5 * 5 + 2 * 10 * 32 * 32)
    linear = parse_descriptor("linear:n64i400o120")
    assert linear.flops == 2 * 64 * 400 * 120
    assert linear.bytes(8) == 8 * (64 * 400 + 400 * 120 + 64 * 120)


def test_a_problem_is_a_value():
    p = parse_descriptor("n1c3h8k4r3")
    assert p == parse_descriptor("n1c3h8w8k4r3s3p0") and p != parse_descriptor("n2c3h8k4r3")
    assert len({p, parse_descriptor("n1c3h8w8k4r3")}) == 1
    assert pickle.loads(pickle.dumps(p)) == p
    assert repr(p) == "ConvProblem('n1c3h8k4r3')"
    with pytest.raises(AttributeError):
        p.batch = 3


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "no keys"),
        ("n1c3h8k4", 'lacks key "r"'),
        ("n1c3h8k4r3x2", '"x"'),
        ("n1n2c3h8k4r3", '"n" twice'),
        ("n1c3h8k4r", 'malformed at "r"'),
        ("n1c3h-8k4r3", "malformed"),
        ("n1 c3h8k4r3", "malformed"),
        ("n1c3h8k4r3sh0", "stride must be at least 1"),
        ("n1c3h2k4r3", "kernel (3, 3)"),
        ("n1g2c3h8k4r3", "groups"),
        ("n99999999999999999999c3h8k4r3", "64 bits"),
        ("n4611686018427387904c4611686018427387904h8k4r3", "too large"),
        ("pool:n1c3h8r2p2", "padding"),
        ("pool:n1c3h8r2ceil7", "ceil"),
        ("linear:n1i3", 'lacks key "o"'),
        ("n1c3h8k4r3\N{SNOWMAN}", "malformed"),
    ],
)
def test_what_is_malformed(text, said):
    with pytest.raises(ValueError) as raised:
        parse_descriptor(text)
    assert said in str(raised.value)


def test_an_unknown_set_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=r"no descriptor set is named 'vgg19'.*vgg16"):
        descriptor_set("lenet", "vgg19")


def test_with_batch():
    assert with_batch("n64c1h28k6r5p2", 2) == "n2c1h28k6r5p2"
    assert with_batch("pool:n64c6h28r2", 3) == "pool:n3c6h28r2"
    assert with_batch("linear:n128i9216o4096", 1) == "linear:n1i9216o4096"


@given(st.text(alphabet="ncghwkrsdpqtio0123456789:lear ", max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        problem = parse_descriptor(text)
    except ValueError:
        return
    assert parse_descriptor(str(problem)) == problem


extents = st.integers(1, 9)


@given(
    sizes=st.lists(extents, min_size=1, max_size=3),
    kernel=extents,
    stride=st.lists(extents, min_size=3, max_size=3),
    dilation=st.integers(1, 3),
    padding=st.lists(st.tuples(extents, extents), min_size=3, max_size=3),
    groups=st.integers(1, 4),
)
def test_problems_survive_the_text(sizes, kernel, stride, dilation, padding, groups):
    dims = len(sizes)
    x_shape, weight_shape = (2, 3 * groups, *sizes), (2 * groups, 3, *(kernel,) * dims)
    arguments = (tuple(stride[:dims]), tuple(padding[:dims]), dilation, groups)
    try:
        problem = _core.conv_problem(x_shape, weight_shape, *arguments, f"conv{dims}d")
    except ValueError:
        return
    again = parse_descriptor(str(problem))
    assert again == problem
    assert again.padding == arguments[1] and again.stride == arguments[0]
