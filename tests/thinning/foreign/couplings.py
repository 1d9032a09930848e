"""Networks whose channels depend on each other in many ways."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from thinning.foreign.cases import Net, conv, pooled, right, vector, whole
from torch import nn

Linear, BatchNorm = nn.Linear, nn.BatchNorm2d


def _residual(m: Any, x: Any) -> Any:
    x = F.relu(m.bn(m.stem(x)))
    for _ in range(2):
        x = F.relu(x + m.b(F.relu(m.a(x))))
    return m.head(pooled(x))


@right(7, 5)
def residual_with_shared_block(a: int, b: int) -> nn.Module:
    return Net(_residual, stem=conv(3, a), bn=BatchNorm(a), a=conv(a, b), b=conv(b, a), head=Linear(a, 3))


@right(5, 8)
def preactivated_residual(a: int, b: int) -> nn.Module:
    def run(m, x):
        x = m.stem(x)
        y = F.relu(m.one(x))
        x = m.short(y) + m.a(y)
        return m.head(pooled(m.two(x)))

    return Net(
        run, stem=conv(3, a), one=BatchNorm(a), short=conv(a, b, 1, stride=2), a=conv(a, b, 3, stride=2),
        two=BatchNorm(b), head=Linear(b, 3),
    )  # fmt: skip


@right(5)
def shortcut_with_appended_zeros(a: int) -> nn.Module:
    def run(m, x):
        x = F.relu(m.stem(x))
        zeros = torch.zeros(len(x), 4, *x.shape[2:], dtype=x.dtype)
        return m.head(pooled(m.wide(x) + torch.cat([x, zeros], 1)))

    return Net(run, stem=conv(3, a), wide=conv(a, a + 4), head=Linear(a + 4, 3))


@right(4, 3, 5)
def overlapping_concatenations(p: int, q: int, r: int) -> nn.Module:
    """cat(a, b) + cat(c, d) with other seams: c is a and the start of b, d the rest of b."""

    def run(m, x):
        return m.head(pooled(torch.cat([m.a(x), m.b(x)], 1) + torch.cat([m.c(x), m.d(x)], 1)))

    return Net(
        run, a=conv(3, p), b=conv(3, q + r), c=conv(3, p + q), d=conv(3, r, 1), head=Linear(p + q + r, 3)
    )


@right(5, 4, 6)
def dense_block(a: int, b: int, c: int) -> nn.Module:
    def run(m, x):
        x = m.stem(x)
        x = torch.cat([x, F.relu(m.one(x))], 1)
        x = torch.cat([m.bn(F.relu(m.two(x))), x], 1)
        return m.head(pooled(x))

    return Net(
        run, stem=conv(3, a), one=conv(a, b), two=conv(a + b, c), bn=BatchNorm(c), head=Linear(a + b + c, 3)
    )


def _of_each_pixel(outputs: Any, y: Any) -> Any:
    """The cross-entropy of every pixel's class, all pixels of an image having the same one."""
    return F.cross_entropy(outputs, y[:, None, None].expand(-1, *outputs.shape[2:]))


@right(5, 4, 6, 3, 7, 2, 8, shape=(3, 8, 8), loss_fn=_of_each_pixel)
def u_net(a: int, b: int, c: int, up1: int, d: int, up2: int, e: int) -> nn.Module:
    """Ronneberger et al., MICCAI 2015: two levels down, transposed convolutions up, skips concatenated."""

    def run(m, x):
        top = F.relu(m.bn_a(m.a(x)))
        middle = F.relu(m.bn_b(m.b(F.max_pool2d(top, 2))))
        x = F.relu(m.c(F.max_pool2d(middle, 2)))
        x = F.relu(m.bn_d(m.d(torch.cat([middle, m.up1(x)], 1))))
        return m.head(F.relu(m.e(torch.cat([top, m.up2(x)], 1))))

    def up(n_in: int, n_out: int) -> nn.Module:
        return nn.ConvTranspose2d(n_in, n_out, 2, stride=2)

    return Net(
        run, a=conv(3, a), bn_a=BatchNorm(a), b=conv(a, b), bn_b=BatchNorm(b), c=conv(b, c), up1=up(c, up1),
        d=conv(b + up1, d), bn_d=BatchNorm(d), up2=up(d, up2), e=conv(a + up2, e), head=conv(e, 3, 1),
    )  # fmt: skip


