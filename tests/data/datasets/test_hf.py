"""Hugging Face data sets from local folders: columns, image folders, colours, sizes, and what is refused."""

from __future__ import annotations

import sys

import datasets
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets.hf import Hf

GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)
COLOUR = np.stack([GREY, GREY + 50, GREY + 100], axis=2)


def write(folder, train, test=None, **features):
    """Parquet files with these columns."""
    for name, columns in (("train", train), ("test", test or train)):
        kind = datasets.Features(features) if features else None
        table = datasets.Dataset.from_dict(columns, features=kind)
        table.to_parquet(str(folder / f"{name}-00000-of-00001.parquet"))


def error_of(folder, **options):
    with pytest.raises(InputError) as caught:
        Hf(data_dir=folder, **options).load()
    return str(caught.value)


def test_image_folder(tmp_path):
    """Two classes, named by their folders, in sorted order; colour images become (3, H, W)."""
    for split, shades in (("train", (0, 1, 2)), ("test", (3,))):
        for label in ("cat", "ape"):
            (tmp_path / split / label).mkdir(parents=True)
            for i in shades:
                Image.fromarray(COLOUR + i + 10 * (label == "cat")).save(
                    tmp_path / split / label / f"{i}.png"
                )
    data = Hf(data_dir=tmp_path).load()
    assert data.n_classes == 2
    assert data.shape == (3, 8, 8)
    expected = {(c, i): (COLOUR + i + 10 * c).transpose(2, 0, 1).tobytes() for c in (0, 1) for i in range(4)}
    got = sorted((y, x.tobytes()) for x, y in zip(data.train.x, data.train.y.tolist(), strict=True))
    assert got == sorted((c, expected[c, i]) for c in (0, 1) for i in range(3))
    assert {x.tobytes() for x in data.test.x} == {expected[0, 3], expected[1, 3]}


def test_parquet_with_bytes_and_string_labels(tmp_path):
    """No Hugging Face types: raw png bytes, and classes numbered in sorted order over both splits."""
    path = tmp_path / "one.png"
    Image.fromarray(GREY).save(path)
    png = path.read_bytes()
    path.unlink()
    write(tmp_path, {"png": [png] * 3, "kind": ["b", "d", "b"]}, {"png": [png] * 2, "kind": ["c", "a"]})
    data = Hf(data_dir=tmp_path).load()
    assert data.n_classes == 4
    assert data.train.y.tolist() == [1, 3, 1]
    assert data.test.y.tolist() == [2, 0]
    np.testing.assert_array_equal(data.train.x[2, 0], GREY)


def test_limit_takes_evenly_spaced_examples(writers, tmp_path):
    """10 of 40: every fourth; 20 test examples are cut to every second."""
    expected = writers["hf"](tmp_path)
    data = Hf(data_dir=tmp_path, limit=10).load()
    np.testing.assert_array_equal(data.train.x, expected.train_x[::4])
    np.testing.assert_array_equal(data.test.y, expected.test_y[::2])


def test_slices_of_one_split(writers, tmp_path):
    expected = writers["hf"](tmp_path)
    data = Hf(data_dir=tmp_path, train_split="train[:75%]", test_split="train[75%:]").load()
    np.testing.assert_array_equal(data.train.x, expected.train_x[:30])
    np.testing.assert_array_equal(data.test.x, expected.train_x[30:])


def test_columns_in_doubt_must_be_named(tmp_path):
    kind = datasets.ClassLabel(num_classes=3)
    columns = {"img": [GREY] * 3, "fine": [0, 1, 2], "coarse": [0, 0, 1]}
    write(tmp_path, columns, img=datasets.Image(), fine=kind, coarse=kind)
    message = error_of(tmp_path)
    assert "several columns of split train" in message
    assert "set dataset.label_column to one of fine, coarse" in message
    assert Hf(data_dir=tmp_path, label_column="coarse").load().train.y.tolist() == [0, 0, 1]
    assert "did you mean 'coarse'" in error_of(tmp_path, label_column="coarze")
    assert "unknown image column" in error_of(tmp_path, label_column="fine", image_column="image")
    assert "unknown writer column" in error_of(tmp_path, label_column="fine", writer_column="who")


def test_no_image_column(tmp_path):
    write(tmp_path, {"text": ["a", "b"], "label": [0, 1]})
    assert "no images were found in split train" in error_of(tmp_path)


def two(tmp_path, first, second, labels=(0, 1)):
    write(
        tmp_path,
        {"img": [first, second], "label": list(labels)},
        img=datasets.Image(),
        label=datasets.Value("int64"),
    )
    return tmp_path


def test_colour_after_grey_is_refused(tmp_path):
    assert "image 1 of split train" in error_of(two(tmp_path, GREY, COLOUR))


def test_grey_after_colour_is_widened(tmp_path):
    data = Hf(data_dir=two(tmp_path, COLOUR, GREY)).load()
    np.testing.assert_array_equal(data.train.x[1], np.stack([GREY] * 3))


def test_images_of_two_sizes_need_size(tmp_path):
    two(tmp_path, GREY, GREY[:6])
    message = error_of(tmp_path)
    assert "is 6 x 8, expected 8 x 8 like the first; set dataset.size" in message
    assert Hf(data_dir=tmp_path, size=4).load().train.x.shape == (2, 1, 4, 4)


def test_sixteen_bit_images_are_refused(tmp_path):
    deep = GREY.astype(np.uint16) * 256
    assert "no 8-bit grey or colour image (found I;16)" in error_of(two(tmp_path, deep, deep))


def test_labels_out_of_range(tmp_path):
    assert "has label -1, outside 0 .. 1" in error_of(two(tmp_path, GREY, GREY, labels=(1, -1)))


def test_damaged_image(tmp_path):
    write(tmp_path, {"png": [b"no picture"], "label": [0]})
    assert "image 0 of split train" in error_of(tmp_path)
    assert "cannot be decoded" in error_of(tmp_path)


def test_unknown_split(writers, tmp_path):
    writers["hf"](tmp_path)
    message = error_of(tmp_path, test_split="validation")
    assert "split validation" in message
    assert "cannot be loaded" in message


@pytest.mark.parametrize("options", [{}, {"hub": "uoft-cs/cifar10", "data_dir": "x"}])
def test_exactly_one_source(options):
    with pytest.raises(ValidationError, match="needs either hub"):
        Hf(**options)


def test_without_the_library(tmp_path, monkeypatch):
    """None in sys.modules is how Python marks a module that cannot be imported."""
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "pip install distreal-sim[hf]" in error_of(tmp_path)
