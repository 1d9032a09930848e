"""The server's merge as a plug-in: one of the user's own, and how a config names it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import yaml
from rounds import play
from toys import TOY, toy

from distreal_sim.base.errors import InputError
from distreal_sim.client.messages import Round, State, Update
from distreal_sim.client.task import Task
from distreal_sim.config import load_experiment, parse_experiment
from distreal_sim.merging.merges import Merge
from distreal_sim.merging.merges.average import Average

STRONG = {"name": "constant", "level": 1000.0}


class Last(Merge):
    """The last client's update moves the model by a share of its change."""

    share: float = 1.0

    averages: ClassVar[bool] = False

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        *_, last = updates
        moved = {
            name: (old + np.float32(self.share) * (last.arrays[name] - old)).astype(old.dtype)
            for name, old in state.arrays.items()
        }
        return State(moved, {**state.extras, "of": np.array(last.facts.client_id)})


def test_a_merge_of_the_users_own() -> None:
    """Share 0 leaves the model; share 1 with one client a round is FedAvg's mean of one."""
    still = play(1, method={"name": "fedavg"}, profile=STRONG, merge=Last(share=0.0))
    assert still.model == {name: array.tobytes() for name, array in still.states[0].arrays.items()}
    assert int(still.states[1].extras["of"]) == max(row.client_id for row in still.clients)
    alone = {"method": {"name": "fedavg"}, "profile": STRONG, "clients_per_round": 1}
    own, mean = play(1, merge=Last(), **alone), play(1, **alone)
    for name, array in own.states[1].arrays.items():
        np.testing.assert_allclose(array, mean.states[1].arrays[name], rtol=1e-5, atol=1e-6)


def test_what_is_no_average_does_not_go_with_a_merge_of_the_methods_own() -> None:
    """An average does: the method takes its weight."""
    assert toy(method="fedrolex", merge=Average(weight="macs")).merge == Average(weight="macs")
    with pytest.raises(InputError, match="fednova, which has a merge of its own"):
        toy(method="fednova", merge=Last())


def test_how_a_config_names_it(tmp_path: Path) -> None:
    """Options alone are the default's; another name leaves behind what it does not know."""
    assert toy(merge={"weight": "clients"}).merge == Average(weight="clients")
    assert toy(merge="average").merge == Average() == toy().merge == Average(weight="examples")
    assert toy(merge={"weight": "clients"}).resolved()["merge"] == {"name": "average", "weight": "clients"}
    config = tmp_path / "my.yaml"
    config.write_text(yaml.safe_dump({**TOY, "method": "fedavg", "merge": {"weight": "clients"}}))
    strategy = ["merge=flower", "merge.strategy=FedAvgM", "merge.server_momentum=0.5"]
    experiment, notes = load_experiment(config, strategy)
    assert experiment.resolved()["merge"] == {
        "name": "flower", "strategy": "FedAvgM", "server_learning_rate": 1.0, "server_momentum": 0.5
    }  # fmt: skip
    assert notes == []
    with pytest.raises(InputError, match=r"merge.name: unknown merge 'averge'; did you mean 'average'"):
        parse_experiment({**TOY, "merge": "averge"}, source="my.yaml")
