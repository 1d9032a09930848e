"""Three 3x3 convolutions with batch norm and a linear classifier: our own small network for quick runs.

Stages of `width`, 2 `width` and 4 `width` channels (16, 32, 64 by default) at full, half and quarter side;
max pooling between them, global average pooling at the end. The convolutions have no bias.

With the default width, c input channels, k classes and an input of H x W pixels, derived:
- parameters = 16 * 9c + 32 * 144 + 64 * 288 + 2 * (16 + 32 + 64) + 65k = 144c + 65k + 23,264;
- forward MACs = 144c HW + 4,608 (H/2)(W/2) + 18,432 (H/4)(W/4) + 64k, sides rounded down.

| input, 10 classes | parameters | forward MACs |
|---|---|---|
| 1x8x8 | 24,058 | 157,312 |
| 1x28x28 | 24,058 | 1,919,872 |
| 3x32x32 | 24,346 | 2,802,304 |

Initialisation: He et al. 2015 (fan-out) for the convolutions.
"""

from __future__ import annotations

from collections import OrderedDict

from pydantic import Field
from torch import nn

from distreal_sim.models import Model
from distreal_sim.models._layers import check_input, conv_relu, init_he


class SmallCnn(Model):
    """Three convolutions with batch norm, for inputs of at least 4x4 pixels."""

    width: int = Field(
        16, ge=1, description="channels of the first convolution; the others have two and four times as many"
    )

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; shape (C, H, W), H and W >= 4."""
        channels, _, _ = check_input(self.name, shape, n_outputs, min_side=4)
        net = nn.Sequential(
            OrderedDict(
                conv1=conv_relu(channels, self.width, 3, "batch", nn.MaxPool2d(2)),
                conv2=conv_relu(self.width, 2 * self.width, 3, "batch", nn.MaxPool2d(2)),
                conv3=conv_relu(2 * self.width, 4 * self.width, 3, "batch"),
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                linear=nn.Linear(4 * self.width, n_outputs),
            )
        )
        init_he(net)
        return net
