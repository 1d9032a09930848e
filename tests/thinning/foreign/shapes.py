"""Networks that move, flatten, pad, pool and cut their channels."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from thinning.foreign.cases import Net, conv, pooled, right, vector, whole
from torch import nn

Linear = nn.Linear


@right(5, 7)
def flatten_with_positions(a: int, b: int) -> nn.Module:
    def run(m, x):
        return m.head(F.relu(m.fc(F.max_pool2d(F.relu(m.a(x)), 2).flatten(1))))

    return Net(run, a=conv(3, a), fc=Linear(9 * a, b), head=Linear(b, 3))


@right(5, 7)
def flatten_behind_a_permute(a: int, b: int) -> nn.Module:
    def run(m, x):
        x = F.max_pool2d(F.relu(m.a(x)), 2).permute(0, 2, 3, 1)
        return m.head(F.relu(m.fc(x.reshape(x.shape[0], -1))))

    return Net(run, a=conv(3, a), fc=Linear(9 * a, b), head=Linear(b, 3))


@right(6)
def flatten_of_a_concatenation(a: int) -> nn.Module:
    """Positions of two maps of different sizes side by side."""

    def run(m, x):
        x = m.a(x)
        return m.head(torch.cat([F.adaptive_avg_pool2d(x, s).flatten(1) for s in (1, 2)], 1))

    return Net(run, a=conv(3, a), head=Linear(5 * a, 3))


@right(6)
def flatten_halfway(a: int) -> nn.Module:
    def run(m, x):
        x = m.a(x).transpose(1, 2).flatten(2)  # n, H, C * W
        return m.head(F.relu(x).mean(1))

    return Net(run, a=conv(3, a), head=Linear(6 * a, 3))


@whole("constant that fixes the width", 6)
def flatten_by_a_constant(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(m.a(x).view(-1, 216)), a=conv(3, a), head=Linear(36 * a, 3))


@whole("name the axis", 7)
def squeeze_without_axis(a: int) -> nn.Module:
    return Net(
        lambda m, x: m.head(F.adaptive_avg_pool2d(m.a(x), 1).squeeze()), a=conv(3, a), head=Linear(a, 3)
    )


@right(7)
def squeezes_of_named_axes(a: int) -> nn.Module:
    def run(m, x):
        return m.head(F.adaptive_avg_pool2d(m.a(x), 1).squeeze(-1).squeeze(2).unsqueeze(1).squeeze(1))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@whole("it normalises a residual stream", 6, 8, groups=(8,))
def channels_last_linear_layers(a: int, b: int) -> nn.Module:
    """ConvNeXt's block: depthwise, layer norm and two linear layers with the channels last."""

    def run(m, x):
        x = m.stem(x)
        y = m.norm(m.dw(x).permute(0, 2, 3, 1))
        y = m.gamma * m.two(F.gelu(m.one(y)))
        return m.head((x + y.permute(0, 3, 1, 2)).mean((-2, -1)))

    return Net(
        run, stem=conv(3, a), dw=conv(a, a, groups=a), norm=nn.LayerNorm(a), one=Linear(a, b),
        two=Linear(b, a), gamma=vector(a), head=Linear(a, 3),
    )  # fmt: skip


@right(6)
def movedim_and_moveaxis(a: int) -> nn.Module:
    def run(m, x):
        x = torch.movedim(m.a(x), 1, -1) * m.g
        return m.head(x.moveaxis(-1, 1).mean((2, 3)))

    return Net(run, a=conv(3, a), g=vector(a), head=Linear(a, 3))


@right(5, 7, shape=(2, 12))
def one_dimension(a: int, b: int) -> nn.Module:
    def run(m, x):
        x = F.max_pool1d(F.relu(m.bn(m.a(x))), 2)
        return m.head(F.relu(m.b(x)).amax(2))

    return Net(
        run, a=nn.Conv1d(2, a, 3, padding=1), bn=nn.BatchNorm1d(a), b=nn.Conv1d(a, b, 3, dilation=2),
        head=Linear(b, 3),
    )  # fmt: skip


