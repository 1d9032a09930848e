"""Settings of the devices of a round, which the experiment's controller chooses when the jobs are planned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from distreal_sim.client.client import Client
from distreal_sim.client.columns import SENDING_W, SPEED_SHARE
from distreal_sim.client.messages import Job
from distreal_sim.client.task import Task
from distreal_sim.devices.controllers import Work
from distreal_sim.devices.links import Radio

NO_RADIO = Radio(math.nan, math.nan, math.nan, math.nan)


def controlled(task: Task, jobs: Sequence[Job]) -> list[Job]:
    """The jobs with the settings of their clients; as they are where no controller acts."""
    devices = task.devices
    if not devices.controller.acts or not jobs:
        return list(jobs)
    clients = [Client(task, job.client_id, job.round) for job in jobs]
    traffic, macs = task.traffic(task.model_sizes), task.charge_per_example(task.full)
    radios = [client.radio or NO_RADIO for client in clients]
    uploads_s = [
        client.link.expected_upload_s(0 if client.radio else traffic.upload_bytes) for client in clients
    ]
    work = Work(
        macs=np.array([float(macs * sum(client.batch_sizes)) for client in clients]),
        macs_per_s=np.array([client.capacity(0.0) for client in clients]),
        download_s=np.array([client.link.download_s(traffic.download_bytes) for client in clients]),
        upload_bytes=np.full(len(jobs), float(traffic.upload_bytes)),
        latency_s=np.array(uploads_s, float),
        **{key: np.array([getattr(radio, key) for radio in radios], float) for key in Radio._fields},
    )
    shares, powers_w = devices.controller.settings(work, devices.energy, task.deadline_s)
    settings = zip(jobs, shares.tolist(), powers_w.tolist(), strict=True)
    return [
        replace(job, told={**job.told, SPEED_SHARE.name: share, SENDING_W.name: watts})
        for job, share, watts in settings
    ]
