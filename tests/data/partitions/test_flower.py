"""flwr-datasets' partitioners on our labels."""

from __future__ import annotations

import sys
import warnings

import flwr_datasets.partitioner
import numpy as np
import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load
from distreal_sim.data.partitions import Partition
from distreal_sim.data.partitions.by_writer import ByWriter
from distreal_sim.data.partitions.flower import Flower

LABELS = np.tile(np.arange(10), 40)
WRITERS = np.arange(400) % 7 + 3


def split(partitioner, n_clients=8, **options):
    partition = Flower(partitioner=partitioner, options=options)
    return partition.split(LABELS, WRITERS, n_clients, np.random.default_rng(0))


def test_pathological_has_exactly_k_classes():
    dealt = split("PathologicalPartitioner", num_classes_per_partition=3)
    assert [len(np.unique(LABELS[dealt[c]])) for c in range(8)] == [3] * 8


def test_linear_sizes():
    """Client i of n gets (i + 1) / (1 + 2 + 3 + 4) of 400."""
    assert split("LinearPartitioner", n_clients=4).sizes.tolist() == [40, 80, 120, 160]


def test_natural_id_equals_by_writer():
    """Its clients come in another order, with the same examples."""
    theirs = split("NaturalIdPartitioner", n_clients=None, partition_by="writer")
    ours = ByWriter().split(LABELS, WRITERS, None, np.random.default_rng(0))
    assert {tuple(theirs[c]) for c in range(7)} == {tuple(ours[c]) for c in range(7)}


@pytest.mark.parametrize(
    ("partitioner", "options", "says"),
    [
        ("PathologicalPartioner", {}, "did you mean 'PathologicalPartitioner'"),
        ("PathologicalPartitioner", {}, "num_classes_per_partition"),
        ("IidPartitioner", {"alpha": 1}, "unexpected keyword argument 'alpha'"),
        ("IidPartitioner", {"num_partitions": 5}, "made 5 clients, n_clients is 8"),
        ("NaturalIdPartitioner", {"partition_by": "who"}, "partition flower"),
    ],
)
def test_refused(partitioner, options, says):
    with pytest.raises(InputError) as caught:
        split(partitioner, **options)
    assert says in str(caught.value)


def test_the_dotted_path_of_a_partitioner_says_how_it_is_given():
    with pytest.raises(InputError, match=r"write \{name: flower, partitioner: IidPartitioner, options: "):
        load(Partition, "flwr_datasets.partitioner.IidPartitioner")


def test_what_does_not_cover_is_refused():
    """Ten classes and one class for each of eight clients: two classes are nobody's."""
    with pytest.raises(InputError, match=r"gave example .* to 0 clients, expected exactly one"):
        split(
            "PathologicalPartitioner",
            num_classes_per_partition=1,
            class_assignment_mode="first-deterministic",
        )


def test_without_the_library(monkeypatch):
    """None in sys.modules is how Python marks a module that cannot be imported."""
    monkeypatch.setitem(sys.modules, "flwr_datasets", None)
    with pytest.raises(InputError, match=r"pip install distreal-sim\[hf\]"):
        split("IidPartitioner")


def test_warnings_are_one_line(recwarn):
    """Ten attempts warn of the alphas of a hundred clients; what counts is the error."""
    with pytest.raises(InputError, match=r"max number of attempts \(10\)"):
        split("DirichletPartitioner", n_clients=100, alpha=0.01, min_partition_size=4)
    assert not [w for w in recwarn if issubclass(w.category, UserWarning)]


def test_warnings_of_a_partition_that_works(recwarn, monkeypatch):
    """Eight clients, each with a warning of two lines and eight alphas: one line, with three of them."""
    load = flwr_datasets.partitioner.IidPartitioner.load_partition

    def warning(self, partition_id):
        warnings.warn(f"the alphas are\n{[0.5] * 8}", stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        return load(self, partition_id)

    monkeypatch.setattr(flwr_datasets.partitioner.IidPartitioner, "load_partition", warning)
    assert split("IidPartitioner").sizes.sum() == 400
    assert [str(w.message) for w in recwarn] == [
        "partition flower, IidPartitioner: the alphas are [0.5, 0.5, 0.5, ...] (8 warnings)"
    ]


@pytest.mark.parametrize("options", [{"shard_size": 7}, {"num_shards_per_partition": 3}])
def test_what_shards_leave_over_names_the_option(options):
    """400 = 57 x 7 + 1, and 24 shards of 16 leave 16."""
    with pytest.raises(InputError, match="set keep_incomplete_shard: true"):
        split("ShardPartitioner", **options)
    assert split("ShardPartitioner", shard_size=7, keep_incomplete_shard=True).sizes.sum() == 400
