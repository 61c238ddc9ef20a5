"""What a tensor is: its array, dtypes, NumPy, changes in place, copies, text."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import fastconv as fc
from fastconv import random


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([1.0, 2.5], np.float32),
        (3.5, np.float32),
        ([[1, 2], [3, 4]], np.int64),
        (7, np.int64),
        ([True, False], np.bool_),
        (np.float64(2), np.float64),
        (np.zeros(2, np.float64), np.float64),
        (np.zeros((0, 3), np.uint8), np.uint8),
    ],
)
def test_dtypes_of_new_tensors(data, dtype):
    x = fc.tensor(data)
    assert x.dtype == dtype
    assert x.shape == np.shape(data)
    np.testing.assert_array_equal(x.data, data)


def test_an_array_is_wrapped_not_copied():
    a = np.arange(6, dtype=np.float32)
    x = fc.tensor(a)
    assert x.data is a
    assert x.numpy() is a
    x.add_(1)
    assert a[0] == 1


def test_dlpack_in_and_out():
    torch = pytest.importorskip("torch")
    there = torch.arange(4, dtype=torch.float32)
    x = fc.tensor(there)
    np.testing.assert_array_equal(x.data, [0, 1, 2, 3])
    back = torch.from_dlpack(fc.tensor(np.ones(3, np.float32)))
    assert back.tolist() == [1, 1, 1]
    assert np.from_dlpack(fc.tensor([5.0]))[0] == 5


@pytest.mark.parametrize("dtype", [np.float16, np.complex64, ">f4", object, "U1"])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match=r"dtype .* is not supported"):
        fc.tensor(np.zeros(2, dtype))


def test_what_is_no_array_is_refused():
    with pytest.raises(TypeError, match="expected a NumPy or CuPy array, got list"):
        fc.Tensor([1.0])
    with pytest.raises(TypeError, match="already a Tensor"):
        fc.tensor(fc.zeros(1))


def test_factories():
    assert fc.zeros(2, 3).shape == fc.zeros((2, 3)).shape == (2, 3)
    assert fc.ones(2, dtype=np.float64).data.tolist() == [1, 1]
    assert fc.arange(3).data.tolist() == [0, 1, 2]
    assert fc.arange(3).dtype == np.int64
    assert fc.arange(1, 2, 0.5).dtype == np.float32
    assert fc.randn(2, requires_grad=True).requires_grad
    with pytest.raises(ValueError, match="step must not be 0"):
        fc.arange(1, 2, 0)


def test_random_numbers_follow_seed_and_state():
    fc.manual_seed(5)
    first = fc.randn(3).data
    state = random.get_state()
    second = fc.randn(3).data
    fc.manual_seed(5)
    np.testing.assert_array_equal(fc.randn(3).data, first)
    random.set_state(pickle.loads(pickle.dumps(state)))
    np.testing.assert_array_equal(fc.randn(3).data, second)
    fc.manual_seed(6)
    assert not np.array_equal(fc.randn(3).data, first)


def test_the_random_state_is_json():
    import json

    fc.manual_seed(2**64 - 1)
    random.generator().random(dtype=np.float32)
    state = json.loads(json.dumps(random.get_state()))
    expected = random.generator().random(5)
    random.set_state(state)
    np.testing.assert_array_equal(random.generator().random(5), expected)
    before = random.get_state()
    for broken in ({"bit_generator": "PCG64"}, {"bit_generator": "Philox"}, 3):
        with pytest.raises(ValueError, match="set_state"):
            random.set_state(broken)
    for key, value in (("key", [1]), ("counter", [-1, 0, 0, 0]), ("buffer_pos", None)):
        with pytest.raises(ValueError, match="set_state"):
            random.set_state({**state, key: value})
    assert random.get_state() == before


def test_seeds_out_of_range():
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match="seed must be in"):
            fc.manual_seed(seed)
    with pytest.raises(TypeError, match="seed must be an integer"):
        fc.manual_seed(1.5)


def test_reading():
    x = fc.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert x.size() == (2, 3)
    assert x.size(1) == 3
    assert (x.dim(), x.ndim, x.numel(), len(x)) == (2, 2, 6, 2)
    assert x.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert [row.tolist() for row in x] == x.tolist()
    assert x[1, 2].item() == 6
    assert float(x[0, 1]) == 2
    assert int(x[0, 1]) == 2
    assert f"{x[0, 1]:.2f}" == "2.00"
    assert [10, 20, 30][fc.tensor(1)] == 20
    assert bool(x[0, 0] == 1)
    with pytest.raises(ValueError, match=r"item: the tensor has shape \(2, 3\)"):
        x.item()
    with pytest.raises(TypeError, match="without dimensions"):
        len(x[0, 0])
    with pytest.raises(TypeError, match="without dimensions"):
        iter(x[0, 0])
    with pytest.raises(IndexError, match=r"shape \(2, 3\)"):
        x[2]


def test_numpy_and_tensor_mix_both_ways():
    x = fc.tensor([1.0, 2.0])
    for result in (np.float32(2) * x, x * np.float32(2), 2 * x, np.array([2, 2], np.float32) * x):
        assert isinstance(result, fc.Tensor)
        assert result.dtype == np.float32
        assert result.tolist() == [2, 4]
    assert (np.float64(2) * x).dtype == np.float32
    assert (np.ones((2, 2), np.float32) @ x).tolist() == [3, 3]
    assert (1 - x).tolist() == [0, -1]
    assert (2 / x).tolist() == [2, 1]
    assert np.asarray(x) is x.data
    assert np.asarray(x, np.float64).dtype == np.float64
    assert np.array(x, copy=True) is not x.data
    with pytest.raises(TypeError):
        np.exp(x)


def test_a_tensor_that_requires_grad_does_not_leave_silently():
    x = fc.ones(2, requires_grad=True)
    for leave in (x.numpy, lambda: np.asarray(x), lambda: np.from_dlpack(x)):
        with pytest.raises(RuntimeError, match="requires grad"):
            leave()
    assert x.detach().numpy() is x.data


def test_numbers_of_no_dimensions_keep_their_dtype():
    x = fc.tensor(2.0)
    for y in (x + 1, x * 2.5, x / 3, x**2, x**1.5, -x, x.exp(), x.sum(), x.mean(), x.max()):
        assert y.dtype == np.float32
        assert y.shape == ()
        assert isinstance(y.data, np.ndarray)


def test_dtypes_do_not_mix():
    single, double, integer = fc.ones(2), fc.ones(2, dtype=np.float64), fc.tensor([1, 2])
    for function in (
        lambda: single + double,
        lambda: single * integer,
        lambda: single @ double,
        lambda: single + np.ones(2),
        lambda: fc.cat([single, double]),
        lambda: single.add_(double),
        lambda: single.copy_(double),
        lambda: single < double,
    ):
        with pytest.raises(TypeError, match=r"float32.*(float64|int64)"):
            function()
    for function in (lambda: integer * 0.5, lambda: integer / 2, lambda: integer.mean()):
        with pytest.raises(TypeError, match="int64"):
            function()
    with pytest.raises(TypeError, match="bool"):
        (single > 0) + 1
    with pytest.raises(TypeError, match="got str"):
        single + "1"
    assert (single + double.float()).dtype == np.float32
    assert (integer.double() / 2).tolist() == [0.5, 1]


def test_errors_that_are_not_about_shapes_keep_their_text():
    with pytest.raises(ValueError, match=r"^pow: Integers to negative integer powers"):
        fc.tensor([1, 2]) ** -1


def test_shapes_that_do_not_fit_are_named():
    a, b = fc.zeros(2, 3), fc.zeros(4)
    for function in (lambda: a + b, lambda: a @ b, lambda: a.add_(b), lambda: b.copy_(a)):
        with pytest.raises(ValueError, match=r"(\(2, 3\).*\(4,\)|\(4,\).*\(2, 3\))"):
            function()
    with pytest.raises(ValueError, match=r"reshape: shape \(2, 3\) does not fit into \(4, -1\)"):
        a.view(4, -1)
    with pytest.raises(ValueError, match=r"permute: dims \(0, 0\)"):
        a.permute(0, 0)
    with pytest.raises(ValueError, match="transpose: dim 2"):
        a.transpose(0, 2)
    with pytest.raises(ValueError, match=r"flatten: start_dim 2 .* \(2, 3\)"):
        a.flatten(2)
    with pytest.raises(ValueError, match=r"sum: dim 2 is out of range for shape \(2, 3\)"):
        a.sum(2)
    with pytest.raises(ValueError, match="names one dimension twice"):
        a.sum((0, -2))
    with pytest.raises(ValueError, match="has no maximum"):
        fc.zeros(0).max()
    with pytest.raises(ValueError, match=r"cat: shapes \(2, 3\) and \(2, 2\)"):
        fc.cat([a, fc.zeros(2, 2)])


def test_comparisons_and_counts():
    x, y = fc.tensor([1, 2, 3]), fc.tensor([1, 0, 3])
    assert (x == y).tolist() == [True, False, True]
    assert (x != y).sum().item() == 1
    assert (x > 2).tolist() == [False, False, True]
    assert (x >= y).sum().dtype == np.int64
    assert (x < y).tolist() == (x <= 0).tolist() == [False] * 3
    assert (x == None) is False  # noqa: E711
    assert fc.tensor([[1.0, 5.0, 5.0]]).argmax(1).tolist() == [1]
    assert fc.tensor([[1.0], [5.0]]).argmax().item() == 1
    assert len({x, y, x}) == 2


def test_changes_in_place():
    x = fc.tensor([1.0, 2.0, 3.0])
    array = x.data
    x.add_(1).mul_(2).sub_(fc.tensor([1.0, 1.0, 1.0]), alpha=2).div_(2)
    assert x.tolist() == [1, 2, 3]
    x += 1
    x -= 1
    x *= 4
    x /= 2
    assert x.tolist() == [2, 4, 6]
    x[1:] = fc.tensor([7.0, 8.0])
    x[fc.tensor([True, False, False])] = 0
    assert x.tolist() == [0, 7, 8]
    assert x.fill_(3).sum().item() == 9
    assert x.zero_().copy_(fc.tensor([1.0, 2.0, 3.0])).tolist() == [1, 2, 3]
    assert x.data is array


def test_copies_are_apart():
    x = fc.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert y.requires_grad
        assert y.tolist() == x.tolist()
        assert y.grad.tolist() == [2, 4]
        y.detach().zero_()
    assert x.tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="recorded operation"):
        copy.deepcopy(x * 2)


def test_data_can_be_replaced():
    x = fc.ones(2, requires_grad=True)
    y = (x * x).sum()
    x.data = np.array([5, 6], np.float32)
    assert x.tolist() == [5, 6]
    y.backward()
    assert x.grad.tolist() == [2, 2]
    x.data -= 1
    assert x.tolist() == [4, 5]
    with pytest.raises(TypeError, match="cannot hold int64"):
        x.data = np.array([1, 2])


def test_only_floating_point_requires_grad():
    with pytest.raises(TypeError, match="only float32 and float64"):
        fc.tensor([1, 2], requires_grad=True)
    x = fc.ones(1).requires_grad_()
    assert x.is_leaf
    assert x.requires_grad
    y = x * 2
    assert not y.is_leaf
    assert repr(y.grad_fn) == "<mul backward>"
    with pytest.raises(RuntimeError, match="detach"):
        y.requires_grad = False


def test_repr():
    assert repr(fc.tensor([1.0, 2.5])) == "tensor([1. , 2.5])"
    assert repr(fc.tensor([1, 2])) == "tensor([1, 2])"
    assert repr(fc.zeros(1, dtype=np.float64)) == "tensor([0.], dtype=float64)"
    x = fc.tensor(1.0, requires_grad=True)
    assert repr(x) == "tensor(1., requires_grad=True)"
    assert repr(x * 2) == "tensor(2., grad_fn=<mul backward>)"
    assert repr(fc.tensor([[1 / 3], [2.0]])) == "tensor([[0.3333],\n        [2.    ]])"
    assert f"{x}" == repr(x)
