"""Attention layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.autograd.joining import chunk
from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn import init
from fastconv.nn.arguments import integer
from fastconv.nn.dot_product import additive_mask, attention_weights, causal_mask
from fastconv.nn.drop import check_probability
from fastconv.nn.fused import array_of
from fastconv.nn.linear import Linear
from fastconv.nn.module import Module, Parameter


class MultiheadAttention(Module):
    """``num_heads`` attentions side by side, each in embed_dim / num_heads dimensions, and a linear
    layer over their results (Vaswani et al., 2017).

    in_proj_weight (3 * embed_dim, embed_dim) and in_proj_bias make queries, keys and values, in
    this order; out_proj is a Linear. ``batch_first``: (N, L, embed_dim), else (L, N, embed_dim).
    ``dropout`` is the probability with which a weight is dropped in training.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        batch_first: bool = False,
    ) -> None:
        name = type(self).__name__
        self.embed_dim = integer(name, "embed_dim", embed_dim)
        self.num_heads = integer(name, "num_heads", num_heads)
        if self.embed_dim % self.num_heads != 0:
            raise ValueError(f"{name}: num_heads={num_heads} does not divide embed_dim={embed_dim}")
        check_probability(name, dropout)
        self.dropout = dropout
        self.batch_first = batch_first
        shape = (3 * self.embed_dim, self.embed_dim)
        self.in_proj_weight = Parameter(np.empty(shape, np.float32))
        self.in_proj_bias = Parameter(np.empty(shape[0], np.float32)) if bias else None
        self.out_proj = Linear(self.embed_dim, self.embed_dim, bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """in_proj_weight from Xavier's uniform distribution, biases 0."""
        init.xavier_uniform_(self.in_proj_weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The result, as ``query`` is, and with ``need_weights`` the weights (N, L, S), averaged
        over the heads, or (N, heads, L, S).

        key_padding_mask (N, S), attn_mask (L, S) or (N * heads, L, S): True where a key is not to
        be seen, or numbers that are added before the softmax. is_causal: a query sees the keys up
        to its own place; PyTorch wants an attn_mask with it, here it needs none.
        """
        self._check(query, key, value)
        if not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        mask = self._mask(query, key, key_padding_mask, attn_mask, is_causal)
        heads = [self._heads(x) for x in self._projected(query, key, value)]
        weights = attention_weights(type(self).__name__, heads[0], heads[1], mask, None)
        used = F.dropout(weights, self.dropout, self.training)
        joined = (used @ heads[2]).transpose(1, 2)
        result = self.out_proj(joined.reshape(*query.shape))
        result = result if self.batch_first else result.transpose(0, 1)
        if not need_weights:
            return result, None
        return result, weights.mean(1) if average_attn_weights else weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        name = type(self).__name__
        for label, x in (("query", query), ("key", key), ("value", value)):
            shape = array_of(name, label, x).shape
            if len(shape) != 3 or shape[2] != self.embed_dim:
                order = "N, L" if self.batch_first else "L, N"
                raise ValueError(
                    f"{name}: {label} has shape {shape}, expected ({order}, {self.embed_dim})"
                )
        batch = 0 if self.batch_first else 1
        if key.shape != value.shape or key.shape[batch] != query.shape[batch]:
            raise ValueError(
                f"{name}: shapes {query.shape}, {key.shape} and {value.shape} of query, key and "
                "value do not fit together"
            )

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        weight, bias = self.in_proj_weight, self.in_proj_bias
        if query is key and key is value:
            return chunk(F.linear(query, weight, bias), 3, -1)
        weights = chunk(weight, 3)
        biases = (None, None, None) if bias is None else chunk(bias, 3)
        inputs = (query, key, value)
        return tuple(F.linear(*each) for each in zip(inputs, weights, biases, strict=True))

    def _heads(self, x: Tensor) -> Tensor:
        """(N, L, embed_dim) to (N, heads, L, embed_dim / heads)."""
        batch, length, _ = x.shape
        each = self.embed_dim // self.num_heads
        return x.reshape(batch, length, self.num_heads, each).transpose(1, 2)

    def _mask(
        self, query: Tensor, key: Tensor, padding: Tensor | None, mask: Tensor | None, causal: bool
    ) -> Tensor | None:
        """All masks as one that is added to (N, heads, L, S), or None."""
        name = type(self).__name__
        (batch, length), keys = query.shape[:2], key.shape[1]
        total: Any = None
        if causal and mask is None:
            total = causal_mask(length, keys, query)
        if mask is not None:
            added = additive_mask(name, _inverted(mask), query)
            if added.shape == (batch * self.num_heads, length, keys):
                added = added.reshape(batch, self.num_heads, length, keys)
            elif added.shape != (length, keys):
                raise ValueError(
                    f"{name}: attn_mask has shape {mask.shape}, expected {(length, keys)} or "
                    f"{(batch * self.num_heads, length, keys)}"
                )
            total = added
        if padding is not None:
            if padding.shape != (batch, keys):
                raise ValueError(
                    f"{name}: key_padding_mask has shape {padding.shape}, expected {(batch, keys)}"
                )
            added = additive_mask(name, _inverted(padding), query).reshape(batch, 1, 1, keys)
            total = added if total is None else total + added
        return total

    def extra_repr(self) -> str:
        return (
            f"{self.embed_dim}, num_heads={self.num_heads}, dropout={self.dropout}, "
            f"batch_first={self.batch_first}"
        )


def _inverted(mask: Tensor) -> Tensor:
    """A layer's mask of booleans says what is hidden, the function's what is seen."""
    is_bool = isinstance(mask, Tensor) and mask.dtype == np.bool_
    return Tensor(~mask._data) if is_bool else mask