@right(7)
def concatenation_of_itself(a: int) -> nn.Module:
    """CReLU, and a concatenation of three copies."""

    def run(m, x):
        x = m.a(x)
        return m.head(pooled(torch.cat([x, -x, torch.cat([x.abs()], 1)], 1)))

    return Net(run, a=conv(3, a), head=Linear(3 * a, 3))


@right(8, 3)
def squeeze_and_excite(a: int, b: int) -> nn.Module:
    def run(m, x):
        x = F.relu(m.a(x))
        gate = F.hardsigmoid(m.up(F.silu(m.down(F.adaptive_avg_pool2d(x, 1)))))
        return m.head(pooled(x * gate))

    return Net(run, a=conv(3, a), down=conv(a, b, 1), up=conv(b, a, 1), head=Linear(a, 3))


@right(6)
def highway(a: int) -> nn.Module:
    def run(m, x):
        x = m.stem(x)
        t = torch.sigmoid(m.t(x))
        return m.head(pooled(t * torch.tanh(m.h(x)) + (1 - t) * x))

    return Net(run, stem=conv(3, a), t=conv(a, a), h=conv(a, a, 1), head=Linear(a, 3))


@right(7)
def gates_of_three_and_maxout(a: int) -> nn.Module:
    def run(m, x):
        y = torch.maximum(m.a(x), m.b(x)) * torch.sigmoid(m.c(x))
        return m.head(pooled(torch.lerp(y, m.a(x), 0.3)))

    return Net(run, a=conv(3, a), b=conv(3, a, 1), c=conv(3, a, 1), head=Linear(a, 3))


@right(6, 1)
def spatial_gate_of_one_channel(a: int, b: int) -> nn.Module:
    def run(m, x):
        x = F.relu(m.a(x))
        return m.head(pooled(x * torch.sigmoid(m.gate(x))))

    return Net(run, a=conv(3, a), gate=conv(a, b, 1), head=Linear(a, 3))


@right(8, 6)
def depthwise_between_pointwise(a: int, b: int) -> nn.Module:
    def run(m, x):
        return m.head(pooled(m.c(F.relu(m.bn(m.b(m.a(x)))))))

    return Net(
        run, a=conv(3, a, 1), b=conv(a, 2 * a, groups=a, bias=False), bn=BatchNorm(2 * a),
        c=conv(2 * a, b, 1), head=Linear(b, 3),
    )  # fmt: skip


@right(8, 6, 4)
def groups_of_two_and_two(a: int, b: int, c: int) -> nn.Module:
    def run(m, x):
        return m.head(pooled(m.c(F.relu(m.b(F.relu(m.a(x)))))))

    return Net(run, a=conv(3, a), b=conv(a, b, groups=2), c=conv(b, c, groups=2), head=Linear(c, 3))


@right(12)
def groups_of_two_and_three_in_a_residual(a: int) -> nn.Module:
    def run(m, x):
        x = m.stem(x)
        x = x + m.two(x)
        return m.head(pooled(x + m.three(F.relu(x))))

    return Net(
        run, stem=conv(3, a), two=conv(a, a, groups=2), three=conv(a, a, 1, groups=3), head=Linear(a, 3)
    )


@right(6)
def every_second_group_is_depthwise(a: int) -> nn.Module:
    """A depthwise convolution over a concatenation."""

    def run(m, x):
        x = m.a(x)
        return m.head(pooled(m.d(torch.cat([x, F.relu(x)], 1))))

    return Net(run, a=conv(3, a), d=conv(2 * a, 2 * a, groups=2 * a), head=Linear(2 * a, 3))


@right(5, 6)
def one_layer_on_two_inputs(a: int, b: int) -> nn.Module:
    def run(m, x):
        return m.head(pooled(m.s(m.a(x)) - m.s(F.relu(m.b(x)))))

    return Net(run, a=conv(3, a), b=conv(3, a, 1), s=conv(a, b), head=Linear(b, 3))


