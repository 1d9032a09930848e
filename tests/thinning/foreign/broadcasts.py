"""Networks that broadcast, fold, repeat and reduce along unusual axes, and call torch in unusual ways."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from thinning.foreign.cases import Net, conv, pooled, refused, right, vector, whole
from torch import nn

Linear = nn.Linear


@right(4, 4, shape=(4, 4, 4))
def everything_is_four(a: int, b: int) -> nn.Module:
    """Examples, channels, rows and columns are equally many."""

    def run(m, x):
        x = F.relu(m.a(x)).transpose(1, 2)
        x = m.b(x.transpose(2, 1) * m.g[:, None, None])
        return m.head(F.relu(x).permute(2, 3, 0, 1).mean((0, 1)))

    return Net(run, a=conv(4, a), g=vector(a), b=conv(a, b), head=Linear(b, 3))


@right(5)
def coordinates_beside_the_channels(a: int) -> nn.Module:
    """CoordConv: two maps made in the code are appended as fixed channels; one is added along the rows."""

    def run(m, x):
        x = F.relu(m.a(x)) + torch.arange(6, dtype=x.dtype) / 6
        rows = torch.linspace(-1, 1, 6, dtype=x.dtype).view(1, 1, 6, 1).expand(len(x), 1, 6, 6)
        return m.head(pooled(torch.cat([x, rows, rows.transpose(2, 3)], dim=1)))

    return Net(run, a=conv(3, a), head=Linear(a + 2, 3))


@right(5, 6)
def the_input_beside_the_channels(a: int, b: int) -> nn.Module:
    def run(m, x):
        y = torch.cat((F.relu(m.a(x)), x), dim=-3)
        return m.head(pooled(torch.cat([m.b(y), y], axis=1)))

    return Net(run, a=conv(3, a), b=conv(a + 3, b), head=Linear(a + b + 3, 3))


@whole("different axes", 5)
def outer_product(a: int) -> nn.Module:
    def run(m, x):
        x, y = pooled(m.a(x)), pooled(m.b(x))
        return m.head((x[:, :, None] * y[:, None, :]).flatten(1))

    return Net(run, a=conv(3, a), b=conv(3, a, 1), head=Linear(a * a, 3))


@whole("different axes", 5)
def differences_of_all_pairs(a: int) -> nn.Module:
    def run(m, x):
        x = pooled(m.a(x))
        return m.head((x.unsqueeze(1) - x.unsqueeze(2)).abs().flatten(1))

    return Net(run, a=conv(3, a), head=Linear(a * a, 3))


@right(6)
def batch_statistics_by_hand(a: int) -> nn.Module:
    def run(m, x):
        x = m.a(x)
        x = x - x.mean((0, 2, 3), keepdim=True)
        x = x / (x.square().mean((0, 2, 3)) + 0.1).sqrt().view(1, -1, 1, 1)
        return m.head(pooled(x) - pooled(x).mean(0))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@right(6, 1)
def global_context(a: int, b: int) -> nn.Module:
    """A mean over positions, weighted by a softmax over positions of one channel."""

    def run(m, x):
        x = F.relu(m.a(x))
        weights = F.softmax(m.key(x).flatten(2), dim=-1)
        return m.head((x.flatten(2) * weights).sum(-1))

    return Net(run, a=conv(3, a), key=conv(a, b, 1), head=Linear(a, 3))


@whole("splits the axis", 6)
def channels_folded_into_the_batch(a: int) -> nn.Module:
    """One filter for every channel by itself, by way of the examples' axis."""

    def run(m, x):
        x = m.a(x)
        y = m.one(x.reshape(-1, 1, 6, 6)).view(x.shape)
        return m.head(pooled(y))

    return Net(run, a=conv(3, a), one=conv(1, 1), head=Linear(a, 3))


@right(6)
def repeated_channels(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(pooled(m.a(x).repeat(1, 2, 1, 1))), a=conv(3, a), head=Linear(2 * a, 3))


@whole("'repeat_interleave'", 6)
def interleaved_channels(a: int) -> nn.Module:
    return Net(
        lambda m, x: m.head(pooled(m.a(x).repeat_interleave(2, 1))), a=conv(3, a), head=Linear(2 * a, 3)
    )


