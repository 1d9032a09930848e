"""Fully convolutional network for time series, such as windows of sensor values: three 1-d convolutions.

Wang, Yan, Oates, "Time Series Classification from Scratch with Deep Neural Networks: A Strong Baseline",
IJCNN 2017, arXiv:1611.06455: w, 2w and w channels (128, 256, 128), each with batch norm and ReLU, the mean
over time, a linear layer. The convolutions have no bias.

With c channels of L values and k classes, derived:
- parameters = 7cw + 16w^2 + 8w + (w + 1) k;
- forward MACs = L (7cw + 16w^2) + w k.

9x128, 6 classes: 272,006 parameters, 34,587,392 forward MACs.
Initialisation: torch's default.
Differs from the paper: kernels of 7, 5 and 3 values in place of 8, 5 and 3, so that all keep the length.
"""

from __future__ import annotations

from collections import OrderedDict

from pydantic import Field
from torch import nn

from distreal_sim.models import Model
from distreal_sim.models._layers import check_series


class Fcn1d(Model):
    """Three 1-d convolutions with batch norm, for series of any length."""

    width: int = Field(
        128, ge=1, description="channels of the first and last convolution; the second has twice as many"
    )

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; shape (C, L)."""
        channels, _ = check_series(self.name, shape, n_outputs, vocabulary)
        return nn.Sequential(
            OrderedDict(
                conv1=_conv_relu(channels, self.width, 7),
                conv2=_conv_relu(self.width, 2 * self.width, 5),
                conv3=_conv_relu(2 * self.width, self.width, 3),
                pool=nn.AdaptiveAvgPool1d(1),
                flatten=nn.Flatten(),
                linear=nn.Linear(self.width, n_outputs),
            )
        )


def _conv_relu(n_in: int, n_out: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv1d(n_in, n_out, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm1d(n_out), relu=nn.ReLU()))
