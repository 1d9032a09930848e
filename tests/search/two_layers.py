"""Networks with two groups of six channels, and with none unless linear layers are dropped."""

from __future__ import annotations

from torch import Tensor, nn


class TwoLayers(nn.Module):
    """Two 3x3 convolutions of 6 filters on 1x8x8 inputs, ten classes."""

    def __init__(self, in_channels: int = 1, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        )  # fmt: skip
        self.classifier = nn.Linear(6, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.features(x).flatten(1)
        logits: Tensor = self.classifier(features)
        return logits


class OnlyLinear(nn.Module):
    """One hidden linear layer of 6 on 8x8 inputs."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits
