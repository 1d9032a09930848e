"""Networks that keep and use their parameters in unusual ways."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from thinning.foreign.cases import Net, conv, pooled, refused, right, vector, whole
from torch import nn
from torch.nn.utils import prune

Linear = nn.Linear


@right(6)
def one_module_under_two_names(a: int) -> nn.Module:
    net = Net(
        lambda m, x: m.head(pooled(m.again(F.relu(m.b(m.a(x)))))),
        a=conv(3, a),
        b=conv(a, a),
        head=Linear(a, 3),
    )
    net.again = net.b
    return net


@right(6, 5)
def lists_and_dicts_of_parameters(a: int, b: int) -> nn.Module:
    def run(m, x):
        x = F.conv2d(x, m.p["kernel"]) + m.p["bias"]
        return m.head(F.relu(F.linear(pooled(x), m.w[0], m.w[1])))

    def matrix(*shape):
        return nn.Parameter(torch.randn(shape) / 3)

    p = nn.ParameterDict({"kernel": matrix(a, 3, 3, 3), "bias": vector(a, 1, 1)})
    return Net(run, p=p, w=nn.ParameterList([matrix(b, a), vector(b)]), head=Linear(b, 3))


@whole("weight is computed", 8)
def slimmable_slice_of_a_weight(a: int) -> nn.Module:
    """Once-for-all networks use the first filters of a weight."""
    return Net(
        lambda m, x: m.head(pooled(F.conv2d(x, m.w[:4], padding=1))), w=vector(a, 3, 3, 3), head=Linear(4, 3)
    )


@refused("its 'matmul' has 36 multiply-adds for 5 examples", 6)
def low_rank_weight(a: int) -> nn.Module:
    return Net(
        lambda m, x: m.head(F.relu(F.linear(x.mean((2, 3)), m.u @ m.v))), u=vector(a, 2), v=vector(2, 3),
        head=Linear(a, 3),
    )  # fmt: skip


@refused("its 'matmul' has 18 multiply-adds for 4 examples", 6)
def adapter_beside_a_frozen_weight(a: int) -> nn.Module:
    """LoRA, merged into the weight."""
    net = Net(
        lambda m, x: m.head(F.relu(F.linear(x.mean((2, 3)), m.a.weight + m.u @ m.v))),
        a=Linear(3, a), u=vector(a, 1), v=vector(1, 3), head=Linear(a, 3),
    )  # fmt: skip
    net.a.requires_grad_(False)
    return net


@right(6, 2)
def adapter_beside_a_frozen_layer(a: int, b: int) -> nn.Module:
    """LoRA as two small layers."""
    net = Net(
        lambda m, x: m.head(F.relu(m.a(x) + m.up(m.down(x))).mean((2, 3))),
        a=conv(3, a), down=conv(3, b, 1, bias=False), up=conv(b, a, 1, bias=False), head=Linear(a, 3),
    )  # fmt: skip
    net.a.requires_grad_(False)
    return net


@refused("cannot be copied", 6)
def pruned_by_torch(a: int) -> nn.Module:
    layer = conv(3, a)
    prune.random_unstructured(layer, "weight", 0.3)
    return Net(lambda m, x: m.head(pooled(m.a(x))), a=layer, head=Linear(a, 3))


@refused("cannot be copied", 6)
def weight_normalised_by_hooks(a: int) -> nn.Module:
    layer = nn.utils.weight_norm(conv(3, a))
    return Net(lambda m, x: m.head(pooled(m.a(x))), a=layer, head=Linear(a, 3))


@right(6)
def blur_by_a_buffer(a: int) -> nn.Module:
    """Anti-aliasing: a fixed kernel a channel, as many groups as channels."""

    def run(m, x):
        x = F.relu(m.a(x))
        return m.head(pooled(F.conv2d(x, m.kernel, stride=2, groups=x.shape[1])))

    kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    return Net(run, a=conv(3, a), kernel=kernel.repeat(a, 1, 1, 1), head=Linear(a, 3))


@whole("weight is computed", 6)
def blur_by_a_repeated_kernel(a: int) -> nn.Module:
    def run(m, x):
        x = F.relu(m.a(x))
        return m.head(pooled(F.conv2d(x, m.kernel.expand(x.shape[1], 1, 3, 3), groups=x.shape[1])))

    return Net(run, a=conv(3, a), kernel=torch.ones(1, 1, 3, 3) / 9, head=Linear(a, 3))


@right(6)
def parameters_at_every_level(a: int) -> nn.Module:
    """A bias at the top, a scale in a block, a second one in a block of it."""
    inner = Net(lambda m, x: x * m.g, g=vector(a, 1, 1))
    block = Net(
        lambda m, x: m.inner(m.c(x)) * m.g + m.b, inner=inner, c=conv(3, a), g=vector(1), b=vector(a, 1, 1)
    )
    return Net(
        lambda m, x: m.head(pooled(m.block(x) - m.b)), block=block, b=vector(1, a, 1, 1), head=Linear(a, 3)
    )


@right(5)
def scale_for_every_position(a: int) -> nn.Module:
    """Parameters whose channels lie on the second, the third and the last axis."""

    def run(m, x):
        x = m.a(x) * m.maps
        x = x.flatten(2).transpose(1, 2) + m.positions
        return m.head((F.relu(x) * m.last).mean(1))

    return Net(
        run, a=conv(3, a), maps=vector(1, a, 6, 6), positions=vector(1, 36, a), last=vector(1, 1, a),
        head=Linear(a, 3),
    )  # fmt: skip


@right(5)
def large_scale_shared_by_two_branches(a: int) -> nn.Module:
    """One vector scales two layers, which it so couples."""

    def run(m, x):
        return m.head(pooled(m.a(x) * m.g) + pooled(m.b(x)) * m.g[:, 0, 0])

    return Net(run, a=conv(3, a), b=conv(3, a, 1), g=vector(a, 1, 1), head=Linear(a, 3))


@right()
def penalty_on_a_weight() -> nn.Module:
    """The mean square of a weight is among the outputs: that weight stays whole."""
    return Net(
        lambda m, x: m.head(pooled(m.a(x))) * (1 + m.a.weight.square().mean()),
        a=conv(3, 6),
        head=Linear(6, 3),
    )


@whole("reads the width", 6)
def shapes_of_a_weight(a: int) -> nn.Module:
    """Equalised learning rate: the width is read from the weight."""

    def run(m, x):
        x = F.relu(m.a(x))
        return m.head(pooled(m.b(x) * (2 / m.b.weight[0].numel()) ** 0.5))

    return Net(run, a=conv(3, a), b=conv(a, 4), head=Linear(4, 3))


@whole("reads the width", 6)
def width_from_a_module(a: int) -> nn.Module:
    """The number of channels that the convolution states."""

    def run(m, x):
        return m.head(pooled(m.a(x)) / m.a.weight.shape[0] * 6)

    return Net(run, a=conv(3, a), head=Linear(a, 3))
