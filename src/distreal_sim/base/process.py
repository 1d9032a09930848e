"""How a process that computes is set up: the same results on any machine, and no waste of memory pages."""

from __future__ import annotations

import ctypes
import os
import sys

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""

KEPT_BYTES = 2**25
"""The largest block that is kept for its next user; older versions of glibc allow no more."""

N_KERNELS = 8192
"""How many compiled kernels oneDNN keeps. It makes one for every shape, layer and direction: a
front of 16 vectors on a network of 40 convolutions needs 1,900, and 1,024 are its default."""

KERNEL_BYTES = 110_000
"""Of one of them at most, where we looked: 35,000 in a deep thinned network, more in wide convolutions."""

SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
"""Environment variables by which users set the same themselves."""


def prepare_process() -> None:
    """Makes torch compute with one thread here, oneDNN keep its kernels, and malloc what is freed.

    One thread and two give different convolution gradients. The number of kernels is read when the first
    convolution is computed.
    """
    torch.set_num_threads(1)
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(N_KERNELS))
    if sys.platform == "linux" and not any(name in os.environ for name in SETTINGS):
        _keep_freed_memory()


def give_back_freed_memory() -> None:
    """Gives the system what is free in malloc's heap, once: what reading data and starting up took."""
    if sys.platform == "linux":
        malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if malloc_trim is not None:
            malloc_trim(0)


def _keep_freed_memory() -> None:
    """Tells glibc not to give freed memory back to the system.

    It does so by default with large blocks and at the end of its heap, and every training step would then get
    the pages of its activations anew, one page fault each. Blocks of more than KEPT_BYTES, which are those of
    test batches, still go back.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
