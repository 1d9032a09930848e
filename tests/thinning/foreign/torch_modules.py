"""Layers of torch.nn, each in a small classifier: networks that nobody made for thinning."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

N_CLASSES = 3


class Around(nn.Module):
    """`part`, called by run(part, x), and a classifier of the mean of what it gives over all other axes."""

    def __init__(self, part: nn.Module, width: int, run: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.part, self.head, self.run = part, nn.Linear(width, N_CLASSES), run

    def forward(self, x: Tensor) -> Tensor:
        y = self.run(self.part, x)
        return self.head(y.mean(tuple(range(1, y.dim() - 1))) if y.dim() > 2 else y)


class Tokens(nn.Module):
    """An embedding, `part` on it, and a classifier."""

    def __init__(self, part: nn.Module, width: int) -> None:
        super().__init__()
        self.embed, self.part, self.head = nn.Embedding(11, 4), part, nn.Linear(width, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        y = self.part(self.embed(x))
        return self.head((y[0] if isinstance(y, tuple) else y).mean(1))


def _encoder_layer(**options: object) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True, **options)


def _decoder_layer() -> nn.TransformerDecoderLayer:
    return nn.TransformerDecoderLayer(4, 2, 6, dropout=0.0, batch_first=True)


def _first(part: nn.Module, x: Tensor) -> Tensor:
    return part(x)[0]


def _channels_last(part: nn.Module, x: Tensor) -> Tensor:
    return part(x).movedim(1, -1)


def _sequence(part: nn.Module, width: int, run: Callable[[nn.Module, Tensor], Tensor] = _first) -> nn.Module:
    return Around(part, width, run)


def _images(*parts: nn.Module, width: int) -> nn.Module:
    return Around(nn.Sequential(*parts), width, _channels_last)


def _mask(n: int) -> Tensor:
    return nn.Transformer.generate_square_subsequent_mask(n, dtype=torch.float64)


SEQUENCE, TOKENS, IMAGE, VOLUME = (5, 4), (5,), (4, 6, 6), (2, 4, 4, 4)

MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "RNN": (lambda: _sequence(nn.RNN(4, 3, batch_first=True), 3), SEQUENCE),
    "LSTM": (lambda: _sequence(nn.LSTM(4, 3, batch_first=True), 3), SEQUENCE),
    "LSTM two layers": (lambda: _sequence(nn.LSTM(4, 3, 2, batch_first=True), 3), SEQUENCE),
    "LSTM both ways": (lambda: _sequence(nn.LSTM(4, 3, batch_first=True, bidirectional=True), 6), SEQUENCE),
    "LSTM projected": (lambda: _sequence(nn.LSTM(4, 3, proj_size=2, batch_first=True), 2), SEQUENCE),
    "LSTM last state": (
        lambda: _sequence(nn.LSTM(4, 3, 2, batch_first=True), 3, lambda p, x: p(x)[1][0][-1]), SEQUENCE),
    "GRU": (lambda: _sequence(nn.GRU(4, 3, batch_first=True), 3), SEQUENCE),
    "GRU without bias": (lambda: _sequence(nn.GRU(4, 3, 2, bias=False, batch_first=True), 3), SEQUENCE),
    "LSTMCell": (lambda: _sequence(nn.LSTMCell(4, 3), 3, lambda p, x: p(x[:, 1], p(x[:, 0]))[0]), SEQUENCE),
    "GRUCell": (lambda: _sequence(nn.GRUCell(4, 3), 3, lambda p, x: p(x[:, 1], p(x[:, 0]))), SEQUENCE),
    "RNNCell": (lambda: _sequence(nn.RNNCell(4, 3), 3, lambda p, x: p(x[:, 1], p(x[:, 0]))), SEQUENCE),
    "MultiheadAttention": (
        lambda: _sequence(nn.MultiheadAttention(4, 2, batch_first=True), 4, lambda p, x: p(x, x, x)[0]),
        SEQUENCE),
    "MultiheadAttention without weights": (
        lambda: _sequence(
            nn.MultiheadAttention(4, 2, batch_first=True), 4, lambda p, x: p(x, x, x, need_weights=False)[0]),
        SEQUENCE),
    "MultiheadAttention with other keys": (
        lambda: _sequence(
            nn.MultiheadAttention(4, 2, kdim=2, vdim=3, batch_first=True, add_bias_kv=True), 4,
            lambda p, x: p(x, x[..., :2], x[..., :3])[0]),
        SEQUENCE),
    "MultiheadAttention masked": (
        lambda: _sequence(
            nn.MultiheadAttention(4, 2, batch_first=True), 4,
            lambda p, x: p(x, x, x, attn_mask=_mask(5), is_causal=True, need_weights=False)[0]),
        SEQUENCE),
    "TransformerEncoderLayer": (lambda: _sequence(_encoder_layer(), 4, lambda p, x: p(x)), SEQUENCE),
    "TransformerEncoderLayer norm first": (
        lambda: _sequence(_encoder_layer(norm_first=True, activation="gelu"), 4, lambda p, x: p(x)),
        SEQUENCE),
    "TransformerEncoder": (
        lambda: _sequence(nn.TransformerEncoder(_encoder_layer(), 2), 4, lambda p, x: p(x)), SEQUENCE),
    "TransformerDecoderLayer": (lambda: _sequence(_decoder_layer(), 4, lambda p, x: p(x, x)), SEQUENCE),
    "TransformerDecoder": (
        lambda: _sequence(nn.TransformerDecoder(_decoder_layer(), 2), 4, lambda p, x: p(x, x)), SEQUENCE),
    "Transformer": (
        lambda: _sequence(
            nn.Transformer(4, 2, 1, 1, 6, dropout=0.0, batch_first=True), 4, lambda p, x: p(x, x[:, :3])),
        SEQUENCE),
    "Embedding and LSTM": (lambda: Tokens(nn.LSTM(4, 3, batch_first=True), 3), TOKENS),
    "Embedding and TransformerEncoder": (
        lambda: Tokens(nn.TransformerEncoder(_encoder_layer(), 1), 4), TOKENS),
    "EmbeddingBag": (lambda: Around(nn.EmbeddingBag(11, 4), 4, lambda p, x: p(x)), TOKENS),
    "Bilinear": (
        lambda: _sequence(nn.Bilinear(4, 4, 3), 3, lambda p, x: p(x[:, 0], x[:, 1])), SEQUENCE),
    "Conv1d": (lambda: _images(nn.Conv1d(4, 3, 3), nn.ReLU(), nn.Conv1d(3, 2, 2), width=2), (4, 8)),
    "Conv3d": (lambda: _images(nn.Conv3d(2, 3, 2), nn.ReLU(), nn.Conv3d(3, 2, 2), width=2), VOLUME),
    "ConvTranspose2d": (
        lambda: _images(nn.ConvTranspose2d(4, 3, 2), nn.ConvTranspose2d(3, 2, 2), width=2), IMAGE),
    "PixelShuffle": (lambda: _images(nn.Conv2d(4, 8, 1), nn.PixelShuffle(2), width=2), IMAGE),
    "PixelUnshuffle": (
        lambda: _images(nn.Conv2d(4, 3, 1), nn.PixelUnshuffle(2), nn.Conv2d(12, 2, 1), width=2), IMAGE),
    "ChannelShuffle": (
        lambda: _images(nn.Conv2d(4, 6, 1), nn.ChannelShuffle(2), nn.Conv2d(6, 2, 1), width=2), IMAGE),
    "Fold and Unfold": (
        lambda: _images(nn.Conv2d(4, 2, 1), nn.Unfold(2, stride=2), nn.Fold(6, 2, stride=2), width=2), IMAGE),
    "GLU": (lambda: _images(nn.Conv2d(4, 6, 1), nn.GLU(1), nn.Conv2d(3, 2, 1), width=2), IMAGE),
    "LocalResponseNorm": (
        lambda: _images(nn.Conv2d(4, 6, 1), nn.LocalResponseNorm(3), nn.Conv2d(6, 2, 1), width=2), IMAGE),
    "weight_norm": (
        lambda: _images(
            nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 6, 1)), nn.Conv2d(6, 2, 1), width=2),
        IMAGE),
    "orthogonal": (
        lambda: _sequence(
            nn.utils.parametrizations.orthogonal(nn.Linear(4, 3)), 3, lambda p, x: F.relu(p(x))), SEQUENCE),
}  # fmt: skip
"""Name -> (what makes the network, the shape of an example)."""

REFUSED = {"orthogonal": "products"}
"""Those that cannot be simulated -> part of the reason."""
