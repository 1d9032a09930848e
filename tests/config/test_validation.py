"""Testing on held-out training examples, for tuning."""

from __future__ import annotations

import numpy as np
import pytest
from toys import toy

from distreal_sim.base.errors import InputError
from distreal_sim.base.rng import Rngs
from distreal_sim.config.build import build, hold_out


def test_the_model_is_tested_on_what_was_held_out() -> None:
    """The held-out examples take the test set's place; what clients train on is the same either way."""
    dataset = {"name": "digits", "validation": 0.1}
    experiment = toy(dataset=dataset, evaluation={"data": "validation"})
    task, usual = build(experiment), build(toy(dataset=dataset))
    held = hold_out(experiment.dataset.load(), 0.1, Rngs(experiment.seed))[1]
    assert (task.data.test.x == held.x).all()
    assert (task.data.test.y == held.y).all()
    assert len(held) == round(0.1 * len(experiment.dataset.load().train))
    assert (task.data.train.x == usual.data.train.x).all()
    assert all((a == b).all() for a, b in zip(task.split, usual.split, strict=True))


def test_nothing_was_held_out() -> None:
    with pytest.raises(InputError, match=r"dataset.validation \(0\) holds out no training example"):
        build(toy(evaluation={"data": "validation"}))


def test_the_model_is_tested_on_a_sample() -> None:
    """50 different examples of the test set, in its order, others for another seed."""
    whole = build(toy()).data.test
    sample = build(toy(evaluation={"examples": 50})).data.test
    other = build(toy(seed=2, evaluation={"examples": 50})).data.test
    where = [int(np.flatnonzero((whole.x == x).all((1, 2, 3)))[0]) for x in sample.x]
    assert len(sample) == 50
    assert where == sorted(set(where))
    assert (whole.y[where] == sample.y).all()
    assert (sample.x != other.x).any()


def test_a_sample_is_no_larger_than_the_test_set() -> None:
    whole = len(build(toy()).data.test)
    assert len(build(toy(evaluation={"examples": whole})).data.test) == whole
    with pytest.raises(
        InputError, match=f"evaluation.examples: {whole + 1} is more than the {whole} there are"
    ):
        build(toy(evaluation={"examples": whole + 1}))
