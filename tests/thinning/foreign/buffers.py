"""Networks with state: buffers, norms, generators, tied and frozen parameters, attributes that change."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from thinning.foreign.cases import Net, conv, pooled, refused, right, vector, whole
from torch import nn

Linear, BatchNorm = nn.Linear, nn.BatchNorm2d


@right(6)
def constant_buffers(a: int) -> nn.Module:
    """Buffers along the channels, read only."""

    def run(m, x):
        x = (m.a(x) - m.mean) / m.sd[:, None, None]
        return m.head(pooled(x.mul(m.mask.view(1, -1, 1, 1))))

    def steps(n, first):
        return torch.linspace(first, 2, n)

    return Net(
        run, a=conv(3, a), mean=steps(a, -1).view(1, a, 1, 1), sd=steps(a, 1), mask=steps(a, 0.5),
        head=Linear(a, 3),
    )  # fmt: skip


@right(6)
def buffers_that_are_not_saved(a: int) -> nn.Module:
    net = Net(lambda m, x: m.head(pooled(m.a(x * m.g) * m.h)), a=conv(3, a), head=Linear(a, 3))
    net.register_buffer("g", torch.tensor([0.5, 1.0, 2.0]).view(3, 1, 1), persistent=False)
    net.register_buffer("h", torch.tensor(2.0), persistent=False)
    return net


def _moving_average(m: Any, x: Any) -> Any:
    x = m.a(x)
    with torch.no_grad():
        m.average.mul_(0.9).add_(0.1 * x.mean((0, 2, 3)))
    return m.head(pooled(x - m.average[:, None, None]))


@refused("buffer 'average'", 6)
def moving_average_of_channels(a: int) -> nn.Module:
    return Net(_moving_average, a=conv(3, a), average=torch.zeros(a), head=Linear(a, 3))


@refused("buffer 'average'", 6)
def moving_average_of_the_input(a: int) -> nn.Module:
    """A buffer that no channel is in, assigned again."""

    def run(m, x):
        m.average = 0.9 * m.average + 0.1 * x.detach().mean()
        return m.head(pooled(m.a(x - m.average)))

    return Net(run, a=conv(3, a), average=torch.tensor(0.0), head=Linear(a, 3))


@refused("buffer 'count'", 6)
def counter_in_a_buffer(a: int) -> nn.Module:
    def run(m, x):
        m.count += 1
        return m.head(pooled(m.a(x)) / m.count)

    return Net(run, a=conv(3, a), count=torch.tensor(0), head=Linear(a, 3))


@refused("attribute 'count'", 6)
def counter_in_an_attribute(a: int) -> nn.Module:
    """A warm-up: the branch comes in with the number of passes."""

    def run(m, x):
        m.count += 1
        return m.head(pooled(m.a(x) * min(1.0, m.count / 100)))

    return Net(run, a=conv(3, a), count=0, head=Linear(a, 3))


@refused("attribute 'last'", 6)
def mean_of_the_last_batch(a: int) -> nn.Module:
    """A plain attribute carries a number from pass to pass."""

    def run(m, x):
        last, m.last = m.last, x.mean().item()
        return m.head(pooled(m.a(x))) * (1 + last)

    return Net(run, a=conv(3, a), last=0.0, head=Linear(a, 3))


@right(6)
def features_kept_for_the_user(a: int) -> nn.Module:
    """An attribute that is written in every pass and never read."""

    def run(m, x):
        m.features = pooled(m.a(x))
        return m.head(m.features)

    return Net(run, a=conv(3, a), features=None, head=Linear(a, 3))


def _in_evaluation(part: nn.Module) -> nn.Module:
    """The part with a `train` that keeps its batch norms in evaluation mode, as in detection networks."""

    class Frozen(type(part)):  # type: ignore[misc]
        def train(self, mode: bool = True) -> Any:
            super().train(mode)
            for child in self.modules():
                if isinstance(child, nn.modules.batchnorm._NormBase):
                    child.eval()
            return self

    part.__class__ = Frozen
    return part


def _statistics(norm: Any) -> nn.Module:
    norm.running_mean.copy_(torch.linspace(-0.3, 0.4, norm.num_features))
    norm.running_var.copy_(torch.linspace(0.5, 2, norm.num_features))
    return norm


@right(6)
def frozen_batch_norm(a: int) -> nn.Module:
    net = Net(
        lambda m, x: m.head(pooled(m.n(m.a(x)))), a=conv(3, a), n=_statistics(BatchNorm(a)), head=Linear(a, 3)
    )
    return _in_evaluation(net)


@right(6)
def frozen_batch_norm_of_its_own_class(a: int) -> nn.Module:
    """torchvision's FrozenBatchNorm2d: four buffers."""

    def run(m, x):
        scale = m.weight * (m.var + 1e-5).rsqrt()
        return m.head(pooled(m.a(x) * scale.view(1, -1, 1, 1) + (m.bias - m.mean * scale).view(1, -1, 1, 1)))

    parts = {n: torch.linspace(0.5 + i, 1.5, a) for i, n in enumerate(("weight", "bias", "mean", "var"))}
    return Net(run, a=conv(3, a), head=Linear(a, 3), **parts)


