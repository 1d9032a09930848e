"""Jobs and updates as Flower messages.

Arrays travel in numpy's file format, Flower's default, but are written and read in place (`npy.py`): one copy
on the client's side, none on the server's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.proto.recorddict_pb2 import RecordDict as ProtoRecordDict

from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Arrays, Facts, Job, Round, Update
from distreal_sim.grids import npy
from distreal_sim.submodels.submodel import SubModel

NUMPY_FILE = "numpy.ndarray"
"""Flower's name of the serialisation: the bytes of a .npy file."""

MEMORY = "memory"
"""Name of the record in a Context's state that holds the client's memory."""

Record = TypeVar("Record", bound=ArrayRecord)
OWN_END = -1
"""Stands for the network's own last layer in place of the number of an exit."""


def arrays_of(content: RecordDict, key: str) -> ArrayRecord:
    """An array record of a message.

    Flower's own `content.array_records` refers to itself, and so keeps the content alive until the next
    garbage collection.
    """
    return cast(ArrayRecord, content[key])


def values_of(content: RecordDict, key: str) -> Mapping[str, Any]:
    """A message's record of numbers or texts; see `arrays_of`."""
    return cast(Mapping[str, Any], content[key])


class Published(ArrayRecord):
    """A record shared by many messages; every process that holds it decodes it once.

    handle: reference that a grid can send in place of the content; None if there is none.
    """

    handle: Any = None
    _arrays: dict[str, np.ndarray] | None = None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays, read-only."""
        if self._arrays is None:
            self._arrays = {name: decode_array(array) for name, array in self.items()}
        return self._arrays

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out values that are valid in this process only."""
        return {key: value for key, value in self.__dict__.items() if key not in ("_arrays", "handle")}


class PublishedArrays(dict[str, np.ndarray]):
    """The arrays of a record shared by many messages."""

    def __init__(self, record: Published) -> None:
        super().__init__(record.arrays)
        self.record = record


def publish_arrays(arrays: Arrays) -> PublishedArrays:
    """Arrays as views of one record for many messages; arrays already published are returned unchanged."""
    if isinstance(arrays, PublishedArrays):
        return arrays
    return PublishedArrays(_filled(Published(), arrays))


def encode_arrays(arrays: Arrays) -> ArrayRecord:
    """Arrays as a record."""
    return _filled(ArrayRecord(), arrays)


def _filled(record: Record, arrays: Arrays) -> Record:
    for name, array in arrays.items():
        record[name] = encode_array(array)
    return record


def encode_array(array: np.ndarray) -> Array:
    """One array as a .npy file in memory; an array that lies in such a file is not copied."""
    encoded = Array(dtype=str(array.dtype), shape=tuple(array.shape), stype=NUMPY_FILE, data=b"")
    encoded.data = npy.encode(array)  # type: ignore[assignment]  # any buffer serves; Flower's annotation says bytes
    return encoded


def decode_arrays(record: ArrayRecord) -> dict[str, np.ndarray]:
    """The arrays of a record, as views of its buffers. Also reads records that Flower has encoded."""
    if isinstance(record, Published):
        return record.arrays
    return {name: decode_array(array) for name, array in record.items()}


def decode_array(array: Array) -> np.ndarray:
    """One array, as a read-only view of its buffer."""
    return npy.decode(np.frombuffer(array.data, np.uint8))


def encode_job(job: Job, arrays: ArrayRecord) -> RecordDict:
    """Content of a train message; arrays: the encoded job.arrays, which clients share."""
    now = {key: value for key, value in vars(job.round).items() if key != "cohort"}
    config = ConfigRecord({"client_id": job.client_id, "round": now.pop("number"), **now})
    told = ConfigRecord({name: float(value) for name, value in job.told.items()})
    return RecordDict({"arrays": arrays, "job": config, "told": told})


