"""Recurrent layers of torch whose parameters are replaced.

nn.RNN, nn.LSTM and nn.GRU keep a second list of their weights, `_flat_weights`, and their widths as
attributes. Both have to follow the parameters.
"""

from __future__ import annotations

from typing import Any

from torch import nn

N_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
"""Rows of a weight for each hidden unit, by the layer's `mode`."""


def read_weights(layer: nn.RNNBase) -> None:
    """Makes the layer use the parameters that are in its places now, at their width."""
    layer._flat_weights = [layer._parameters[name] for name in layer._flat_weights_names]
    weight, recurrent = layer._parameters["weight_ih_l0"], layer._parameters["weight_hh_l0"]
    assert weight is not None
    assert recurrent is not None
    layer.input_size = weight.shape[1]
    layer.hidden_size = recurrent.shape[0] // N_GATES[layer.mode]


class Follows:
    """The `forward` of a recurrent layer that reads the weights in its places at every call."""

    def __init__(self, layer: nn.RNNBase) -> None:
        self.layer = layer

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        read_weights(self.layer)
        return type(self.layer).forward(self.layer, *args, **kwargs)


def follow_weights(module: nn.Module) -> None:
    """Makes all recurrent layers of the network, in place, follow parameters that are replaced."""
    for part in module.modules():
        if isinstance(part, nn.RNNBase):
            part.forward = Follows(part)