@right(6, 8)
def batch_norms_of_all_kinds(a: int, b: int) -> nn.Module:
    def run(m, x):
        x = m.three(F.relu(m.two(F.relu(m.one(m.a(x))))))
        return m.head(m.four(F.relu(m.b(pooled(x)))))

    return Net(
        run, a=conv(3, a), one=BatchNorm(a, momentum=None), two=BatchNorm(a, affine=False),
        three=BatchNorm(a, track_running_stats=False), b=Linear(a, b), four=nn.BatchNorm1d(b),
        head=Linear(b, 3),
    )  # fmt: skip


@right(8, 6)
def norms_over_channels(a: int, b: int) -> nn.Module:
    """Layer, group and RMS norm use the kept channels' statistics."""

    def run(m, x):
        x = F.relu(m.inst(m.four(m.whole(m.a(x)))))
        return m.head(m.rms(m.layer(m.b(pooled(x)))))

    return Net(
        run, a=conv(3, a), whole=nn.GroupNorm(1, a), four=nn.GroupNorm(2, a),
        inst=nn.InstanceNorm2d(a, affine=True), b=Linear(a, b), layer=nn.LayerNorm(b), rms=nn.RMSNorm(b),
        head=Linear(b, 3),
    )  # fmt: skip


@right(5)
def layer_norm_over_maps(a: int) -> nn.Module:
    return Net(
        lambda m, x: m.head(pooled(m.n(m.a(x)))), a=conv(3, a), n=nn.LayerNorm([a, 6, 6]), head=Linear(a, 3)
    )


@right(5)
def functional_norms_of_the_input_shape(a: int) -> nn.Module:
    def run(m, x):
        x = m.a(x)
        x = F.layer_norm(x, x.shape[2:]) + F.instance_norm(x)
        return m.head(F.layer_norm(x.mean((2, 3)), (x.shape[1],)))

    return Net(run, a=conv(3, a, bias=False), head=Linear(a, 3))


@whole("reduces over channels", 6)
def rms_norm_by_hand(a: int) -> nn.Module:
    def run(m, x):
        x = pooled(m.a(x))
        return m.head(x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * m.g)

    return Net(run, a=conv(3, a), g=vector(a), head=Linear(a, 3))


@whole("weight is computed", 6)
def weight_normalised(a: int) -> nn.Module:
    norm = nn.utils.parametrizations.weight_norm
    return Net(lambda m, x: m.head(pooled(m.a(x))), a=norm(conv(3, a)), head=Linear(a, 3))


@whole("weight is computed", 6)
def standardised_weight(a: int) -> nn.Module:
    def run(m, x):
        w = m.a.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-5)
        return m.head(pooled(F.conv2d(x, w, m.a.bias, padding=1)))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@refused("its 'mv' has", 6)
def spectrally_normalised(a: int) -> nn.Module:
    """Its power iteration costs the same for any batch, and writes a buffer in every pass."""
    norm = nn.utils.parametrizations.spectral_norm
    return Net(lambda m, x: m.head(pooled(m.a(x))), a=norm(conv(3, a)), head=Linear(a, 3))


