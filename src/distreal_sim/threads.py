"""One torch thread per process, so that results do not depend on the number of cores."""

from __future__ import annotations

import torch


def one_thread() -> None:
    """Makes torch compute with one thread here; one and two give different convolution gradients."""
    torch.set_num_threads(1)
