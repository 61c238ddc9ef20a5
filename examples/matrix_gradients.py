"""Course A2, A3: gradients of a matrix product's squared norm, and of ReLU.

A gradient has the shape of its variable, and no Jacobian is ever formed: f(W, x) = ||W x||^2 has
df/dW = 2 q x^T and df/dx = 2 W^T q with q = W x; ReLU passes on what arrives where x > 0.
"""

from pathlib import Path

import numpy as np

from fastconv import ops
from fastconv.examples.show import check, leaf, start


def main(pictures: Path | None = None) -> None:
    W, x = leaf([[0.1, 0.5], [-0.3, 0.8]]), leaf([0.2, 0.4])
    q = W @ x
    q.retain_grad()
    f = (q**2).sum()
    f.backward()
    check("q", q, [0.22, 0.26], tolerance=1e-15)
    check("f", f, 0.116, tolerance=1e-15)
    check("df/dq", q.grad, [0.44, 0.52], tolerance=1e-15)
    check("df/dW", W.grad, [[0.088, 0.176], [0.104, 0.208]], tolerance=1e-15)
    check("df/dx", x.grad, [-0.112, 0.636], tolerance=1e-15)
    check("2 q x^T", 2 * np.outer(q.data, x.data), W.grad, tolerance=1e-15)
    check("2 W^T q", 2 * W.data.T @ q.data, x.grad, tolerance=1e-15)

    x = leaf([1, -2, 3, -1])
    upstream = np.array([4.0, -1, 5, 9])
    y = x.relu()
    y.backward(upstream)
    check("ReLU backward", x.grad, [4, 0, 5, 0])
    check("its kernel alone", ops.relu_backward(upstream, y.data), [4, 0, 5, 0])
    jacobian = np.diag((x.data > 0).astype(np.float64))
    check("the Jacobian that nobody forms, times the upstream", jacobian @ upstream, x.grad)


if __name__ == "__main__":
    start(main)
