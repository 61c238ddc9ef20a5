"""Attention, the encoder of a transformer, and what they are made of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gradcheck import check_gradients

import fastconv as fc
from fastconv import nn
from fastconv.nn import functional as F
from fastconv.testing import normal


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(q, k, v, mask=0.0):
    return softmax(q @ np.swapaxes(k, -1, -2) / math.sqrt(q.shape[-1]) + mask) @ v


def queries(dtype="float64", leading=(2, 3), length=5, keys=4, d=6):
    shapes = ((length, d), (keys, d), (keys, 7))
    return [normal((*leading, *shape), seed, dtype) for seed, shape in enumerate(shapes)]


def test_equals_the_formula():
    for leading in ((), (2,), (2, 3), (0, 2)):
        q, k, v = queries(leading=leading)
        y = F.scaled_dot_product_attention(*map(fc.tensor, (q, k, v)))
        assert y.shape == (*leading, 5, 7)
        np.testing.assert_allclose(y.data, attention(q, k, v), rtol=1e-12)


def test_masks():
    q, k, v = queries()
    seen = np.random.default_rng(0).random((5, 4)) < 0.6
    seen[:, 0] = True
    numbers = np.where(seen, 0, -np.inf)
    for mask in (seen, numbers, np.broadcast_to(numbers, (2, 3, 5, 4)).copy()):
        y = F.scaled_dot_product_attention(*map(fc.tensor, (q, k, v)), fc.tensor(mask))
        np.testing.assert_allclose(y.data, attention(q, k, v, numbers), rtol=1e-12)
    causal = F.scaled_dot_product_attention(*map(fc.tensor, (q, k, v)), is_causal=True)
    expected = attention(q, k, v, np.where(np.tri(5, 4, dtype=bool), 0, -np.inf))
    np.testing.assert_allclose(causal.data, expected, rtol=1e-12)
    scaled = F.scaled_dot_product_attention(*map(fc.tensor, (q, k, v)), scale=1.0)
    np.testing.assert_allclose(scaled.data, attention(q * math.sqrt(6), k, v), rtol=1e-12)


def test_a_query_that_sees_no_key_gives_nan():
    x = fc.ones(2, 3)
    y = F.scaled_dot_product_attention(x, x, x, fc.tensor([[False, False], [True, False]]))
    np.testing.assert_array_equal(y.data, [[np.nan] * 3, [1] * 3])


def test_gradients_by_finite_differences():
    check_gradients(F.scaled_dot_product_attention, *queries(leading=(2,), length=3, keys=2, d=2))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: nn.MultiheadAttention(10, 3),
            ValueError,
            "MultiheadAttention: num_heads=3 does not divide embed_dim=10",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2, batch_first=True)(*[fc.zeros(2, 3, 5)] * 3),
            ValueError,
            "MultiheadAttention: query has shape (2, 3, 5), expected (N, L, 4)",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(
                fc.zeros(3, 2, 4), fc.zeros(5, 3, 4), fc.zeros(5, 3, 4)
            ),
            ValueError,
            "shapes (3, 2, 4), (5, 3, 4) and (5, 3, 4) of query, key and value do not fit",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(*[fc.zeros(3, 2, 4)] * 3, attn_mask=fc.zeros(3, 4)),
            ValueError,
            "attn_mask has shape (3, 4), expected (3, 3) or (4, 3, 3)",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(
                *[fc.zeros(3, 2, 4)] * 3, key_padding_mask=fc.zeros(3, 2)
            ),
            ValueError,
            "key_padding_mask has shape (3, 2), expected (2, 3)",
        ),
        (
            lambda: F.scaled_dot_product_attention(fc.zeros(2, 3), fc.zeros(2, 4), fc.zeros(2, 4)),
            ValueError,
            "scaled_dot_product_attention: query (2, 3) and key (2, 4) differ",
        ),
        (
            lambda: F.scaled_dot_product_attention(
                np.zeros((2, 3)), fc.zeros(2, 3), fc.zeros(2, 3)
            ),
            TypeError,
            "scaled_dot_product_attention: query must be a Tensor",
        ),
        (
            lambda: F.scaled_dot_product_attention(
                *[fc.zeros(2, 3)] * 3, fc.zeros(2, 2), is_causal=True
            ),
            ValueError,
            "attn_mask and is_causal exclude each other",
        ),
        (
            lambda: F.scaled_dot_product_attention(*[fc.zeros(2, 0)] * 3),
            ValueError,
            "scaled_dot_product_attention: query (2, 0) and key (2, 0) have no features",
        ),
        (
            lambda: F.scaled_dot_product_attention(*[fc.zeros(2, 3)] * 3, fc.zeros(4, 2, 2)),
            ValueError,
            "attn_mask has shape (4, 2, 2), which does not broadcast to (2, 2)",
        ),
        (
            lambda: F.scaled_dot_product_attention(*[fc.zeros(2, 3)] * 3, fc.zeros(3, 2)),
            ValueError,
            "attn_mask has shape (3, 2), which does not broadcast to (2, 2)",
        ),
        (
            lambda: nn.TransformerEncoderLayer(4, 2, activation="tan"),
            ValueError,
            "TransformerEncoderLayer: activation must be",
        ),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_dropout_of_weights_only_in_training():
    layer = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
    x = fc.tensor(normal((2, 5, 8), 0, "float32"))
    still = layer.eval()(x, x, x)[0]
    np.testing.assert_array_equal(layer(x, x, x)[0].data, still.data)
    moved = layer.train()(x, x, x)[0]
    assert np.abs(moved.data - still.data).max() > 1e-3


def test_a_small_vision_transformer_learns():
    """Patches as a strided convolution, a class token, positions, two layers of an encoder."""
    fc.manual_seed(0)

    class Net(nn.Module):
        def __init__(self):
            self.patches = nn.Conv2d(1, 16, 3, stride=3)
            self.token = nn.Parameter(np.zeros((1, 1, 16), np.float32))
            self.positions = nn.Parameter(normal((1, 10, 16), 3, "float32") * np.float32(0.1))
            layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True, norm_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(16))
            self.head = nn.Linear(16, 2)

        def forward(self, x):
            tokens = self.patches(x).flatten(2).transpose(1, 2)
            first = self.token + fc.zeros(x.shape[0], 1, 16)
            tokens = fc.cat([first, tokens], 1) + self.positions
            return self.head(self.encoder(tokens)[:, 0])

    net = Net()
    assert "encoder.layers.1.self_attn.out_proj.weight" in net.state_dict()
    rng = np.random.default_rng(1)
    labels = rng.integers(2, size=64)
    images = rng.standard_normal((64, 1, 9, 9)).astype(np.float32) * np.float32(0.3)
    images[labels == 1, :, 3:6, 3:6] += 1
    x, target = fc.tensor(images), fc.tensor(labels)
    optimizer = fc.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.5 and losses[-1] < 0.1
    assert all(parameter.grad is not None for parameter in net.parameters())


# ---- Beside PyTorch ----


def twins(ours, theirs, dtype="float64"):
    """Both layers with the same parameters, in float64."""
    torch = pytest.importorskip("torch")
    ours, theirs = ours.double(), theirs.double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for i, parameter in enumerate(theirs.parameters()):
        values = normal(tuple(parameter.shape), 50 + i, dtype) * 0.4
        parameter.data.copy_(torch.from_numpy(values))
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    return ours, theirs


def same_gradients(ours, theirs, pairs):
    gradients = [
        (p.grad, dict(ours.named_parameters())[n].grad) for n, p in theirs.named_parameters()
    ]
    for theirs_grad, ours_grad in gradients + [(b.grad, a.grad) for a, b in pairs]:
        np.testing.assert_allclose(ours_grad.data, theirs_grad.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("masked", [None, "causal", "padding", "numbers"])
def test_multihead_attention_equals_pytorch(batch_first, bias, masked):
    torch = pytest.importorskip("torch")
    given = {"bias": bias, "batch_first": batch_first}
    ours, theirs = twins(
        nn.MultiheadAttention(12, 3, **given), torch.nn.MultiheadAttention(12, 3, **given)
    )
    masks = {}
    if masked == "causal":
        masks["attn_mask"] = ~np.tri(4, 4, dtype=bool)
    elif masked == "padding":
        masks["key_padding_mask"] = np.array([[False] * 3 + [True], [False, True, False, True]])
    elif masked == "numbers":
        masks["attn_mask"] = normal((6, 4, 4), 9, "float64")
    shapes = (2, 4, 12) if batch_first else (4, 2, 12)
    arrays = [normal(shapes, seed, "float64") for seed in range(3)]
    here = [fc.tensor(a, requires_grad=True) for a in arrays]
    there = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
    for count in (3, 1):  # cross-attention, self-attention
        mine = ours(
            *(here if count == 3 else here[:1] * 3), **{k: fc.tensor(m) for k, m in masks.items()}
        )
        other = theirs(
            *(there if count == 3 else there[:1] * 3),
            **{k: torch.from_numpy(m) for k, m in masks.items()},
        )
        for a, b in zip(mine, other, strict=True):
            np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=1e-10, atol=1e-12)
        grad = normal(shapes, 7, "float64")
        mine[0].backward(grad)
        other[0].backward(torch.from_numpy(grad.copy()))
        same_gradients(ours, theirs, list(zip(here, there, strict=True)))


def test_weights_of_each_head():
    torch = pytest.importorskip("torch")
    ours, theirs = twins(nn.MultiheadAttention(6, 2), torch.nn.MultiheadAttention(6, 2))
    x = normal((4, 3, 6), 0, "float64")
    here, there = fc.tensor(x), torch.from_numpy(x.copy())
    mine = ours(here, here, here, average_attn_weights=False)[1]
    other = theirs(there, there, there, average_attn_weights=False)[1]
    np.testing.assert_allclose(mine.data, other.detach().numpy(), rtol=1e-12)
    assert ours(here, here, here, need_weights=False)[1] is None


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
def test_encoder_equals_pytorch(norm_first, activation):
    torch = pytest.importorskip("torch")
    given = {"batch_first": True, "norm_first": norm_first}
    functions = (F.tanh, torch.tanh) if activation == "tanh" else (activation, activation)
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, functions[0], **given)
    twin = torch.nn.TransformerEncoderLayer(8, 2, 16, 0.0, functions[1], **given)
    ours, theirs = twins(
        nn.TransformerEncoder(layer, 2, nn.LayerNorm(8)),
        torch.nn.TransformerEncoder(twin, 2, torch.nn.LayerNorm(8), enable_nested_tensor=False),
    )
    x, grad = normal((3, 5, 8), 0, "float64"), normal((3, 5, 8), 1, "float64")
    here, there = fc.tensor(x, requires_grad=True), torch.from_numpy(x.copy()).requires_grad_()
    y, expected = ours(here), theirs(there)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-9, atol=1e-11)
    y.backward(grad)
    expected.backward(torch.from_numpy(grad.copy()))
    same_gradients(ours, theirs, [(here, there)])
