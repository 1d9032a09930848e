"""What cannot be thinned is left whole, with the module and the reason."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F
from thinning.coupling.said import left_whole
from torch import nn

from distreal_sim.thinning.coupling.groups import ThinningError, find_groups

X = torch.ones(2, 3, 8, 8)


class Around(nn.Module):
    """A convolution to 8 channels, `middle(self, x)`, a convolution and the mean over its maps."""

    def __init__(self, middle, n_after=8, **parts):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(n_after, 4, 1)
        self.middle = middle
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.last(self.middle(self, self.first(x))).mean((2, 3))


class FixedView(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8 * 64, 4)

    def forward(self, x):
        return self.head(F.relu(self.conv(x)).view(-1, 512))


def weight_norm():
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 1)), nn.Conv2d(4, 2, 1))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            FixedView(),
            r"the model \(FixedView\) is left whole: .*\[-1, 512\].*; its code holds a constant",
        ),
        (
            nn.Sequential(nn.Conv2d(3, 8, 1), nn.Sequential(nn.LocalResponseNorm(2)), nn.Conv2d(8, 2, 1)),
            r"module '1\.0' \(LocalResponseNorm\) is left whole: no rule .* 'local_response_norm'",
        ),
        (Around(lambda m, x: x.split([3, 5], 1)[0], 3), r"the model \(Around\).*parts that are not equal"),
        (Around(lambda m, x: x[:, :4], 4), "picks some channels by number"),
        (
            Around(lambda m, x: x + torch.ones(8, 1, 1)),
            "a tensor made in its code fixes the width at 8 channels",
        ),
        (Around(lambda m, x: x.mean(1, keepdim=True), 1), "reduces over channels"),
        (Around(lambda m, x: F.pad(x, (0, 0, 0, 0, 1, -1))), "pads the axis of channels, but not with zeros"),
        (Around(lambda m, x: F.pad(x, (0, 0, 0, 0, 2, 2), value=1.0), 12), "pads the axis of channels"),
        (
            Around(lambda m, x: x.reshape(-1, 4, 8, 8).relu().reshape(len(x), -1, 8, 8)),
            r"reshaping \(2, 8, 8, 8\) to \(4, 4, 8, 8\) splits the axis of channels",
        ),
        (
            Around(lambda m, x: F.conv2d(x, m.k, groups=8), k=nn.Parameter(torch.ones(8, 1, 1, 1))),
            r"the model \(Around\) is left whole: at a smaller width it fails with",
        ),
        (
            Around(
                lambda m, x: m.g(torch.cat([x, m.other(x)], 1)),
                12,
                g=nn.Conv2d(12, 12, 1, groups=2),
                other=nn.Conv2d(8, 4, 1),
            ),
            r"module 'g' \(Conv2d\).*2 groups of channels do not match",
        ),
        (
            Around(
                lambda m, x: m.g(*[x.flatten(2).transpose(1, 2)] * 3)[0].transpose(1, 2)[..., None],
                g=nn.MultiheadAttention(8, 2, batch_first=True, add_zero_attn=True),
            ),
            r"module 'g' \(MultiheadAttention\).*no rule covers attention with",
        ),
        (weight_norm(), "its weight is computed"),
    ],
)
def test_left_whole(module, message):
    """The rest of the network is right in numbers and costs."""
    assert re.search(message, left_whole(module, X))


def test_constants_that_fix_a_group_leave_it_whole():
    """Channels added to the network's input, or softmaxed over, belong to no group; the rest is thinned."""

    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 6, 1), nn.Conv2d(6, 5, 1)

        def forward(self, x):
            x = F.softmax(self.c(self.b(self.a(x) + x)), 1)
            return x.mean((2, 3))

    structure = find_groups(Fixed(), X)
    assert [(g.name, g.channels) for g in structure.groups] == [("b", 6)]


def test_random_state_is_left_alone():
    """Finding groups runs the network's dropout, but torch's default generator does not notice."""
    module = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Dropout(0.5), nn.Conv2d(8, 2, 1))
    before = torch.get_rng_state()
    find_groups(module, X)
    assert torch.equal(torch.get_rng_state(), before)


def test_other_norms_are_thinned():
    """Group norm with one group, with a group a channel and with blocks; layer norm behind a linear layer."""
    module = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.GroupNorm(1, 8), nn.PReLU(8),
        nn.Conv2d(8, 6, 1), nn.GroupNorm(6, 6),
        nn.Conv2d(6, 8, 1), nn.GroupNorm(4, 8), nn.InstanceNorm2d(8, affine=True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 6), nn.LayerNorm(6), nn.Linear(6, 2),
    )  # fmt: skip
    structure = find_groups(module, torch.rand(2, 3, 8, 8))
    assert [(g.channels, g.blocks) for g in structure.groups] == [(8, 1), (6, 1), (8, 4), (6, 1)]
    assert [(o.module, o.attribute, o.value((8, 3, 4, 2))) for o in structure.overrides] == [
        ("4", "num_groups", 3), ("7", "num_features", 4), ("11", "normalized_shape", (2,))
    ]  # fmt: skip


def test_a_network_that_fails_by_itself():
    with pytest.raises(
        ThinningError,
        match=r"module '0' \(Conv2d\) fails when the network gets inputs of shape \(2, 3, 8, 8\)",
    ):
        find_groups(nn.Sequential(nn.Conv2d(4, 8, 1)), X)
