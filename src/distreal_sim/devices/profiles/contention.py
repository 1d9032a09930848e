"""Capacities that are shared with other jobs, which arrive and leave."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from distreal_sim.devices.jobs import MOST_JOBS, Jobs
from distreal_sim.devices.profiles import Profile
from distreal_sim.devices.rngs import OneOrMany, Source, for_many


class Contention(Profile):
    """Level 1 / (1 + n), an equal share, while n other jobs run on the device.

    Jobs arrive in a Poisson process and stay for a time that is uniform in [0, 2 x job_rounds) rounds, so n
    is a Poisson variable of mean `jobs`; of more than `most_jobs` the others wait without computing.
    """

    jobs: float = Field(1.0, gt=0, le=MOST_JOBS, description="mean number of jobs on a device")
    job_rounds: float = Field(
        0.5, gt=0, allow_inf_nan=False, description="mean duration of a job, in deadlines"
    )
    most_jobs: int = Field(7, ge=1, le=1000, description="most jobs that compute beside the training")

    @for_many
    def timeline(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Jobs:
        shares = 1 / (1 + np.arange(self.most_jobs + 1))
        return Jobs(
            self.jobs, self.job_rounds * deadline_s, rng, lambda n: shares[np.minimum(n, self.most_jobs)]
        )

    def lower_bound(self) -> float:
        return 1 / (1 + self.most_jobs)
