"""Rules for matrix products and attention.

In a product of two activations, channels may lie on an axis over which it is repeated, as the heads of an
attention do. A head is then one channel: its units of queries, keys and values, and the columns that read it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distreal_sim.thinning.coupling.channels import Channels, Producer
from distreal_sim.thinning.coupling.layer_rules import argument, channels_on, finish, positions_of, vector_on
from distreal_sim.thinning.coupling.moves import Args, Before, Kwargs
from distreal_sim.thinning.coupling.products import count
from distreal_sim.thinning.coupling.trace import Trace
from distreal_sim.thinning.structure import Layer, Product


def matmul(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """x @ w, with a parameter w (in, out) or the transpose of one: a linear layer; or of two activations."""
    x, weight = args[0], argument(args, kwargs, 1, "other", kwargs.get("mat2"))
    if trace.is_parameter(x) and not (trace.is_derived(x) or trace.is_derived(weight)):
        return
    if not trace.is_parameter(x) and not trace.is_parameter(weight):
        _product(trace, torch.matmul, "matmul", [x, weight], (x, weight), {}, out)
        return
    name, axes = trace.shown(weight), trace.axes_of(weight)
    if name is None or trace.is_parameter(x) or weight.dim() != 2 or len(axes) != 2:
        raise trace.refuse("no rule says what a matrix product with computed weights does to channels")
    channels = channels_on(trace, x, x.dim() - 1)
    trace.couplings.unite(axes[0], channels.atoms)
    trace.scaled[name] = channels.atoms
    dim = next(d for d, atoms in trace.axes[name].items() if atoms is axes[1])
    if dim == 1:
        trace.transposed.add(name)
    atoms = trace.produced(name, weight.shape[1], "linear", dim)
    finish(trace, (), {}, x, name, out, out.dim() - 1, atoms, out.numel() // weight.shape[1], weight)


def attention(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """F.scaled_dot_product_attention with the heads on an axis before those of tokens and units."""
    parts = [argument(args, kwargs, place, name) for place, name in enumerate(("query", "key", "value"))]
    mask = argument(args, kwargs, 3, "attn_mask")
    if argument(args, kwargs, 4, "dropout_p", 0.0):
        raise trace.refuse("no rule covers the dropout of attention, whose draws depend on the width")
    function = F.scaled_dot_product_attention
    heads = _product(trace, function, function.__name__, parts, args, kwargs, out)
    if mask is not None:
        _meet(trace, mask, mask.dim() - out.dim() + heads.dim, heads.atoms)


def multi_head(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """F.multi_head_attention_forward of nn.MultiheadAttention, which `heads.py` runs with fewer heads."""
    query, key, value, _, n_heads, weight, bias, *others, dropout, out_weight, out_bias = args[:13]
    mask = kwargs.get("attn_mask")
    if (
        type(trace.current[1]) is not nn.MultiheadAttention
        or trace.name_of(weight) is None
        or trace.name_of(out_weight) is None
        or query.dim() != 3
        or key.shape[0] != query.shape[0]
        or any(x.requires_grad != query.requires_grad for x in (key, value))
        or any(other is not None and other is not False for other in others)
        or (dropout and kwargs.get("training", True))
        or (mask is not None and mask.dim() != 2)
    ):
        raise trace.refuse(
            "no rule covers attention with dropout, with keys of another width or number than the queries, "
            "or with biases or masks of its heads"
        )
    name, out_name = trace.name_of(weight), trace.name_of(out_weight)
    assert name is not None
    assert out_name is not None
    known = trace.axes[name].get(0)
    size = weight.shape[0] // (3 * n_heads)
    heads = trace.couplings.new(n_heads) if known is None else known[: n_heads * size : size]
    units = np.repeat(heads, size)
    trace.bind(name, 0, np.tile(units, 3))
    vector_on(trace, bias, np.tile(units, 3))
    trace.producers.setdefault((name, 0), Producer(trace.current[0], "linear", heads))
    for x in (query, key, value):
        read = channels_on(trace, x, 2).atoms
        trace.bind(name, 1, read)
        trace.scaled[name] = read
    positions = positions_of(trace, query.shape[0] * query.shape[1])
    needed = bool(query.requires_grad)
    upstream = frozenset().union(*map(trace.upstream, (query, key, value)))
    nodes = [node for node in [out[0].grad_fn] if node is not None]
    layer = Layer(trace.current[0], name, positions, needed + weight.requires_grad, upstream)
    trace.now.layers.append(layer)
    trace.now.nodes.append(nodes)
    upstream = upstream.union(*map(trace.upstream, [t for t in (weight, bias) if t is not None]))
    needed = needed or weight.requires_grad or (bias is not None and bias.requires_grad)
    macs = 2 * positions * key.shape[0] * weight.shape[0] // 3
    back = 2 * macs if needed else 0
    product = Product(
        trace.current[0], "multi_head_attention_forward", macs, 0, back, back, upstream=upstream,
        beside=frozenset({name, out_name}),
    )  # fmt: skip
    trace.now.products.append(product)
    trace.now.product_axes.append(heads)
    trace.now.product_nodes.append(nodes)
    trace.bind(out_name, 1, units)
    trace.scaled[out_name] = units
    atoms = trace.produced(out_name, out_weight.shape[0], "linear")
    vector_on(trace, out_bias, atoms)
    trace.now.layers.append(
        Layer(trace.current[0], out_name, positions, needed + out_weight.requires_grad, upstream)
    )
    trace.now.nodes.append(nodes)
    trace.set_channels(out[0], 2, atoms)
    if out[1] is not None and kwargs.get("average_attn_weights", True):
        trace.forbid(out[1], "it reads a mean over the heads of an attention, for which there is no rule")
    elif out[1] is not None:
        trace.set_channels(out[1], 1, heads)


def _product(
    trace: Trace,
    function: Callable[..., Any],
    name: str,
    operands: Sequence[Tensor],
    args: Args,
    kwargs: Kwargs,
    out: Tensor,
) -> Channels:
    """Records a product that is repeated over the channels of its operands; returns the result's."""
    found = [trace.channels(t) for t in operands]
    places = {c.dim - t.dim() for c, t in zip(found, operands, strict=True) if c is not None}
    heads = found[0]
    if heads is None or None in found or len(places) > 1 or max(places) > -3:
        raise trace.refuse("no rule says what a matrix product of two activations does to these channels")
    if len({len(c.atoms) for c in found if c is not None}) > 1:
        raise trace.refuse("no rule covers heads that share keys and values with others")
    for other in found[1:]:
        assert other is not None
        trace.couplings.unite(heads.atoms, other.atoms)
    count(trace, function, name, args, kwargs, out, heads.atoms)
    channels = Channels(out.dim() + places.pop(), heads.atoms)
    trace.set_channels(out, *channels)
    return channels


def _meet(trace: Trace, tensor: Tensor, dim: int, atoms: np.ndarray) -> None:
    """A mask of attention, whose axis `dim`, if it has one, is that of the heads."""
    for other, loose in trace.axes_of(tensor).items():
        if other != dim and trace.is_parameter(tensor):
            trace.couplings.fix(loose)
        elif other != dim:
            trace.whole(loose, "channels lie on another axis of its mask")
    if dim >= 0:
        vector_on(trace, tensor, atoms, dim)


PRODUCT_RULES: dict[str, Callable[[Trace, Args, Kwargs, Any, Before], None]] = {
    **dict.fromkeys(("matmul", "__matmul__", "mm"), matmul),
    "scaled_dot_product_attention": attention,
    "multi_head_attention_forward": multi_head,
}