@right(4, 5, shape=(2, 4, 5, 5))
def three_dimensions(a: int, b: int) -> nn.Module:
    def run(m, x):
        x = F.relu(m.bn(m.a(x)))
        return m.head(F.adaptive_max_pool3d(m.b(x), (1, 2, 1)).flatten(1))

    return Net(
        run, a=nn.Conv3d(2, a, 3, padding=1), bn=nn.BatchNorm3d(a), b=nn.Conv3d(a, b, (1, 3, 3)),
        head=Linear(2 * b, 3),
    )  # fmt: skip


@right(6, 5)
def transposed_convolutions(a: int, b: int) -> nn.Module:
    def run(m, x):
        return m.head(pooled(m.up(F.relu(m.a(x)))))

    return Net(
        run, a=conv(3, a, stride=2), up=nn.ConvTranspose2d(a, b, 3, stride=2, output_padding=1),
        head=Linear(b, 3),
    )  # fmt: skip


@right(6, 5)
def slices_of_the_input(a: int, b: int) -> nn.Module:
    def run(m, x):
        y = torch.cat([m.a(x[:, :2]), m.b(x[:, 2:])], 1) + x[:, 0].unsqueeze(1)
        return m.head(pooled(y))

    return Net(run, a=conv(2, a), b=conv(1, b), head=Linear(a + b, 3))


@whole("by number", 8)
def slices_of_hidden_channels(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(pooled(m.a(x)[:, :4])), a=conv(3, a), head=Linear(4, 3))


@right(4)
def chunks_of_hidden_channels(a: int) -> nn.Module:
    def run(m, x):
        one, two = m.a(x).chunk(2, dim=1)
        return m.head(pooled(one * torch.sigmoid(two)))

    return Net(run, a=conv(3, 2 * a), head=Linear(a, 3))


@right(3)
def parts_by_a_size_of_the_input(a: int) -> nn.Module:
    """The second part is not read, but as wide as the others."""

    def run(m, x):
        x = m.a(x)
        one, _, three = x.split(x.shape[1] // 3, 1)
        return m.head(pooled(torch.cat([three, one], 1)))

    return Net(run, a=conv(3, 3 * a), head=Linear(2 * a, 3))


@whole("parts that are not equal", 8)
def unequal_parts(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(pooled(m.a(x).split([3, 5], 1)[0])), a=conv(3, a), head=Linear(3, 3))


@whole("'split' gives 4 channels where a thinned network has", 8)
def parts_of_a_constant_size(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(pooled(m.a(x).split(4, 1)[0])), a=conv(3, a), head=Linear(4, 3))


@whole("'narrow'", 8)
def narrow_of_hidden_channels(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(pooled(m.a(x).narrow(1, 0, 4))), a=conv(3, a), head=Linear(4, 3))


@right(4, 5)
def channel_shuffle_by_hand(a: int, b: int) -> nn.Module:
    """As many channels are kept in each of the two blocks."""

    def run(m, x):
        x = m.a(x)
        n, c, h, w = x.shape
        return m.head(pooled(m.b(x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w))))

    return Net(run, a=conv(3, 2 * a), b=conv(2 * a, b), head=Linear(b, 3))


@right(4, 3)
def pixel_shuffle_and_back(a: int, b: int) -> nn.Module:
    """Upsampling by a shuffle, a depthwise convolution, and the way back, into channels of another order."""

    def run(m, x):
        x = m.dw(F.pixel_shuffle(m.a(x), 2))
        return m.head(pooled(m.b(F.pixel_unshuffle(F.relu(x), 3))))

    return Net(run, a=conv(3, 4 * a), dw=conv(a, a, groups=a), b=conv(9 * a, b, 1), head=Linear(b, 3))


@right(4, 3)
def shuffled_blocks(a: int, b: int) -> nn.Module:
    return Net(
        lambda m, x: m.head(pooled(m.b(F.relu(m.shuffle(m.a(x)))))),
        a=conv(3, 2 * a, groups=1), shuffle=nn.ChannelShuffle(2), b=conv(2 * a, b), head=Linear(b, 3),
    )  # fmt: skip


@whole("'roll'", 6)
def rolled_channels(a: int) -> nn.Module:
    return Net(
        lambda m, x: m.head(pooled(m.a(x).roll(1, 1) * m.b(x))), a=conv(3, a), b=conv(3, a), head=Linear(a, 3)
    )


