"""What a client keeps between rounds lives in its Context, and survives an interrupted run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toys import toy

from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job, Update
from distreal_sim.methods.fedavg import FedAvg
from distreal_sim.run import run
from distreal_sim.simulation.rows import RoundRow


class Counting(FedAvg):
    """Each client counts its rounds and reports count x 1,000,000 + client id as its upload."""

    def train(self, client: Client, job: Job) -> Update:
        count = job.memory.get("count", np.zeros(1)) + 1
        update = super().train(client, job)
        facts = replace(update.facts, upload_bytes=int(count[0]) * 1_000_000 + job.client_id)
        return replace(update, facts=facts, memory={"count": count})


def interrupt_after(round_number: int, row: RoundRow) -> None:
    if row.round == round_number:
        raise KeyboardInterrupt


@pytest.mark.parametrize("interrupted_after", [None, 1, 2, 3])
def test_a_client_counts_its_rounds(interrupted_after: int | None, tmp_path: Path) -> None:
    """Checkpoints follow rounds 2 and 4: what a round counted beyond the last one is forgotten on resume."""
    experiment = toy(method=Counting(), checkpoint_every=2)
    if interrupted_after is not None:
        with pytest.raises(KeyboardInterrupt):
            run(
                experiment,
                tmp_path,
                grid="serial",
                callbacks=[lambda row: interrupt_after(interrupted_after, row)],
            )
    run(experiment, tmp_path, grid="serial", resume=interrupted_after is not None)

    clients = pd.read_parquet(tmp_path / "clients.parquet")
    count = clients.groupby("client_id").cumcount() + 1
    assert len(clients) == 4 * 5
    assert count.max() > 2
    assert (clients["upload_bytes"] == count * 1_000_000 + clients["client_id"]).all()
