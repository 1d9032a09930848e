"""Which methods can keep running batch-norm statistics."""

from __future__ import annotations

from distreal_sim.client.settings import Evaluation, Merge
from distreal_sim.methods import Method


def check_statistics(evaluation: Evaluation, merge: Merge, method: Method) -> None:
    """Raises ValueError unless running statistics would be means of those of full-width steps.

    Those of sub-networks are of other activations than the full width has when it is tested, and a merge
    that is no average could make a variance negative.
    """
    if evaluation.batch_norm != "running":
        return
    if method.trains_parts:
        why = f"method.name {method.name}, whose clients train parts of the network"
    elif type(method).merge is not Method.merge:
        why = f"method.name {method.name}, which has a merge of its own"
    elif merge.flower is not None:
        why = f"merge.flower {merge.flower}"
    else:
        return
    raise ValueError(
        f"evaluation.batch_norm running cannot be used with {why}: running statistics are averaged like "
        "weights, over clients that train the whole network; use reestimate or batch"
    )
