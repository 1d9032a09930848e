"""Networks whose Python code decides: paths, attributes, scripts, in-place writes, outputs of many kinds."""

from __future__ import annotations

import copy
import math
import random
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from thinning.foreign.cases import Net, conv, pooled, refused, right, whole
from torch import Tensor, nn

Linear = nn.Linear


def _blocks(a: int, run: Any, **parts: Any) -> nn.Module:
    return Net(
        run, stem=conv(3, a), blocks=nn.ModuleList([conv(a, a), conv(a, a, 1)]), head=Linear(a, 3), **parts
    )


@right(6, 5)
def loop_until_the_map_is_small(a: int, b: int) -> nn.Module:
    def run(m, x):
        x = m.stem(x)
        while x.shape[-1] > 2:
            x = F.max_pool2d(F.relu(m.blocks[x.shape[-1] % 2](x)), 2)
        return m.head(pooled(m.blocks[0](x)))

    return Net(run, stem=conv(3, a), blocks=nn.ModuleList([conv(a, b), conv(b, a, 1)]), head=Linear(b, 3))


@refused("not every training pass runs it alike", 6)
def blocks_skipped_by_torch(a: int) -> nn.Module:
    def run(m, x):
        x = m.stem(x)
        for block in m.blocks:
            if not m.training or torch.rand(()).item() < 0.5:
                x = x + F.relu(block(x))
        return m.head(pooled(x))

    return _blocks(a, run)


@refused("global generator of random", 6)
def blocks_skipped_by_python(a: int) -> nn.Module:
    def run(m, x):
        x = m.stem(x)
        for block in m.blocks:
            if random.random() < 0.5:
                x = x + F.relu(block(x))
        return m.head(pooled(x))

    return _blocks(a, run)


@refused("not every training pass runs it alike", 6)
def one_block_drawn_of_two(a: int) -> nn.Module:
    def run(m, x):
        return m.head(pooled(m.blocks[int(torch.randint(2, ()))](m.stem(x))))

    return _blocks(a, run)


@refused("not every training pass runs it alike", 6)
def early_exit_by_value(a: int) -> nn.Module:
    """Stops where the features are large: the path depends on what is computed."""

    def run(m, x):
        x = m.stem(x)
        if x.abs().mean() < 0.4:
            x = m.blocks[0](x)
        return m.head(pooled(m.blocks[1](x)))

    return _blocks(a, run)


@refused("evaluation runs it and training does not", 6)
def layer_for_tests_only(a: int) -> nn.Module:
    def run(m, x):
        x = m.stem(x)
        return m.head(pooled(x if m.training else m.blocks[0](m.blocks[1](x))))

    return _blocks(a, run)


@right(6, 6, 6, loss_fn=lambda out, y: F.cross_entropy(out[0], y) + F.cross_entropy(out[1], y), rebuilt=False)
def auxiliary_output_in_training_only(a: int, *same: int) -> nn.Module:
    """GoogLeNet: the auxiliary head runs in training; a test runs less, which is no other network."""

    def run(m, x):
        x = F.relu(m.stem(x))
        y = m.head(pooled(m.blocks[1](m.blocks[0](x))))
        return (y, m.aux(pooled(x))) if m.training else y

    return _blocks(a, run, aux=Linear(a, 3))


@torch.jit.script
def _tempered(x: Tensor) -> Tensor:
    return x / 0.7


@torch.jit.script
def _fused_silu(x: Tensor) -> Tensor:
    return x * x.sigmoid()


@whole("cannot be watched", 6)
def scripted_function_at_the_end(a: int) -> nn.Module:
    return Net(lambda m, x: _tempered(m.head(pooled(m.a(x)))), a=conv(3, a), head=Linear(a, 3))


@whole("cannot be watched", 6)
def scripted_function_in_the_middle(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(pooled(_fused_silu(m.a(x)))), a=conv(3, a), head=Linear(a, 3))


@refused("cript", 6)
def scripted_module(a: int) -> nn.Module:
    part = torch.jit.script(nn.Sequential(conv(3, 4), nn.ReLU()).double())
    return Net(lambda m, x: m.head(pooled(m.a(m.part(x)))), part=part, a=conv(4, a), head=Linear(a, 3))


