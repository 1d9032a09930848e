"""The client of `on_flower.py`, a module of its own so that Ray's workers import it and keep its data."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from workloads import WORKLOADS, Data, deal, load, network, normalise


@functools.cache
def inputs(dataset: str, folder: str) -> tuple[Data, tuple[torch.Tensor, torch.Tensor]]:
    """The data and how to normalise them, read once in every process."""
    torch.set_num_threads(1)
    data = load(dataset, Path(folder))
    return data, data.scaler()


@functools.cache
def prepared(name: str) -> tuple[torch.nn.Sequential, np.ndarray]:
    """Network and split, made once in every process."""
    return network(name), deal(WORKLOADS[name])


app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """One client's round."""
    config = message.content["config"]
    workload = WORKLOADS[str(config["name"])]
    data, scaler = inputs(workload.dataset, str(config["folder"]))
    net, split = prepared(str(config["name"]))
    own = split[int(context.node_config["partition-id"])]
    net.load_state_dict(message.content["arrays"].to_torch_state_dict())
    x, y = normalise(data.x[own], *scaler), torch.from_numpy(data.y[own])
    optimizer = torch.optim.SGD(net.parameters(), workload.lr)
    for batch in torch.randperm(len(y)).split(workload.batch_size):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
        optimizer.step()
    metrics = MetricRecord({"num-examples": len(y)})
    content = RecordDict({"arrays": ArrayRecord(net.state_dict()), "metrics": metrics})
    return Message(content=content, reply_to=message)