@right(1)
def one_channel_expanded_to_a_constant(a: int) -> nn.Module:
    """Six equal channels by a constant in the code: the six that they meet are fixed."""

    def run(m, x):
        return m.head(pooled(m.one(x).expand(-1, 6, -1, -1) * m.a(x)))

    return Net(run, one=conv(3, a), a=conv(3, 6), head=Linear(6, 3))


@whole("it picks some channels by number", 6)
def channels_in_random_order(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(pooled(m.a(x)[:, torch.randperm(6)])), a=conv(3, a), head=Linear(a, 3))


@whole("'unfold'", 6)
def columns_of_patches(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(F.unfold(m.a(x), 3).mean(2)), a=conv(3, a), head=Linear(9 * a, 3))


@right(4)
def maxout_of_a_view(a: int) -> nn.Module:
    """Pairs of channels, of which the larger one counts, are kept or dropped as pairs."""
    return Net(
        lambda m, x: m.head(pooled(m.a(x)).view(len(x), -1, 2).amax(2)), a=conv(3, 2 * a), head=Linear(a, 3)
    )


@whole("'cdist'", 6)
def distances_to_centres(a: int) -> nn.Module:
    return Net(lambda m, x: -torch.cdist(pooled(m.a(x)), m.centres), a=conv(3, a), centres=vector(3, a))


@whole("weight is computed", 6)
def cosines_to_centres(a: int) -> nn.Module:
    def run(m, x):
        return 5 * F.linear(F.normalize(pooled(m.a(x))), F.normalize(m.centres))

    return Net(run, a=conv(3, a), centres=vector(3, a))


@refused("'fft_r2c'", 6)
def spectrum_of_the_channels(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(torch.fft.fft(pooled(m.a(x))).abs()), a=conv(3, a), head=Linear(a, 3))


@right(6)
def straight_through_signs(a: int) -> nn.Module:
    """A quantised activation with the gradient of the plain one."""

    def run(m, x):
        x = m.a(x)
        return m.head(pooled(m.b(x + (x.sign() - x).detach()) + x))

    return Net(run, a=conv(3, a), b=conv(a, a), head=Linear(a, 3))


@right(6, 5)
def arguments_by_name(a: int, b: int) -> nn.Module:
    def run(m, x):
        x = F.conv2d(input=x, weight=m.a.weight, bias=m.a.bias, padding=1, groups=1)
        x = F.max_pool2d(input=F.relu(input=x), kernel_size=2)
        x = torch.transpose(input=torch.permute(input=x, dims=(0, 2, 3, 1)), dim0=-1, dim1=1)
        x = torch.mean(input=F.linear(input=x.transpose(1, 3), weight=m.b.weight), dim=(1, 2))
        return F.linear(torch.flatten(input=x, start_dim=1), m.head.weight, bias=m.head.bias)

    return Net(run, a=conv(3, a), b=Linear(a, b, bias=False), head=Linear(b, 3))


@right(6)
def chained_means(a: int) -> nn.Module:
    def run(m, x):
        x = m.a(x)
        y = x.mean([3]).mean(dim=-1) + torch.amax(x, (-1, -2)) + x.sum(-1, True).sum((2, 3))
        return m.head(y)

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@right(6, 5, loss_fn=lambda out, y: F.cross_entropy(out, y[:, None, None].expand(-1, 6, 6)))
def segmentation(a: int, b: int) -> nn.Module:
    """Classes at every position, from two heads that are added."""

    def run(m, x):
        x = F.relu(m.a(x))
        return m.head(F.relu(m.b(x))) + m.skip(x)

    return Net(run, a=conv(3, a), b=conv(a, b), head=conv(b, 3, 1), skip=conv(a, 3, 1))


@right(6, loss_fn=lambda out, y: F.mse_loss(out, y[:, None].double()))
def regression(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(pooled(m.a(x))), a=conv(3, a), head=Linear(a, 1))


@right(6, 5)
def inputs_in_other_layouts(a: int, b: int) -> nn.Module:
    """Channels-last memory and views that are not contiguous."""

    def run(m, x):
        x = m.a(x.contiguous(memory_format=torch.channels_last))
        x = F.relu(m.b(x[:, :, ::2, 1:]))
        return m.head(x.contiguous().sum((2, 3)))

    return Net(run, a=conv(3, a), b=conv(a, b), head=Linear(b, 3))