@dataclass
class _Output:
    logits: Tensor
    features: Tensor


_Pair = namedtuple("_Pair", ["logits", "other"])


@right(6, loss_fn=lambda out, y: F.cross_entropy(out.logits, y) + out.features.square().mean())
def dataclass_as_output(a: int) -> nn.Module:
    def run(m, x):
        features = m.b(F.relu(m.a(x))).mean((2, 3))
        return _Output(m.head(F.relu(features)), features)

    return Net(run, a=conv(3, a), b=conv(a, 5), head=Linear(5, 3))


@right(6, loss_fn=lambda out, y: F.cross_entropy(out.logits, y) + out.other[0].square().mean())
def named_tuple_with_a_list_as_output(a: int) -> nn.Module:
    def run(m, x):
        x = pooled(m.a(x))
        return _Pair(m.head(x), [m.b(x)])

    return Net(run, a=conv(3, a), b=Linear(a, 4), head=Linear(a, 3))


@right(6)
def transposed_twice_as_properties(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(pooled(m.a(x))).T.T, a=conv(3, a), head=Linear(a, 3))


@right(6)
def matrices_transposed_as_properties(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(m.a(x).mT.mT.relu().mean((2, 3))), a=conv(3, a), head=Linear(a, 3))


@right(8)
def rows_written_by_number(a: int) -> nn.Module:
    def run(m, x):
        y, z = m.a(x).clone(), m.b(x)
        y[:, :, :4] = z[:, :, :4]
        return m.head(pooled(y))

    return Net(run, a=conv(3, a), b=conv(3, a), head=Linear(a, 3))


@whole("by number", 8)
def channels_written_by_number(a: int) -> nn.Module:
    def run(m, x):
        y, z = m.a(x).clone(), m.b(x)
        y[:, 4:] = z[:, :4]
        return m.head(pooled(y))

    return Net(run, a=conv(3, a), b=conv(3, a), head=Linear(a, 3))


@whole("by number", 8)
def first_channel_set_to_zero(a: int) -> nn.Module:
    def run(m, x):
        y = m.a(x).clone()
        y[:, 0] = 0
        return m.head(pooled(y))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@whole("'index_fill'", 8)
def channels_written_by_index_put(a: int) -> nn.Module:
    def run(m, x):
        y = m.a(x).clone()
        return m.head(pooled(y.index_fill(1, torch.tensor([0]), 0.0)))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@whole("by number", 8)
def written_through_a_view(a: int) -> nn.Module:
    """A view of the first channels is changed in place; the whole is read."""

    def run(m, x):
        y = m.a(x).clone()
        y[:, :3].zero_()
        return m.head(pooled(y))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@right(6)
def in_place_operations(a: int) -> nn.Module:
    def run(m, x):
        y = m.bn(m.a(x))
        y += m.b(x)
        y.mul_(0.5).clamp_(min=-1)
        y = F.relu(y, inplace=True).mul(torch.sigmoid(m.b(x)))
        return m.head(y.mean((2, 3)))

    return Net(run, a=conv(3, a), b=conv(3, a, 1), bn=nn.BatchNorm2d(a), head=Linear(a, 3))


@right(6)
def copied_into_a_new_tensor(a: int) -> nn.Module:
    """`copy_` and slice assignment of whole channels into a buffer made in the code."""

    def run(m, x):
        x, y = m.a(x), m.b(x)
        both = torch.empty_like(x)
        both.copy_(x)
        both = both + y
        return m.head(pooled(both))

    return Net(run, a=conv(3, a), b=conv(3, a, 1), head=Linear(a, 3))


@whole("writes channels into a tensor made in its code", 6)
def written_into_zeros(a: int) -> nn.Module:
    """Two parts side by side by assignment, in place of a concatenation."""

    def run(m, x):
        out = torch.zeros(len(x), 12, 6, 6, dtype=x.dtype)
        out[:, :6] = m.a(x)
        out[:, 6:] = m.b(x)
        return m.head(pooled(out))

    return Net(run, a=conv(3, a), b=conv(3, 6, 1), head=Linear(12, 3))