@whole("it works along the axis of channels", 6)
def flipped_channels(a: int) -> nn.Module:
    def run(m, x):
        x = m.a(x)
        return m.head(pooled(x + x.flip(1)))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@whole("pads the axis of channels", 6)
def padded_by_a_shift(a: int) -> nn.Module:
    return Net(
        lambda m, x: m.head(pooled(F.pad(m.a(x), (0, 0, 0, 0, 1, -1)))), a=conv(3, a), head=Linear(a, 3)
    )


@whole("pads the axis of channels", 6)
def padded_by_a_module_for_three_axes(a: int) -> nn.Module:
    """A module for (n, C, D, H, W), put on (n, C, H, W) without a batch: the shift is one of channels."""
    return Net(
        lambda m, x: m.head(pooled(m.p(m.a(x)) * m.b(x))),
        a=conv(3, a), b=conv(3, a, 1), p=nn.ConstantPad3d((0, 0, 0, 0, -1, 1), 0.5), head=Linear(a, 3),
    )  # fmt: skip


@right(6)
def padded_maps(a: int) -> nn.Module:
    def run(m, x):
        x = F.pad(m.a(F.pad(x, (1, 1, 1, 1), mode="reflect")), (0, 1, 2, -1))
        return m.head(pooled(m.b(m.zero(x))))

    return Net(
        run, a=nn.Conv2d(3, a, 3), zero=nn.ZeroPad2d(1), b=conv(a, a, groups=a, padding_mode="circular"),
        head=Linear(a, 3),
    )  # fmt: skip


@whole("pools a tensor of 2 axes over 1", 9, shape=(7,))
def pooled_neurons(a: int) -> nn.Module:
    """torch takes (n, C) for one unbatched signal with n channels."""
    return Net(lambda m, x: m.head(F.max_pool1d(F.relu(m.a(x)), 3, 1, 1)), a=Linear(7, a), head=Linear(a, 3))


@whole("pools a tensor of 2 axes over 1", 8, shape=(7,))
def adaptively_pooled_neurons(a: int) -> nn.Module:
    return Net(
        lambda m, x: m.head(m.p(F.relu(m.a(x)))), a=Linear(7, a), p=nn.AdaptiveAvgPool1d(4), head=Linear(4, 3)
    )


@whole("pools a tensor of 3 axes over 2", 8, shape=(2, 12))
def maps_pooled_over_channels(a: int) -> nn.Module:
    """2-d pooling of (n, C, T): torch pools over channels and time."""

    def run(m, x):
        return m.head(F.avg_pool2d(F.relu(m.a(x)), 3, 1, 1).mean(2))

    return Net(run, a=nn.Conv1d(2, a, 3), head=Linear(a, 3))


@whole("it works on axis 1, but the channels lie on axis 2", 6)
def upsampled_channels(a: int) -> nn.Module:
    """Doubles what it takes for a map's rows, but which are channels, and means them again."""

    def run(m, x):
        x = m.a(x).flatten(2)[:, None]  # n, 1, C, H * W
        y = F.interpolate(x, scale_factor=(2.0, 1.0), mode="bilinear")
        return m.head(F.avg_pool2d(y, (2, 1))[:, 0].mean(2))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@right(6)
def many_pools(a: int) -> nn.Module:
    def run(m, x):
        x = m.a(x)
        y, _ = F.max_pool2d(x, 2, return_indices=True)
        y = y + F.lp_pool2d(x, 2.0, 2) + F.adaptive_max_pool2d(x, 3) + m.p(x)
        return m.head(F.adaptive_avg_pool2d(y, (2, 1)).amax((2, 3)))

    return Net(run, a=conv(3, a), p=nn.AvgPool2d(2, ceil_mode=True), head=Linear(a, 3))


@right(6)
def reductions_over_positions(a: int) -> nn.Module:
    def run(m, x):
        x = m.a(x).flatten(2)
        return m.head(x.max(-1)[0] + x.max(dim=2).values + torch.logsumexp(x, 2) + x.std(2))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@whole("it works along the axis of channels", 6)
def sorted_channels(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(pooled(m.a(x)).sort(1)[0]), a=conv(3, a), head=Linear(a, 3))


