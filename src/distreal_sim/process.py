"""How a process that computes is set up: the same results on any machine, and no waste of memory pages."""

from __future__ import annotations

import ctypes
import os
import sys

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""

SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
"""Environment variables by which users set the same themselves."""


def prepare_process() -> None:
    """Makes torch compute with one thread here, and malloc keep what is freed.

    One thread and two give different convolution gradients.
    """
    torch.set_num_threads(1)
    if sys.platform == "linux" and not any(name in os.environ for name in SETTINGS):
        _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Tells glibc not to give freed memory back to the system.

    It does so by default with large blocks and at the end of its heap, and every training step would then get
    the pages of its activations anew, one page fault each.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_MMAP_THRESHOLD, 2**30) or mallopt(M_MMAP_THRESHOLD, 2**25)  # older ones allow no more
