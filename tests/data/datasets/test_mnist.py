"""MNIST's files: where they may lie, the writers, and what is wrong with a damaged one."""

from __future__ import annotations

import gzip
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets._idx import read_idx
from distreal_sim.data.datasets.mnist import Mnist

LABELS = "MNIST/raw/train-labels-idx1-ubyte.gz"
IMAGES = "MNIST/raw/train-images-idx3-ubyte.gz"
WRITERS = "QMNIST/raw/qmnist-train-labels-idx2-int.gz"


@pytest.fixture
def folder(writers, tmp_path):
    writers["mnist"](tmp_path)
    return tmp_path


def rewrite(path, change):
    """Replaces the decompressed bytes of a .gz file by change(bytes)."""
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))


@pytest.mark.parametrize("raw", ["MNIST/raw", "raw", "."])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_every_layout(writers, tmp_path, raw, suffix):
    expected = writers["mnist"](tmp_path, raw=raw, suffix=suffix)
    data = Mnist(data_dir=tmp_path).load()
    np.testing.assert_array_equal(data.train.x, expected.train_x)
    np.testing.assert_array_equal(data.writers, expected.writers)


def test_other_folder_has_no_writers_even_beside_qmnist(folder):
    (folder / "MNIST").rename(folder / "FashionMNIST")
    data = Mnist(data_dir=folder, folder="FashionMNIST").load()
    assert len(data.train) == 40
    assert data.writers is None


def test_writers_beside_the_images_are_found_too(folder):
    shutil.move(folder / WRITERS, folder / "MNIST/raw")
    assert Mnist(data_dir=folder).load().writers.tolist() == [1000 + i // 8 for i in range(40)]


def test_without_the_writer_file_there_are_no_writers(folder):
    (folder / WRITERS).unlink()
    assert Mnist(data_dir=folder).load().writers is None


def error_of(folder, **options):
    with pytest.raises(InputError) as caught:
        Mnist(data_dir=folder, **options).load()
    return str(caught.value)


def test_writers_of_other_digits_are_refused(folder):
    """The real digits begin 0, 1, 2; row 2 of the writer table (8 int32 a row, header 12) is made a 7."""
    rewrite(folder / WRITERS, lambda raw: raw[: 12 + 64] + b"\0\0\0\7" + raw[12 + 68 :])
    message = error_of(folder)
    assert "digit 2 is a 7 here and a 2 in" in message
    assert str(folder / WRITERS) in message


def test_too_few_writers_are_refused(folder):
    rewrite(folder / WRITERS, lambda raw: raw[:4] + b"\0\0\0\5" + raw[8 : 12 + 5 * 32])
    assert "expected at least 40 rows of 8 numbers, found 5 x 8" in error_of(folder)


def test_missing_file_says_where_it_was_sought_and_where_to_get_it(folder):
    (folder / IMAGES).unlink()
    message = error_of(folder)
    assert "train-images-idx3-ubyte" in message
    assert f"{folder / 'MNIST/raw'} or {folder / 'MNIST'} or {folder / 'raw'} or {folder}" in message
    assert "official page of MNIST" in message


def test_wrong_magic_number(folder):
    rewrite(folder / LABELS, lambda raw: b"\0\0\x08\x03" + raw[4:])
    assert "expected magic number 0x00000801, found 0x00000803" in error_of(folder)


def test_size_other_than_the_header_announces(folder):
    """40 images of 16 x 16 with a header of 16 bytes are 10256 bytes."""
    rewrite(folder / IMAGES, lambda raw: raw[:-1])
    assert "announces 40 x 16 x 16, 10256 bytes, found 10255 bytes" in error_of(folder)


def test_label_out_of_range(folder):
    rewrite(folder / LABELS, lambda raw: raw[:8] + b"\0\1\x0a" + raw[11:])
    assert "label 10 of example 2 is outside 0 .. 9" in error_of(folder)
    assert Mnist(data_dir=folder, folder="MNIST", n_classes=11).n_classes == 11


def test_fewer_labels_than_images(folder):
    rewrite(folder / LABELS, lambda raw: raw[:7] + b"\x27" + raw[8:-1])
    assert "expected one label for each of 40 images, at least one, found 39" in error_of(folder)


def test_training_and_test_images_of_different_size(folder):
    path = folder / "MNIST/raw/t10k-images-idx3-ubyte.gz"
    rewrite(path, lambda raw: raw[:8] + b"\0\0\0\x08\0\0\0\x20" + raw[16:])
    assert "training images are (16, 16), test images (8, 32)" in error_of(folder)


def test_truncated_gz_at_every_length(folder):
    """A gz file cut anywhere, to nothing too, is an InputError that names it."""
    path = folder / LABELS
    raw = path.read_bytes()
    for n in range(len(raw)):
        path.write_bytes(raw[:n])
        assert str(path) in error_of(folder)


@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    kind=st.sampled_from([("u1", 8), (">i4", 12)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_idx_round_trip(shape, kind, seed, tmp_path_factory):
    dtype, code = kind
    array = np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)
    header = bytes([0, 0, code, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(header + array.tobytes())
    np.testing.assert_array_equal(read_idx(path, dtype, len(shape), "nowhere"), array)


def test_real_mnist(real_data):
    """Class counts of the README of every copy of MNIST; mean and std as published: 0.1307 and 0.3081.

    QMNIST: 539 writers in the training set, with 19 / 116 / 131 digits at the least, in the middle, at most.
    """
    data = Mnist(data_dir=real_data).load()
    assert data.train.x.shape == (60000, 1, 28, 28)
    assert data.test.x.shape == (10000, 1, 28, 28)
    assert np.bincount(data.train.y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    np.testing.assert_allclose([data.mean[0] / 255, data.std[0] / 255], [0.1307, 0.3081], atol=5e-5)
    _, sizes = np.unique(data.writers, return_counts=True)
    assert (len(sizes), sizes.min(), np.median(sizes), sizes.max()) == (539, 19, 116, 131)
