"""The reference against the definition: loops over single cells, and the lecture's own numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fastconv import reference
from fastconv.testing import exact_integers


def cells(problem):
    """(output position, tap, input position) of every product of a convolution."""
    for position in np.ndindex(*problem.output_shape[2:]):
        for tap in np.ndindex(*problem.weight_shape[2:]):
            steps = zip(
                position, problem.stride, tap, problem.dilation, problem.padding, strict=True
            )
            read = tuple(o * s + t * d - before for o, s, t, d, (before, _) in steps)
            sizes = problem.input_shape[2:]
            if all(0 <= r < size for r, size in zip(read, sizes, strict=True)):
                yield position, tap, read


def by_definition(problem, x, weight, grad):
    """y, dx and dw, one product at a time."""
    y, dx, dw = np.zeros(problem.output_shape), np.zeros(x.shape), np.zeros(weight.shape)
    k_group = problem.weight_shape[0] // problem.groups
    c_group = problem.weight_shape[1]
    images = range(problem.input_shape[0])
    for position, tap, read in cells(problem):
        for n, k, c in itertools.product(images, range(problem.weight_shape[0]), range(c_group)):
            o, w = (n, k, *position), (k, c, *tap)
            i = (n, k // k_group * c_group + c, *read)
            y[o] += weight[w] * x[i]
            dx[i] += weight[w] * grad[o]
            dw[w] += grad[o] * x[i]
    return y, dx, dw


@pytest.mark.parametrize(
    "x_shape, weight_shape, arguments",
    [
        ((2, 3, 7), (4, 3, 3), {"padding": 2, "stride": 2}),
        ((1, 4, 9), (2, 2, 2), {"dilation": 3, "groups": 2}),
        ((2, 2, 5, 4), (3, 2, 3, 2), {"padding": "same"}),
        ((2, 4, 6, 5), (6, 2, 3, 1), {"padding": ((2, 0), (1, 3)), "groups": 2, "stride": (2, 1)}),
        ((1, 2, 2, 2), (2, 2, 3, 3), {"padding": 5, "stride": 3}),
        ((1, 3, 6, 6), (3, 1, 2, 2), {"groups": 3, "dilation": 2}),
        ((1, 2, 4, 3, 5), (2, 2, 2, 3, 2), {"padding": (1, 0, 2), "stride": (1, 1, 2)}),
    ],
)
def test_convolution_is_its_definition(x_shape, weight_shape, arguments):
    problem = reference.conv_problem(x_shape, weight_shape, **arguments)
    x, weight = exact_integers(x_shape, 1, np.float64), exact_integers(weight_shape, 2, np.float64)
    grad = exact_integers(problem.output_shape, 3, np.float64)
    y, dx, dw = by_definition(problem, x, weight, grad)
    np.testing.assert_array_equal(reference.conv_forward(problem, x, weight), y)
    np.testing.assert_array_equal(reference.conv_backward_input(problem, grad, weight), dx)
    got_dw, got_db = reference.conv_backward_weight(problem, grad, x)
    np.testing.assert_array_equal(got_dw, dw)
    np.testing.assert_array_equal(got_db, grad.sum(axis=(0, *range(2, grad.ndim))))


def test_one_dimensional_example():
    x, theta = np.array([[[1.0, 1, 1, 0, 0]]]), np.array([[[1.0, 0, 1]]])
    problem = reference.conv_problem(x.shape, theta.shape)
    assert reference.conv_forward(problem, x, theta).ravel().tolist() == [2, 1, 1]


def test_flipped_form_of_the_backward_sums():
    """The sums written for true convolution, kernel flipped, give the same after flipping."""
    x, weight = exact_integers((1, 1, 6, 7), 1, np.float64), exact_integers((1, 1, 3, 2), 2)
    grad = exact_integers((1, 1, 4, 6), 3, np.float64)
    full = np.zeros((6, 7))
    for m, n in np.ndindex(3, 2):
        full[m : m + 4, n : n + 6] += weight[0, 0, m, n] * grad[0, 0]
    flipped = reference.conv2d(grad, weight[:, :, ::-1, ::-1], padding=((2, 2), (1, 1)))
    np.testing.assert_array_equal(flipped[0, 0], full)
    np.testing.assert_array_equal(
        reference.conv2d_backward_input(grad, weight, x.shape)[0, 0], full
    )


def test_max_pool_by_definition():
    x = exact_integers((2, 2, 7, 6), 4, np.float64, -2, 2)
    y, indices = reference.max_pool2d(x, (3, 2), (2, 1), (1, 1))
    assert y.shape == (2, 2, 4, 7)
    for n, c, p, q in np.ndindex(*y.shape):
        rows = [r for r in range(2 * p - 1, 2 * p + 2) if 0 <= r < 7]
        columns = [s for s in range(q - 1, q + 1) if 0 <= s < 6]
        window = [(x[n, c, r, s], -(r * 6 + s)) for r in rows for s in columns]
        assert (y[n, c, p, q], -indices[n, c, p, q]) == max(window)


def test_softmax_gradient_of_cross_entropy_is_difference():
    logits, target = np.log([[0.5, 0.1, 0.2, 0.2]]), np.array([0])
    gradient = reference.cross_entropy_backward(np.array(1.0), logits, target)
    np.testing.assert_allclose(gradient, [[-0.5, 0.1, 0.2, 0.2]], atol=1e-15)


def test_leaves_its_arguments_alone():
    x, weight = exact_integers((1, 2, 5, 5), 1), exact_integers((2, 2, 3, 3), 2)
    before = x.copy(), weight.copy()
    y = reference.conv2d(x, weight, np.ones(2, np.float32), padding=1, activation="relu")
    reference.conv2d_backward_input(y, weight, x.shape, padding=1)
    reference.conv2d_backward_weight(y, x, weight.shape, padding=1)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(weight, before[1])
    assert y.dtype == np.float32
