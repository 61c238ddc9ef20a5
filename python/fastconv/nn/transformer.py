"""The encoder of a transformer."""

from __future__ import annotations

import copy
from collections.abc import Callable

from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn.arguments import integer
from fastconv.nn.attention import MultiheadAttention
from fastconv.nn.dropout import Dropout
from fastconv.nn.linear import Linear
from fastconv.nn.lists import ModuleList
from fastconv.nn.module import Module
from fastconv.nn.normalization import LayerNorm


class TransformerEncoderLayer(Module):
    """Self-attention and two linear layers with an activation between, each added to its input and
    normalised: after the sum (Vaswani et al., 2017), or, ``norm_first``, before (Xiong et al.,
    2020).

    activation: "relu", "gelu" or a function of a tensor. ``batch_first``: (N, L, d_model), else
    (L, N, d_model).
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ) -> None:
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = activation if callable(activation) else _named(activation)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """As ``src``; masks as :class:`MultiheadAttention` takes them."""
        masks = (src_mask, src_key_padding_mask, is_causal)
        if self.norm_first:
            src = src + self._attention(self.norm1(src), *masks)
            return src + self._feed_forward(self.norm2(src))
        src = self.norm1(src + self._attention(src, *masks))
        return self.norm2(src + self._feed_forward(src))

    def _attention(
        self, x: Tensor, mask: Tensor | None, padding: Tensor | None, causal: bool
    ) -> Tensor:
        y, _ = self.self_attn(
            x, x, x, padding, need_weights=False, attn_mask=mask, is_causal=causal
        )
        return self.dropout1(y)

    def _feed_forward(self, x: Tensor) -> Tensor:
        if self.activation is F.relu:
            hidden = self.linear1(x, activation="relu")  # in the same kernel
        else:
            hidden = self.activation(self.linear1(x))
        return self.dropout2(self.linear2(self.dropout(hidden)))


class TransformerEncoder(Module):
    """``num_layers`` copies of a layer one after another, and a normalisation after them if given.

    The copies start with equal parameters, as PyTorch's do.
    """

    def __init__(
        self, encoder_layer: TransformerEncoderLayer, num_layers: int, norm: Module | None = None
    ) -> None:
        count = integer(type(self).__name__, "num_layers", num_layers)
        self.layers = ModuleList([copy.deepcopy(encoder_layer) for _ in range(count)])
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """As ``src``; every layer gets the masks."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, is_causal)
        return src if self.norm is None else self.norm(src)


def _named(activation: str) -> Callable[[Tensor], Tensor]:
    function = getattr(F, activation, None) if activation in ("relu", "gelu") else None
    if function is None:
        raise ValueError(
            f'TransformerEncoderLayer: activation must be "relu", "gelu" or a function, '
            f"got {activation!r}"
        )
    return function
