"""What every data set keeps; a new file in `distreal_sim/datasets` is found and checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load, names
from distreal_sim.data.datasets import Dataset

every_dataset = pytest.mark.parametrize("name", names(Dataset))
needs_files = pytest.mark.parametrize(
    "name", [n for n in names(Dataset) if n not in ("digits", "torch_dataset")]
)


def test_each_has_tiny_files_for_these_tests(writers):
    assert sorted(writers) == names(Dataset)


@every_dataset
def test_gives_exactly_what_the_files_hold(name, writers, tmp_path):
    expected = writers[name](tmp_path)
    data = load(Dataset, name)(**expected.options).load()
    for got, want in (
        (data.train.x, expected.train_x),
        (data.test.x, expected.test_x),
        (data.train.y, expected.train_y),
        (data.test.y, expected.test_y),
    ):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)
    assert data.train.x.dtype == expected.train_x.dtype
    assert data.train.y.dtype == np.int64
    assert data.n_outputs == expected.n_classes
    assert data.shape == expected.train_x.shape[1:]
    if expected.writers is None:
        assert data.writers is None
    else:
        assert data.writers.dtype == np.int64
        np.testing.assert_array_equal(data.writers, expected.writers)


@every_dataset
def test_mean_and_std_are_those_of_the_training_set(name, writers, tmp_path):
    """Against numpy's own mean and std of a float64 copy; float32 rounding is 6e-8.

    A table is scaled as it is read, and tokens are not.
    """
    expected = writers[name](tmp_path)
    data = load(Dataset, name)(**expected.options).load()
    x = expected.train_x.astype(np.float64)
    axes = (0, *range(2, x.ndim))
    mean, std = x.mean(axis=axes), x.std(axis=axes)
    if name in ("table", "text"):
        assert data.mean is data.std is None
        return
    for got, want in ((data.mean, mean), (data.std, std)):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=1e-6)


@every_dataset
def test_loading_again_gives_the_same(name, writers, tmp_path):
    dataset = load(Dataset, name)(**writers[name](tmp_path).options)
    first, second = dataset.load(), dataset.load()
    np.testing.assert_array_equal(first.train.x, second.train.x)
    np.testing.assert_array_equal(first.test.y, second.test.y)


@every_dataset
def test_is_frozen_and_refuses_unknown_keys(name, writers, tmp_path):
    options = writers[name](tmp_path).options
    dataset = load(Dataset, name)(**options)
    with pytest.raises(ValidationError, match="frozen"):
        dataset.validation = 0.5
    with pytest.raises(ValidationError, match="data_dri"):
        load(Dataset, name)(**options, data_dri="x")


@needs_files
def test_missing_files_are_named(name, writers, tmp_path):
    options = writers[name](tmp_path).options
    moved = {k: tmp_path / "nowhere" / v.name if isinstance(v, Path) else v for k, v in options.items()}
    with pytest.raises(InputError, match="nowhere"):
        load(Dataset, name)(**moved).load()


@needs_files
def test_each_missing_file_is_an_input_error(name, writers, tmp_path):
    """Every file in turn is moved away: an InputError that names a folder or, where it is optional, none."""
    said = []
    dataset = load(Dataset, name)(**writers[name](tmp_path).options)
    for path in sorted(p for p in tmp_path.rglob("*") if p.is_file()):
        raw = path.read_bytes()
        path.unlink()
        try:
            dataset.load()
        except InputError as error:
            said.append(str(error))
        path.write_bytes(raw)
    # LEAF and PFLlib write any number of files and no list of them: one of several is not missed.
    assert said or name in ("femnist", "pfllib")
    assert all(str(tmp_path) in message for message in said)


@needs_files
def test_each_damaged_file_is_an_input_error_that_names_it(name, writers, tmp_path):
    """Every file in turn is cut to a third; the folder is all that Hugging Face's library names."""
    dataset = load(Dataset, name)(**writers[name](tmp_path).options)
    for path in sorted(p for p in tmp_path.rglob("*") if p.is_file()):
        raw = path.read_bytes()
        path.write_bytes(raw[: len(raw) // 3])
        with pytest.raises(InputError) as caught:
            dataset.load()
        assert str(tmp_path if name == "hf" else path) in str(caught.value)
        path.write_bytes(raw)