@right(6)
def noise_per_example_from_torch(a: int) -> nn.Module:
    """DropPath and a noisy scale: draws whose number does not depend on the width."""

    def run(m, x):
        y = m.a(x)
        y = y * (torch.rand(len(x), 1, 1, 1, dtype=x.dtype) < 0.7) / 0.7
        keep = x.new_empty((len(x),) + (1,) * (x.ndim - 1)).bernoulli_(0.8)
        return m.head(pooled(m.b(x) * keep.div_(0.8) + y))

    return Net(run, a=conv(3, a), b=conv(3, a, 1), head=Linear(a, 3))


@refused("global generator of random", 6)
def noise_from_python(a: int) -> nn.Module:
    return Net(
        lambda m, x: m.head(pooled(m.a(x)) * random.uniform(0.9, 1.1)), a=conv(3, a), head=Linear(a, 3)
    )


@refused("global generator of numpy.random", 6)
def noise_from_numpy(a: int) -> nn.Module:
    def run(m, x):
        return m.head(pooled(m.a(x)) * float(np.random.normal(1, 0.1)))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@refused("plain Python list", 6, 5)
def parameters_kept_in_a_list_too(a: int, b: int) -> nn.Module:
    """A parameter that is used from a plain Python list, not through its module."""

    def run(m, x):
        w, bias = m.known
        return m.head(F.relu(F.linear(pooled(m.a(x)), w, bias)))

    net = Net(run, a=conv(3, a), fc=Linear(a, b), head=Linear(b, 3))
    net.known = [net.fc.weight, net.fc.bias]
    return net


@right(6)
def parameters_without_a_use(a: int) -> nn.Module:
    return Net(
        lambda m, x: m.head(pooled(m.a(x))),
        a=conv(3, a),
        spare=vector(4),
        unused=vector(3, 3),
        head=Linear(a, 3),
    )


@right(6)
def layer_without_a_use(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(pooled(m.a(x))), a=conv(3, a), spare=conv(2, 4), head=Linear(a, 3))


@right(6, 5)
def frozen_layers(a: int, b: int) -> nn.Module:
    """The first layer and a norm in the middle are not trained."""
    net = Net(
        lambda m, x: m.head(pooled(m.b(F.relu(m.n(m.a(x)))))),
        a=conv(3, a), n=BatchNorm(a), b=conv(a, b), head=Linear(b, 3),
    )  # fmt: skip
    net.a.requires_grad_(False)
    net.n.requires_grad_(False)
    return net


@right(6, 5)
def frozen_layer_in_the_middle(a: int, b: int) -> nn.Module:
    net = Net(lambda m, x: m.head(pooled(m.b(F.relu(m.a(x))))), a=conv(3, a), b=conv(a, b), head=Linear(b, 3))
    net.b.requires_grad_(False)
    return net


@refused("attribute 'seen'", 6)
def counter_in_a_list(a: int) -> nn.Module:
    def run(m, x):
        m.seen.append(1)
        return m.head(pooled(m.a(x)) * len(m.seen) / 10)

    return Net(run, a=conv(3, a), seen=[], head=Linear(a, 3))


@right(6)
def draws_of_its_own_generator(a: int) -> nn.Module:
    def run(m, x):
        return m.head(pooled(m.a(x)) * (1 + torch.rand((), generator=m.generator)))

    return Net(run, a=conv(3, a), generator=torch.Generator(), head=Linear(a, 3))


@refused("attribute 'generator'", 6)
def draws_of_its_own_numpy_generator(a: int) -> nn.Module:
    def run(m, x):
        return m.head(pooled(m.a(x)) * m.generator.uniform(0.5, 1.5))

    return Net(run, a=conv(3, a), generator=np.random.default_rng(3), head=Linear(a, 3))


@refused("floating-point", 6)
def mask_of_truth_values(a: int) -> nn.Module:
    mask = torch.arange(a).view(a, 1, 1) % 3 > 0
    return Net(lambda m, x: m.head(pooled(m.a(x) * m.mask)), a=conv(3, a), mask=mask, head=Linear(a, 3))


@refused("gives other values", 6)
def counter_in_a_closure(a: int) -> nn.Module:
    count = [0]

    def run(m, x):
        count[0] += 1
        return m.head(pooled(m.a(x)) * count[0] / 10)

    return Net(run, a=conv(3, a), head=Linear(a, 3))