@right(6)
def tied_weights(a: int) -> nn.Module:
    net = Net(
        lambda m, x: m.head(pooled(m.c(F.relu(m.b(m.a(x)))))),
        a=conv(3, a), b=conv(a, a), c=conv(a, a), head=Linear(a, 3),
    )  # fmt: skip
    net.c.weight = net.b.weight
    return net


@right(6, 8)
def tied_biases_and_norms(a: int, b: int) -> nn.Module:
    net = Net(
        lambda m, x: m.head(pooled(m.n(m.b(F.relu(m.k(m.a(x))) * m.a2(x))))),
        a=conv(3, a), a2=conv(3, a, 1), k=BatchNorm(a), b=conv(a, b), n=BatchNorm(b), head=Linear(b, 3),
    )  # fmt: skip
    net.a2.bias = net.a.bias
    net.k.bias = net.k.weight
    return net


@whole("weight is computed", 6)
def transposed_weight_of_another_layer(a: int) -> nn.Module:
    def run(m, x):
        x = F.relu(m.enc(x.mean((2, 3))))
        return m.head(F.linear(x, m.enc.weight.t()))

    return Net(run, enc=Linear(3, a), head=Linear(3, 3))


@right(7)
def layer_scales(a: int) -> nn.Module:
    def run(m, x):
        x = m.a(x)
        x = x + m.g1.view(1, -1, 1, 1) * m.b(x)
        x = x + m.g2[:, None, None] * F.relu(x)
        return m.head(pooled(x * m.g3.reshape(-1, 1, 1)))

    return Net(run, a=conv(3, a), b=conv(a, a), g1=vector(a), g2=vector(a), g3=vector(a), head=Linear(a, 3))


@right(7)
def scales_as_they_are(a: int) -> nn.Module:
    def run(m, x):
        return m.head(pooled(m.a(x) * m.g + m.b) * F.softplus(m.s) + m.z)

    return Net(
        run,
        a=conv(3, a),
        g=vector(1, a, 1, 1),
        b=vector(a, 1, 1),
        s=vector(a),
        z=vector(1),
        head=Linear(a, 3),
    )


@right(6, 5)
def rezero_and_learned_mixture(a: int, b: int) -> nn.Module:
    """DARTS' mixed operation: branches weighted by the softmax of a few numbers."""

    def run(m, x):
        x = m.a(x)
        w = F.softmax(m.alpha, 0)
        y = w[0] * m.one(x) + w[1] * m.two(x) + w[2] * m.pool(m.two(x))
        return m.head(pooled(y * m.rezero))

    return Net(
        run, a=conv(3, a), one=conv(a, b), two=conv(a, b, 1), pool=nn.MaxPool2d(3, 1, 1), alpha=vector(3),
        rezero=vector(1), head=Linear(b, 3),
    )  # fmt: skip


@right(5, 4, 6, 5)
def inception(a: int, b: int, c: int, d: int) -> nn.Module:
    def run(m, x):
        branches = [m.a(x), m.c(F.relu(m.b(x))), m.d(F.avg_pool2d(x, 3, 1, 1))]
        return m.head(pooled(F.relu(torch.cat(branches, 1))))

    return Net(
        run, a=conv(3, a, 1), b=conv(3, b, 1), c=conv(b, c), d=conv(3, d, 1), head=Linear(a + c + d, 3)
    )


@right(5, 6, 4)
def skip_around_a_coarser_level(a: int, b: int, c: int) -> nn.Module:
    def run(m, x):
        x = F.relu(m.a(x))
        y = F.interpolate(F.relu(m.b(F.max_pool2d(x, 2))), scale_factor=2.0)
        return m.head(pooled(m.c(torch.cat([x, y], 1))))

    return Net(run, a=conv(3, a), b=conv(a, b), c=conv(a + b, c), head=Linear(c, 3))