@whole("out=", 6)
def result_into_an_argument(a: int) -> nn.Module:
    """`out=` writes where no rule looks."""

    def run(m, x):
        with torch.no_grad():
            y = m.a(x)
            out = torch.empty_like(y)
            torch.mul(y, m.b(x), out=out)
        return m.head(pooled(out * m.a(x)))

    return Net(run, a=conv(3, a), b=conv(3, a, 1), head=Linear(a, 3))


@whole("reads the width", 6)
def divided_by_the_root_of_its_width(a: int) -> nn.Module:
    def run(m, x):
        x = pooled(m.a(x))
        return m.head(x / math.sqrt(x.shape[1]))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@whole("reads the width", 6)
def divided_by_its_length(a: int) -> nn.Module:
    def run(m, x):
        x = m.a(x)
        return m.head(x.sum((2, 3)) * (10 / len(x[0])))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@whole("reads the width", 6)
def divided_by_its_number_of_elements(a: int) -> nn.Module:
    def run(m, x):
        x = m.a(x)
        return m.head(x.sum((2, 3)) * (100 / x.numel()))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@whole("takes another path", 6)
def branch_by_width(a: int) -> nn.Module:
    """Takes another path where there are few channels."""

    def run(m, x):
        x = F.relu(m.a(x))
        return m.head(pooled(x if x.size(1) > 3 else x * 2))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@right(6)
def width_in_an_attribute_that_is_not_read(a: int) -> nn.Module:
    return Net(
        lambda m, x: m.head(pooled(m.a(x)) / math.sqrt(m.width)), width=16, a=conv(3, a), head=Linear(a, 3)
    )


class _Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return 3 * ctx.saved_tensors[0] ** 2 * gradient


class _AcrossChannels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x - x.mean(1, keepdim=True)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient - gradient.mean(1, keepdim=True)


@right(6)
def function_of_its_own(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(pooled(_Cube.apply(m.a(x)))), a=conv(3, a), head=Linear(a, 3))


@whole("reduces over channels", 6)
def function_of_its_own_across_channels(a: int) -> nn.Module:
    return Net(lambda m, x: m.head(pooled(_AcrossChannels.apply(m.a(x)))), a=conv(3, a), head=Linear(a, 3))


@right(6, 5)
def hooks_of_the_user(a: int, b: int) -> nn.Module:
    """A forward hook changes what a layer gives."""
    net = Net(lambda m, x: m.head(pooled(m.b(F.relu(m.a(x))))), a=conv(3, a), b=conv(a, b), head=Linear(b, 3))
    net.a.register_forward_hook(lambda part, args, out: out * 2)
    net.b.register_forward_pre_hook(lambda part, args: (args[0] + 1,))
    return net


@whole("torch.vmap, which hides the examples", 6)
def called_by_vmap(a: int) -> nn.Module:
    """Every example by itself, put together by torch.vmap."""

    def run(m, x):
        return m.head(pooled(torch.vmap(lambda e: m.a(e[None])[0])(x)))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@refused("no module of it holds", 6)
def copy_of_a_layer_in_the_forward_pass(a: int) -> nn.Module:
    """A momentum encoder: the copy's weights are no parameters of the network."""

    def run(m, x):
        return m.head(pooled(m.a(x)) + pooled(copy.deepcopy(m.a)(x)).detach())

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@right(6)
def masked_by_comparison(a: int) -> nn.Module:
    def run(m, x):
        x = m.a(x)
        x = torch.where(x > 0, x, 0.1 * x).masked_fill(x < -1, 0.0)
        return m.head(pooled(x * (x > 0.1).to(x.dtype)))

    return Net(run, a=conv(3, a), head=Linear(a, 3))


@right(6)
def autocast_and_other_types(a: int) -> nn.Module:
    def run(m, x):
        y = m.a(x)
        return m.head(pooled(y.to(torch.float32).double() + y.type_as(x)))

    return Net(run, a=conv(3, a), head=Linear(a, 3))
