"""nn.MultiheadAttention with fewer heads than its width has room for.

torch's function takes the width of the stream for that of all heads together, so that a layer of which heads
are dropped needs one of its own.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    width: int,
    num_heads: int,
    in_weight: Tensor,
    in_bias: Tensor | None,
    bias_k: None,
    bias_v: None,
    add_zero_attn: bool,
    dropout_p: float,
    out_weight: Tensor,
    out_bias: Tensor | None,
    *,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """torch's function of this name, for a number of heads whose units need not fill the width.

    query (T, n, width), key and value (S, n, width); in_weight (3 * num_heads * units, width); masks are
    added to the scores: attn_mask (T, S), key_padding_mask (n, S). Returns (T, n, width), and the weights
    (n, T, S) or (n, num_heads, T, S), if they are wanted.
    """
    tensors = (query, key, value, in_weight, in_bias, out_weight, out_bias, key_padding_mask, attn_mask)
    if has_torch_function(tensors):
        return handle_torch_function(
            multi_head_attention_forward, tensors, query, key, value, width, num_heads, in_weight, in_bias,
            bias_k, bias_v, add_zero_attn, dropout_p, out_weight, out_bias, key_padding_mask=key_padding_mask,
            need_weights=need_weights, attn_mask=attn_mask, average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )  # fmt: skip
    n_queries, n, _ = query.shape
    biases = (None, None, None) if in_bias is None else in_bias.chunk(3)
    q, k, v = (
        F.linear(x, weight, bias).view(len(x), n, num_heads, -1).permute(1, 2, 0, 3)
        for x, weight, bias in zip((query, key, value), in_weight.chunk(3), biases, strict=True)
    )
    mask = None if is_causal and key_padding_mask is None and not need_weights else attn_mask
    causal = is_causal and mask is None and key_padding_mask is None
    if key_padding_mask is not None:
        padding = key_padding_mask[:, None, None, :]
        mask = padding if mask is None else mask + padding
    weights = None
    if need_weights:
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        weights = (scores if mask is None else scores + mask).softmax(-1)
        seen = weights @ v
        weights = weights.mean(1) if average_attn_weights else weights
    else:
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    out = F.linear(seen.permute(2, 0, 1, 3).reshape(n_queries * n, -1), out_weight, out_bias)
    return out.view(n_queries, n, -1), weights


class FewerHeads:
    """The `forward` of an attention layer that has as many heads as its parameters."""

    def __init__(self, layer: nn.MultiheadAttention) -> None:
        self.layer = layer

    def __call__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> Any:
        layer = self.layer
        weight = layer._parameters["in_proj_weight"]
        if weight is None or tuple(weight.shape) == (3 * layer.embed_dim, layer.embed_dim):
            return type(layer).forward(
                layer,
                query,
                key,
                value,
                key_padding_mask,
                need_weights,
                attn_mask,
                average_attn_weights,
                is_causal,
            )
        padding, mask = (
            F._canonical_mask(
                mask=given, mask_name="mask", other_type=None, other_name="", target_type=query.dtype,
                check_other=False,
            )
            for given in (key_padding_mask, attn_mask)
        )  # fmt: skip
        if layer.batch_first:
            given = query, key, value
            once = {id(x): x for x in given}  # as torch does: one operation for a tensor that is all of them
            swapped = {number: x.transpose(1, 0) for number, x in once.items()}
            query, key, value = (swapped[id(x)] for x in given)
        out, weights = multi_head_attention_forward(
            query,
            key,
            value,
            layer.embed_dim,
            weight.shape[0] // (3 * layer.head_dim),
            weight,
            layer.in_proj_bias,
            None,
            None,
            False,
            0.0,
            layer.out_proj.weight,
            layer.out_proj.bias,
            key_padding_mask=padding,
            need_weights=need_weights,
            attn_mask=mask,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (out.transpose(1, 0) if layer.batch_first else out), weights


def follow_heads(module: nn.Module) -> None:
    """Makes all attention layers of the network, in place, follow parameters that are replaced.

    torch's fast path for inference, which would bypass them, is turned off in this process.
    """
    for part in module.modules():
        if type(part) is nn.MultiheadAttention:
            torch.backends.mha.set_fastpath_enabled(False)
            part.forward = FewerHeads(part)  # type: ignore[method-assign]
