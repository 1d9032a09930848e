"""Signals that end a command as Ctrl-C does: that of `kill` and Slurm, and a closed terminal's."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def like_ctrl_c() -> Iterator[list[signal.Signals]]:
    """Within the block these signals raise KeyboardInterrupt, once; the list says which one came.

    A signal that is ignored stays so: `nohup` makes a command outlive its terminal.
    """
    received: list[signal.Signals] = []

    def end(number: int, frame: FrameType | None) -> None:
        for other in answered:  # what is cleaned up then is not interrupted
            signal.signal(other, signal.SIG_IGN)
        received.append(signal.Signals(number))
        raise KeyboardInterrupt

    answered = [s for s in SIGNALS if signal.getsignal(s) not in (signal.SIG_IGN, None)]
    before = {s: signal.signal(s, end) for s in answered}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
