"""Where images lie with the channels last, and where that would corrupt memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from toys import toy

from distreal_sim.config.build import build
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine import layout
from distreal_sim.thinning.engine.layout import computes_in_avx2, layout_of

LIMITS = "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"


@pytest.mark.parametrize(
    ("processor", "limit", "expected"),
    [
        ("AVX512", None, False),
        ("AVX512", "ALL", False),
        ("AVX512", "avx512_core", False),
        ("AVX512", "avx2", True),
        ("AVX512", "AVX2_VNNI", True),
        ("AVX512", "AVX", False),
        ("AVX2", None, True),
        ("AVX2", "AVX512_CORE", True),
        ("AVX2", "SSE41", False),
        ("other", None, False),
        ("other", "AVX2", False),
    ],
)
@pytest.mark.parametrize("variable", LIMITS)
def test_whether_convolutions_use_avx2(
    processor: str, limit: str | None, expected: bool, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """oneDNN takes the best kernels that the processor has, up to a limit that users set."""
    monkeypatch.setattr(torch.cpu, "_is_avx2_supported", lambda: processor != "other")
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: processor == "AVX512")
    for name in LIMITS:
        monkeypatch.delenv(name, raising=False)
    if limit is not None:
        monkeypatch.setenv(variable, limit)
    assert computes_in_avx2() is expected


def test_one_by_one_convolutions_keep_the_normal_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only there, only with those kernels, and only on a CPU; what a config asks for holds elsewhere."""
    with_1x1 = nn.Sequential(nn.Conv2d(3, 5, 1), nn.Flatten(), nn.Linear(5 * 16, 2))
    with_3x3 = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.Flatten(), nn.Linear(5 * 16, 2))
    one, three = (find_groups(module, torch.zeros(2, 3, 4, 4)) for module in (with_1x1, with_3x3))
    for in_avx2 in (True, False):
        monkeypatch.setattr(layout, "computes_in_avx2", lambda in_avx2=in_avx2: in_avx2)
        assert layout_of("channels_last", one, "cpu") == ("contiguous" if in_avx2 else "channels_last")
        assert layout_of("channels_last", three, "cpu") == "channels_last"
        assert layout_of("channels_last", one, "cuda") == "channels_last"
        assert layout_of("contiguous", one, "cpu") == layout_of("contiguous", three, "cpu") == "contiguous"


@pytest.mark.parametrize("in_avx2", [False, True])
def test_batches_lie_as_the_processor_bears_it(in_avx2: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strides of (n, C, H, W) images with the channels last: (C H W, 1, C W, C). The values are the same."""
    monkeypatch.setattr(layout, "computes_in_avx2", lambda: in_avx2)
    task = build(toy(model={"name": "resnet20"}))
    x, _ = task.batch(task.data.train, np.arange(3))
    n_channels, height, width = x.shape[1:]
    last = (n_channels * height * width, 1, n_channels * width, n_channels)
    size = n_channels * height * width
    normal = (size, height * width, width, 1)
    assert x.stride() == (normal if in_avx2 else last)
