"""The value of `drop_linear: auto`."""

from __future__ import annotations

from functools import lru_cache

import torch

from distreal_sim.base.rng import Rngs
from distreal_sim.data.datasets import Dataset
from distreal_sim.methods import Method
from distreal_sim.models import Model
from distreal_sim.thinning.coupling.groups import find_groups


def settled_linear(method: Method, model: Model, dataset: Dataset) -> Method:
    """The method with `auto` replaced: true where only linear layers can be thinned, false elsewhere.

    A bundled network says so itself. A user's network is built and inspected, which reads its data.
    """
    if getattr(method, "drop_linear", None) != "auto":
        return method
    if type(model).__module__.rpartition(".")[0] == type(model).package:
        only = type(model).only_linear
    else:
        only = _only_linear(type(model), model.model_dump_json(), type(dataset), dataset.model_dump_json())
    return method.model_copy(update={"drop_linear": only})


@lru_cache(maxsize=64)
def _only_linear(model: type[Model], options: str, dataset: type[Dataset], source: str) -> bool:
    """Whether only linear layers can be thinned; False also for a model or data set that cannot be built or
    read, an error that is reported when the task is built.
    """
    try:
        data = dataset.model_validate_json(source).load()
        with Rngs(0).seeded_globals("initialisation"):
            module = model.model_validate_json(options).build(data.shape, data.n_outputs, data.vocabulary)
            structure = find_groups(module, torch.from_numpy(data.blank(2)))
    except Exception:
        return False
    return not structure.thinnable(False) and bool(structure.thinnable(True))
