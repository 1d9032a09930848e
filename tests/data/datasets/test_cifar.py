"""CIFAR's pickles: compressed ones, labels, and files that are damaged or mean harm."""

from __future__ import annotations

import lzma
import os
import pickle

import numpy as np
import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import Examples
from distreal_sim.data.datasets._cifar import pooled
from distreal_sim.data.datasets.cifar10 import Cifar10
from distreal_sim.data.datasets.cifar100 import Cifar100


@pytest.fixture
def folder(writers, tmp_path):
    writers["cifar10"](tmp_path)
    return tmp_path


def error_with(folder, content):
    """The message for a test_batch that pickles `content` (or is it, if bytes)."""
    path = folder / "cifar-10-batches-py/test_batch"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol=4))
    with pytest.raises(InputError) as caught:
        Cifar10(data_dir=folder).load()
    assert str(path) in str(caught.value)
    assert "Alex Krizhevsky's page" in str(caught.value)
    return str(caught.value)


def test_xz_files_directly_in_data_dir(writers, folder):
    for path in sorted((folder / "cifar-10-batches-py").iterdir()):
        (folder / f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes()))
        path.unlink()
    data = Cifar10(data_dir=folder).load()
    assert data.train.x.shape == (40, 3, 32, 32)


def test_truncated_xz(folder):
    path = folder / "cifar-10-batches-py/data_batch_2"
    raw = lzma.compress(path.read_bytes())
    path.unlink()
    path.with_suffix(".xz").write_bytes(raw[:-20])
    with pytest.raises(InputError, match=r"data_batch_2.xz .* expected a complete .xz file"):
        Cifar10(data_dir=folder).load()


def test_python_2_pickle_of_protocol_2(folder):
    """The opcodes of the real files: byte strings (SHORT_BINSTRING), numpy.core.multiarray._reconstruct."""
    pixels = bytes(range(256)) * 12
    raw = (
        b"\x80\x02}(U\x06labels](K\x03eU\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
        b"U\x01b\x87R(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89T\x00\x0c\x00\x00" + pixels + b"tbu."
    )
    (folder / "cifar-10-batches-py/test_batch").write_bytes(raw)
    data = Cifar10(data_dir=folder).load()
    assert data.test.y.tolist() == [3]
    assert data.test.x.tobytes() == pixels


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_files_pickled_again_by_python_3(folder, protocol):
    path = folder / "cifar-10-batches-py/test_batch"
    x = np.arange(3072).astype(np.uint8)[None]
    path.write_bytes(pickle.dumps({"data": x, "labels": [7]}, protocol=protocol))
    data = Cifar10(data_dir=folder).load()
    np.testing.assert_array_equal(data.test.x.reshape(1, 3072), x)


class Touch:
    """Unpickling this with Python's own unpickler makes the folder `touched`."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_malicious_pickle_does_nothing(folder):
    trap = folder / "touched"
    message = error_with(folder, {"data": Touch(trap), "labels": [0]})
    assert "only numpy arrays are admitted" in message
    assert "mkdir" in message
    assert not trap.exists()


@pytest.mark.parametrize(
    "name",
    [
        "builtins\neval",
        "os\nsystem",
        "numpy\nload",
        "numpy\nfromfile",
        "_codecs\nencode",
        "numpy.testing\nrun",
    ],
)
def test_other_functions_are_refused(folder, name):
    assert name.replace("\n", ".") in error_with(folder, b"\x80\x02c" + name.encode() + b"\n.")


def test_attributes_of_an_admitted_class_are_refused(folder):
    """Protocol 4 can name numpy's `ndarray.tofile`, which writes files."""
    raw = b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."
    assert "numpy.ndarray.tofile" in error_with(folder, raw)


GOOD = np.zeros((2, 3072), np.uint8)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "expected a pickled dictionary of arrays"),
        (b"<html>404 Not Found</html>", "expected a pickled dictionary of arrays"),
        ([1, 2], "expected a pickled dictionary, found list"),
        ({"data": 1, "fine_labels": [1]}, "expected the key 'labels'; did you mean 'fine_labels'?"),
        ({"data": [1], "labels": [1]}, "expected 'data' to be uint8 (N, 3072), found list"),
        ({"labels": ["1", "2"], "data": 0}, "expected 'data' to be uint8 (N, 3072), found int"),
    ],
)
def test_wrong_content(folder, content, says):
    assert says in error_with(folder, content)


@pytest.mark.parametrize(
    ("x", "labels", "says"),
    [
        (GOOD[:, :100], [0, 1], "found uint8 (2, 100)"),
        (GOOD.astype(np.float32), [0, 1], "found float32 (2, 3072)"),
        (GOOD, [0, 1, 2], "expected one label for each of 2 images, at least one, found 3"),
        (GOOD, [0, 10], "label 10 of example 1 is outside 0 .. 9"),
        (GOOD, [-1, 0], "label -1 of example 0 is outside 0 .. 9"),
        (GOOD, [0.0, 1.0], "expected 'labels' to be a list of integers"),
        (GOOD[:0], [], "expected one label for each of 0 images, at least one, found 0"),
    ],
)
def test_wrong_arrays(folder, x, labels, says):
    assert says in error_with(folder, {"data": x, "labels": labels})


def test_coarse_labels(writers, tmp_path):
    """The tiny files have fine = 10 coarse + 9."""
    expected = writers["cifar100"](tmp_path)
    data = Cifar100(data_dir=tmp_path, labels="coarse").load()
    assert data.n_outputs == 20
    np.testing.assert_array_equal(data.train.y, expected.train_y // 10)


@pytest.mark.slow
def test_real_cifar10(real_data):
    """5,000 and 1,000 examples a class; mean and std as published; the first training image is a frog (6)."""
    data = Cifar10(data_dir=real_data).load()
    assert np.bincount(data.train.y).tolist() == [5000] * 10
    assert np.bincount(data.test.y).tolist() == [1000] * 10
    assert data.train.y[0] == 6
    np.testing.assert_allclose(data.mean / 255, [0.4914, 0.4822, 0.4465], atol=5e-5)
    np.testing.assert_allclose(data.std / 255, [0.2470, 0.2435, 0.2616], atol=5e-5)


def test_pooled_images_are_means_of_squares(folder):
    """Every value is that of a 2 x 2 square, (a + b + c + d) / 4, halves up: 1, 2, 1, 2 give 6 / 4, so 2."""
    whole, half = Cifar10(data_dir=folder).load(), Cifar10(data_dir=folder, pool=2).load()
    assert half.train.x.shape == (40, 3, 16, 16)
    assert half.train.x.dtype == np.uint8
    x = whole.train.x.astype(int)
    sums = x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]
    assert (half.train.x == np.floor(sums / 4 + 0.5)).all()
    two = pooled(Examples(np.array([[[[1, 2], [1, 2]]]], np.uint8), np.zeros(1, np.int64)), 2)
    assert two.x.ravel().tolist() == [2]
    assert (half.test.y == whole.test.y).all()
    white = pooled(Examples(np.full((1, 1, 8, 8), 255, np.uint8), np.zeros(1, np.int64)), 8)
    assert white.x.ravel().tolist() == [255]
