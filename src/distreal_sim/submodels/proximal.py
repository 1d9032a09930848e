"""Steps on a loss with a term that pulls towards the parameters a client started its round from."""

from __future__ import annotations

from torch import Tensor

from distreal_sim.client.train import TakeStep, take_step
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask


def proximal_steps(mu: float) -> TakeStep:
    """Full-network SGD on loss + mu / 2 * |w - w_start|^2, for one round of one client; mu 0: plain SGD.

    The term's gradient joins the loss's before weight decay and momentum, as if autograd had found it.
    """
    if mu == 0:
        return take_step
    anchored = False

    def take(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
        nonlocal anchored
        if not anchored:
            engine.anchor()
            anchored = True
        return engine.step(x, y, mask, lr, proximal=mu)

    return take