def decode_job(content: RecordDict, arrays: Arrays, memory: Arrays) -> Job:
    """The job of a train message, given its decoded arrays and the client's memory."""
    config = dict(values_of(content, "job"))
    client_id = config.pop("client_id")
    told = {name: float(value) for name, value in values_of(content, "told").items()}
    return Job(client_id, Round(number=config.pop("round"), **config), arrays, memory, told)


def encode_update(update: Update) -> RecordDict:
    """Content of a reply: arrays, packed coverage, and the facts of the client's round."""
    coverage = {
        str(group): np.packbits(kept, axis=None)
        for group, kept in enumerate(update.coverage.kept)
        if kept is not None
    }
    facts = dict(vars(update.facts))
    metrics = MetricRecord({name: float(value) for name, value in facts.pop("metrics").items()})
    widths = [0 if kept is None else kept.shape[1] for kept in update.coverage.kept]
    config = ConfigRecord(
        {
            "status": facts.pop("status"),
            "widths": widths,
            "step_examples": update.coverage.examples.tolist(),
            "step_macs": update.coverage.macs.tolist(),
            "travels_whole": update.travels_whole,
        }
    )
    return RecordDict(
        {
            "arrays": encode_arrays(update.arrays),
            "coverage": encode_arrays(coverage),
            "update": config,
            "facts": MetricRecord(facts),
            "metrics": metrics,
        }
    )


def decode_update(content: RecordDict) -> Update:
    """The update of a reply."""
    config = values_of(content, "update")
    widths, examples = config["widths"], config["step_examples"]
    packed = decode_arrays(arrays_of(content, "coverage"))
    kept = tuple(
        np.unpackbits(packed[str(group)], count=len(examples) * width).reshape(-1, width).astype(bool)
        if width
        else None
        for group, width in enumerate(widths)
    )
    values = values_of(content, "facts")
    facts = Facts(status=config["status"], **values, metrics=dict(values_of(content, "metrics")))
    coverage = Coverage(kept, np.array(examples, np.int64), np.array(config["step_macs"], np.int64))
    arrays = decode_arrays(arrays_of(content, "arrays"))
    return Update(facts, arrays, coverage, travels_whole=bool(config["travels_whole"]))


def remember(memory: Arrays) -> ArrayRecord:
    """A record for a Context's state, which Flower serialises: its arrays hold bytes, not other buffers."""
    with npy.allocating(None):
        record = encode_arrays(memory)
    for array in record.values():
        array.data = bytes(array.data)
    return record


def recall(state: RecordDict) -> Arrays:
    """The client's memory in its Context's state."""
    return decode_arrays(arrays_of(state, MEMORY)) if MEMORY in state else {}


def encode_memory(memory: Arrays) -> bytes:
    """A client's memory as bytes, for a checkpoint."""
    return serialise(RecordDict({MEMORY: remember(memory)}))


def decode_memory(data: bytes) -> Arrays:
    """A client's memory from the bytes in a checkpoint."""
    return recall(deserialise(data))


def serialise(state: RecordDict) -> bytes:
    """A Context's state as bytes; equal states give equal bytes."""
    return cast(bytes, recorddict_to_proto(state).SerializeToString(deterministic=True))


def deserialise(data: bytes) -> RecordDict:
    """A Context's state from bytes."""
    return recorddict_from_proto(ProtoRecordDict.FromString(data))


def encode_part(part: SubModel | None) -> dict[str, Any]:
    """The part of the network that a shard tests, as values of a config record."""
    if part is None:
        return {"counts": [], "last_exit": OWN_END}
    return {"counts": list(part.counts), "last_exit": OWN_END if part.last_exit is None else part.last_exit}


def decode_part(config: Mapping[str, Any]) -> SubModel | None:
    """The part of the network that a shard tests; None: the whole network."""
    last = config["last_exit"]
    counts = tuple(config["counts"])
    return SubModel(counts, None if last == OWN_END else last) if counts else None
