"""Attention, whose heads are channels."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from thinning.foreign.cases import Net, right, vector, whole
from torch import nn
from torch.nn import Linear

UNITS = 2
"""Units of a head."""


def _projections(heads: int) -> dict[str, nn.Module]:
    own = {name: Linear(4, UNITS * heads) for name in ("q", "k", "v")}
    return {**own, "head": Linear(UNITS * heads, 3)}


def _heads(x: Any) -> Any:
    """(n, T, heads * units) -> (n, heads, T, units)."""
    return x.unflatten(2, (-1, UNITS)).transpose(1, 2)


@right(3, shape=(5, 4))
def heads_of_three_projections(h: int) -> nn.Module:
    def run(m, x):
        y = F.scaled_dot_product_attention(*(_heads(part(x)) for part in (m.q, m.k, m.v)))
        return (x + m.head(y.transpose(1, 2).flatten(2))).mean(1)

    return Net(run, **_projections(h) | {"head": Linear(UNITS * h, 4)})


@right(3, shape=(5, 4))
def heads_by_number_with_a_causal_mask(h: int) -> nn.Module:
    """The number of heads is an attribute, which is that of the kept heads at a smaller width."""

    def run(m, x):
        n, t, _ = x.shape
        q, k, v = (part(x).view(n, t, m.n_heads, UNITS).transpose(1, 2) for part in (m.q, m.k, m.v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return m.head(y.transpose(1, 2).reshape(n, t, -1)).mean(1)

    net = Net(run, **_projections(h))
    net.n_heads = h
    return net


@right(3, shape=(5, 4))
def heads_of_a_joint_projection(h: int) -> nn.Module:
    def run(m, x):
        q, k, v = m.qkv(x).unflatten(2, (3, -1, UNITS)).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) / math.sqrt(UNITS)).softmax(-1)
        return m.head((weights @ v).transpose(1, 2).flatten(2)).mean(1)

    parts = _projections(h) | {"qkv": Linear(4, 3 * UNITS * h, bias=False)}
    return Net(run, **{name: part for name, part in parts.items() if name not in ("q", "k", "v")})


@right(3, shape=(5, 4))
def heads_of_a_projection_in_chunks(h: int) -> nn.Module:
    def run(m, x):
        q, k, v = (_heads(part) for part in m.qkv(x).chunk(3, -1))
        return m.head(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)).mean(1)

    return Net(run, qkv=Linear(4, 3 * UNITS * h), head=Linear(UNITS * h, 3))


@right(3, shape=(5, 4))
def bias_and_scale_of_each_head(h: int) -> nn.Module:
    """A learned mask of each head, a norm of its units, and a gate of each head."""

    def run(m, x):
        q, k = m.norm(_heads(m.q(x))), m.norm(_heads(m.k(x)))
        y = F.scaled_dot_product_attention(q, k, _heads(m.v(x)), m.bias, scale=0.3) * m.gate
        return m.head(y.transpose(1, 2).flatten(2)).mean(1)

    return Net(
        run, **_projections(h), norm=nn.LayerNorm(UNITS), bias=vector(h, 5, 5), gate=vector(h, 1, 1)
    )  # fmt: skip


@right(6, 3, shape=(5, 4))
def attention_to_other_tokens(a: int, h: int) -> nn.Module:
    """Queries of five tokens, keys and values of the first three, from hidden units."""

    def run(m, x):
        memory = F.relu(m.a(x[:, :3]))
        y = F.scaled_dot_product_attention(_heads(m.q(x)), _heads(m.k(memory)), _heads(m.v(memory)))
        return m.head(y.transpose(1, 2).flatten(2)).mean(1)

    parts = _projections(h) | {"k": Linear(a, UNITS * h), "v": Linear(a, UNITS * h)}
    return Net(run, **parts, a=Linear(4, a))


@whole("its code holds a constant that fixes the width", 2, shape=(5, 4))
def heads_joined_to_the_width_of_the_stream(h: int) -> nn.Module:
    def run(m, x):
        n, t, c = x.shape
        y = F.scaled_dot_product_attention(*(_heads(part(x)) for part in (m.q, m.k, m.v)))
        return m.head(y.transpose(1, 2).reshape(n, t, c)).mean(1)

    return Net(run, **_projections(h))


@whole("heads that share keys and values", 2, shape=(5, 4))
def heads_that_share_keys(h: int) -> nn.Module:
    def run(m, x):
        q, k, v = (_heads(part(x)) for part in (m.q, m.k, m.v))
        y = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        return m.head(y.transpose(1, 2).flatten(2)).mean(1)

    parts = _projections(h) | {"k": Linear(4, 2 * UNITS), "v": Linear(4, 2 * UNITS)}
    return Net(run, **parts | {"q": Linear(4, 4 * UNITS), "head": Linear(4 * UNITS, 3)})


@whole("dropout of attention", 3, shape=(5, 4))
def dropped_weights(h: int) -> nn.Module:
    def run(m, x):
        parts = (_heads(part(x)) for part in (m.q, m.k, m.v))
        y = F.scaled_dot_product_attention(*parts, dropout_p=0.3 * m.training)
        return m.head(y.transpose(1, 2).flatten(2)).mean(1)

    return Net(run, **_projections(h))


@whole("product of two activations", 6, shape=(5, 4))
def one_head_that_is_not_split(a: int) -> nn.Module:
    """The products are sums over channels, and the scale is that of the full width."""

    def run(m, x):
        return m.head(F.scaled_dot_product_attention(m.q(x), m.k(x), m.v(x)).mean(1))

    return Net(run, q=Linear(4, a), k=Linear(4, a), v=Linear(4, a), head=Linear(a, 3))


def _layer(heads: int, **options: Any) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(4, heads, batch_first=True, **options)


@whole("dropout", 6, shape=(7, 4), groups=(6,))
def layer_with_dropout(a: int) -> nn.Module:
    def run(m, x):
        return m.head(F.relu(m.a(m.mha(x, x, x)[0])).mean(1))

    return Net(run, mha=_layer(2, dropout=0.2), a=Linear(4, a), head=Linear(a, 3))


@right(2, 4, 5, shape=(7, 4), made=(5,), rebuilt=False)
def layer_with_masks(a: int) -> nn.Module:
    """A causal mask and one of padding, as booleans; nothing reads the weights that the layer gives."""

    def run(m, x):
        late, padding = torch.ones(7, 7).triu(1) > 0, torch.arange(7).expand(len(x), -1) > 4
        y = m.mha(x, x, x, key_padding_mask=padding, attn_mask=late)[0]
        return m.head(F.relu(m.a(y)).mean(1))

    return Net(run, mha=_layer(2), a=Linear(4, a), head=Linear(a, 3))


@whole("it reads a mean over the heads", 6, shape=(7, 4))
def layer_whose_mean_weights_are_read(a: int) -> nn.Module:
    def run(m, x):
        y, weights = m.mha(x, x, x)
        return m.head(F.relu(m.a(weights @ y)).mean(1))

    return Net(run, mha=_layer(2), a=Linear(4, a), head=Linear(a, 3))


@right(4, 2, 6, shape=(7, 4), made=(6,), rebuilt=False)
def layer_between_streams(a: int) -> nn.Module:
    """Queries from one stream, keys and values from another, as long; the stream is no layer norm's."""

    def run(m, x):
        one, two = F.relu(m.one(x)), F.relu(m.two(x.flip(1)))
        return m.head(F.relu(m.a(one + m.mha(one, two, two, need_weights=False)[0])).mean(1))

    return Net(
        run, one=Linear(4, 4), two=Linear(4, 4), mha=_layer(2, bias=False), a=Linear(4, a), head=Linear(a, 3)
    )  # fmt: skip
