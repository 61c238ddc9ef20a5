"""Attention as functions of tensors, made of matrix products and softmax."""

from __future__ import annotations

import math

import numpy as np

from fastconv.autograd import arithmetic
from fastconv.autograd.tensor import Tensor
from fastconv.nn.drop import dropout
from fastconv.nn.fused import array_of
from fastconv.nn.probabilities import softmax


def additive_mask(operation: str, mask: Tensor, like: Tensor) -> Tensor:
    """A mask of numbers as it is; of booleans: 0 where True, -inf where False."""
    array = array_of(operation, "attn_mask", mask)
    if array.dtype == np.bool_:
        values = np.zeros_like(array, dtype=like.dtype)
        values[~array] = -math.inf
        return Tensor(values)
    if array.dtype != like.dtype:
        raise TypeError(
            f"{operation}: attn_mask must be bool or {like.dtype}, got {array.dtype} "
            f"(shape {array.shape})"
        )
    return mask


def attention_weights(
    operation: str, query: Tensor, key: Tensor, mask: Tensor | None, scale: float | None
) -> Tensor:
    """softmax(query key^T * scale + mask), (..., L, S)."""
    for name, x in (("query", query), ("key", key)):
        if array_of(operation, name, x).ndim < 2:
            raise ValueError(f"{operation}: {name} has shape {x.shape}, expected (..., length, d)")
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(
            f"{operation}: query {query.shape} and key {key.shape} differ in their last dimension"
        )
    if scale is None and query.shape[-1] == 0:
        raise ValueError(f"{operation}: query {query.shape} and key {key.shape} have no features")
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = arithmetic.matmul(query * factor, key.transpose(-2, -1))
    return softmax(scores if mask is None else scores + _fitting(operation, mask, scores))


def _fitting(operation: str, mask: Tensor, scores: Tensor) -> Tensor:
    """A mask that broadcasts to the shape of the scores."""
    try:
        fits = np.broadcast_shapes(mask.shape, scores.shape) == scores.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{operation}: attn_mask has shape {mask.shape}, which does not broadcast to "
            f"{scores.shape} (..., L, S)"
        )
    return mask


def causal_mask(length: int, keys: int, like: Tensor) -> Tensor:
    """-inf where the key comes after the query, else 0."""
    lower = np.tril(np.ones((length, keys), np.bool_))
    return Tensor(np.where(np.asarray(lower), 0, -math.inf).astype(like.dtype)).to(like.device)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
) -> Tensor:
    """``softmax(query @ key.T / sqrt(d)) @ value`` (Vaswani et al., 2017).

    query (..., L, d), key (..., S, d), value (..., S, e) to (..., L, e). attn_mask, (..., L, S):
    False where a key is not to be seen, or numbers that are added before the softmax. is_causal: a
    query sees the keys up to its own place. scale: instead of 1 / sqrt(d). Each weight is dropped
    with probability ``dropout_p``, in evaluation too, as in PyTorch. A query that sees no key gives
    NaN, the softmax of nothing but -inf, where PyTorch gives 0.
    """
    op = "scaled_dot_product_attention"
    array_of(op, "query", query)
    array_of(op, "value", value)
    if is_causal and attn_mask is not None:
        raise ValueError(f"{op}: attn_mask and is_causal exclude each other")
    mask = None if attn_mask is None else additive_mask(op, attn_mask, query)
    if is_causal:
        mask = causal_mask(query.shape[-2], key.shape[-2], query)
    weights = attention_weights(op, query, key, mask, scale)
    if dropout_p:
        weights = dropout(weights, dropout_p)
    return arithmetic.matmul(weights, value)