@right(5)
def sum_with_the_input(a: int) -> nn.Module:
    """Three channels are added to the input, and so fixed."""
    return Net(lambda m, x: m.head(pooled(m.b(m.a(x) + x))), a=conv(3, 3), b=conv(3, a), head=Linear(a, 3))


@right(6)
def stacked_branches(a: int) -> nn.Module:
    def run(m, x):
        y = torch.stack([m.a(x), m.b(x)]).mean(0) + torch.stack([m.a(x), m.b(x)], 1).sum(1)
        return m.head(pooled(y))

    return Net(run, a=conv(3, a), b=conv(3, a, 1), head=Linear(a, 3))


@right(6)
def centred_maps(a: int) -> nn.Module:
    def run(m, x):
        x = m.a(x)
        return m.head((x - x.mean((2, 3), keepdim=True)).square().mean((2, 3)))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@whole("reduces over channels", 6)
def centred_channels(a: int) -> nn.Module:
    def run(m, x):
        x = m.a(x)
        return m.head(pooled(x - x.mean(1, keepdim=True)))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@whole("works on axis 1 of its input", 8, groups=(1,))
def efficient_channel_attention(a: int) -> nn.Module:
    """A convolution along the channels."""

    def run(m, x):
        x = m.a(x)
        y = m.along(x.mean((2, 3))[:, None])[:, 0]
        return m.head(pooled(x * torch.sigmoid(y)[:, :, None, None]))

    return Net(run, a=conv(3, a), along=nn.Conv1d(1, 1, 3, padding=1), head=Linear(a, 3))


@right(4)
def gated_linear_unit(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(pooled(F.glu(m.a(x), 1))), a=conv(3, 2 * a), head=Linear(a, 3))


@right(6, 2, made=(6,), rebuilt=False)
def self_attention_on_hidden_tokens(a: int) -> nn.Module:
    def run(m, x):
        x = m.a(x).flatten(2).transpose(1, 2)
        return m.head((x + m.mha(x, x, x, need_weights=False)[0]).mean(1))

    return Net(run, a=conv(3, a), mha=nn.MultiheadAttention(a, 2, batch_first=True), head=Linear(a, 3))


@whole("'bmm'", 6)
def gram_matrix(a: int) -> nn.Module:
    def run(m, x):
        x = m.a(x).flatten(2)
        return m.head(torch.bmm(x, x.transpose(1, 2)).flatten(1))

    return Net(run, a=conv(3, a), head=Linear(a * a, 3))


@right(6, loss_fn=lambda out, y: F.cross_entropy(out[0], y) + out[1].square().mean())
def two_heads(a: int) -> nn.Module:
    def run(m, x):
        x = pooled(m.a(x))
        return m.head(x), m.other(x)

    return Net(run, a=conv(3, a), head=Linear(a, 3), other=Linear(a, 2))


@right(6, loss_fn=lambda out, y: F.cross_entropy(out["logits"], y) + out["features"].square().mean())
def features_among_the_outputs(a: int) -> nn.Module:
    def run(m, x):
        features = m.b(F.relu(m.a(x))).mean((2, 3))
        return {"logits": m.head(features), "features": features}

    return Net(run, a=conv(3, a), b=conv(a, 5), head=Linear(5, 3))


@right(6)
def softmax_over_channels_is_fixed(a: int) -> nn.Module:
    def run(m, x):
        return m.head((m.b(F.relu(m.a(x))).softmax(1) * m.c(x)).mean((2, 3)))

    return Net(run, a=conv(3, a), b=conv(a, 5), c=conv(3, 5), head=Linear(5, 3))


@right(6, 5)
def mixture_of_experts(a: int, b: int) -> nn.Module:
    """Gates of two experts, softmaxed, each gate taken by its number."""

    def run(m, x):
        x = F.relu(m.a(x))
        gates = F.softmax(m.gate(x.mean((2, 3))), 1)
        y = gates[:, 0, None, None, None] * m.one(x) + gates[:, 1].view(-1, 1, 1, 1) * m.two(x)
        return m.head(pooled(y))

    return Net(run, a=conv(3, a), gate=Linear(a, 2), one=conv(a, b), two=conv(a, b, 1), head=Linear(b, 3))