@whole("it works along the axis of channels", 6)
def cumulative_sum_over_channels(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(pooled(m.a(x)).cumsum(1)), a=conv(3, a), head=Linear(a, 3))


@whole("it picks some channels by number", 6)
def channels_picked_by_an_index_tensor(a: int) -> nn.Module:
    return Net(
        lambda m, x: m.head(pooled(m.a(x)[:, m.i])),
        a=conv(3, a),
        i=torch.tensor([0, 2, 1]),
        head=Linear(3, 3),
    )


@right(6)
def unit_length_features(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(F.normalize(pooled(m.a(x)))), a=conv(3, a), head=Linear(a, 3))


@right(4, 5, 6, shape=(9,), n_tokens=11)
def text_cnn(e: int, a: int, b: int) -> nn.Module:
    def run(m, x):
        x = m.embed(x).transpose(1, 2)
        return m.head(torch.cat([F.relu(m.a(x)).amax(2), F.relu(m.b(x)).amax(2)], 1))

    return Net(
        run, embed=nn.Embedding(11, e), a=nn.Conv1d(e, a, 2), b=nn.Conv1d(e, b, 3), head=Linear(a + b, 3)
    )


def _tokens(m: Any, x: Any) -> Any:
    x = m.patch(x).flatten(2).transpose(1, 2)
    x = torch.cat([m.cls.expand(len(x), -1, -1), x], 1) + m.pos
    x = x + m.two(F.gelu(m.one(m.norm(x))))
    return m.head(m.last(x)[:, 0])


@whole("it normalises a residual stream", 6, 9, groups=(9,))
def tokens_with_a_class_token(a: int, b: int) -> nn.Module:
    """A vision transformer without its attention."""
    return Net(
        _tokens, patch=nn.Conv2d(3, a, 3, stride=3), cls=vector(1, 1, a), pos=vector(1, 5, a),
        norm=nn.LayerNorm(a), one=Linear(a, b), two=Linear(b, a), last=nn.RMSNorm(a), head=Linear(a, 3),
    )  # fmt: skip


@whole("works on axis 2 of its input", 6, 9, groups=(9,))
def mixer_over_tokens(a: int, b: int) -> nn.Module:
    """Linear layers along the tokens, with the channels on another axis."""

    def run(m, x):
        x = m.patch(x).flatten(2)
        return m.head((x + m.two(F.gelu(m.one(x)))).mean(2))

    return Net(run, patch=nn.Conv2d(3, a, 3, stride=3), one=Linear(4, b), two=Linear(b, 4), head=Linear(a, 3))


@right(8, shape=(3, 8, 8))
def as_many_channels_as_rows(a: int) -> nn.Module:
    """8 channels of 8 x 8, transposed and transposed back."""

    def run(m, x):
        x = m.a(x).transpose(1, 3).relu().transpose(3, 1)
        return m.head(x.sum((2, 3)) / math.sqrt(x.shape[2]))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@right(6, 5, shape=(6,))
def layer_norm_of_hidden_units(a: int, b: int) -> nn.Module:
    """No stream: the norm takes the statistics of the kept units."""
    return Net(
        lambda m, x: m.head(F.relu(m.b(F.gelu(m.norm(m.a(x)))))), a=Linear(6, a), norm=nn.LayerNorm(a),
        b=Linear(a, b), head=Linear(b, 3),
    )  # fmt: skip


@whole("it normalises a residual stream", 6, 9, groups=(9, 9), shape=(5, 4))
def norms_after_the_sum(a: int, b: int) -> nn.Module:
    """The transformer's first form, without its attention; the second norm is an RMS norm."""

    def run(m, x):
        x = m.first(m.enter(x) + m.mix(x))
        x = m.second(x + m.two(F.relu(m.one(x))))
        return m.head(x.mean(1) + m.four(F.relu(m.three(x))).amax(1))

    return Net(
        run, enter=Linear(4, a), mix=Linear(4, a), first=nn.LayerNorm(a), second=nn.RMSNorm(a),
        one=Linear(a, b), two=Linear(b, a), three=Linear(a, b), four=Linear(b, a), head=Linear(a, 3),
    )  # fmt: skip
