"""Messages carry jobs and updates without losing a bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord

from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Facts, Job, Round, Update
from distreal_sim.grids.flower.messages import (
    decode_array,
    decode_arrays,
    decode_job,
    decode_part,
    decode_update,
    encode_array,
    encode_arrays,
    encode_job,
    encode_part,
    encode_update,
)
from distreal_sim.submodels.submodel import SubModel

ARRAYS = {
    "weight": np.arange(12, dtype=np.float32).reshape(3, 2, 2) / 7,
    "scalar": np.array(3.5),
    "empty": np.zeros((0, 4), np.float32),
    "bytes": np.array([0, 255, 7], np.uint8),
}


def test_flower_reads_what_we_encode() -> None:
    """Our record is in Flower's own format: its decoder gives the same arrays."""
    for name, array in encode_arrays(ARRAYS).items():
        assert array.numpy().tobytes() == ARRAYS[name].tobytes()
        assert array.numpy().shape == ARRAYS[name].shape


def test_we_read_what_flower_encodes() -> None:
    record = ArrayRecord({name: Array(array) for name, array in ARRAYS.items()})
    for name, array in decode_arrays(record).items():
        assert array.tobytes() == ARRAYS[name].tobytes()
        assert (array.shape, array.dtype) == (ARRAYS[name].shape, ARRAYS[name].dtype)


def test_decoding_does_not_copy() -> None:
    """The decoded array is a view of the record's buffer."""
    encoded = encode_array(ARRAYS["weight"])
    assert np.shares_memory(decode_array(encoded), np.asarray(encoded.data))


def test_objects_are_refused() -> None:
    """A .npy file with Python objects could run code when it is read."""
    record = Array("object", (1,), "numpy.ndarray", encode_array(np.zeros(1)).data.tobytes())
    record.data = record.data.replace(b"'<f8'", b"'|O' ")
    with pytest.raises(ValueError, match="objects"):
        decode_array(record)


def test_job_round_trip() -> None:
    job = Job(3, Round(17, 20, 0.1 + 0.2, 0.05, (3, 4)), ARRAYS, {"m": np.ones(2)})
    content = encode_job(job, encode_arrays(ARRAYS))
    again = decode_job(content, decode_arrays(content.array_records["arrays"]), job.memory)
    assert (again.client_id, again.round) == (3, Round(17, 20, 0.1 + 0.2, 0.05))
    assert again.memory is job.memory


def test_update_round_trip() -> None:
    """Coverage travels as bits: 3 steps x 5 channels = 15 bits = 2 bytes, and comes back as it was."""
    kept = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 1], [1, 1, 1, 1, 1]], bool)
    facts = Facts(3, "partial", 40, 4, 3, 10**12, 9.75, 0.5, 100, 90, math.nan)
    update = Update(
        facts, ARRAYS, Coverage((None, kept, None), np.array([16, 16, 8]), np.array([320, 80, 2**40]))
    )
    content = encode_update(update)
    assert len(content.array_records["coverage"]["1"].numpy()) == 2
    again = decode_update(content)
    assert again.facts.macs == 10**12
    assert math.isnan(again.facts.train_loss)
    assert (again.facts.status, again.n_steps) == ("partial", 3)
    assert again.coverage.kept[0] is None
    assert again.coverage.kept[2] is None
    np.testing.assert_array_equal(again.coverage.kept[1], kept)
    np.testing.assert_array_equal(again.coverage.examples, [16, 16, 8])
    np.testing.assert_array_equal(again.coverage.macs, [320, 80, 2**40])
    assert all(again.arrays[k].tobytes() == ARRAYS[k].tobytes() for k in ARRAYS)


@pytest.mark.parametrize("part", [None, SubModel((2, 4)), SubModel((2, 4), 0), SubModel((2, 4), 3)])
def test_parts_of_the_network_come_back(part: SubModel | None) -> None:
    """Through a config record, which has no None; exit 0 is not the network's own end."""
    assert decode_part(ConfigRecord(encode_part(part))) == part
