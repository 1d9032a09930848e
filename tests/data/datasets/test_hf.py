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
    assert data.n_outputs == 2
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
    assert data.n_outputs == 4
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


def by_class(folder, sizes):
    """An image folder with `sizes` pictures of each class, told apart by their brightness."""
    for label, size in enumerate(sizes):
        (folder / f"c{label}").mkdir(parents=True)
        for i in range(size):
            Image.fromarray(np.full((4, 4), 40 * label + i, np.uint8)).save(
                folder / f"c{label}" / f"{i:02}.png"
            )
    return folder


@pytest.mark.parametrize(
    ("sizes", "cut", "train", "test"),
    [((10, 10), "80%", [8, 8], [2, 2]), ((20, 10, 30), "54", [18, 9, 27], [2, 1, 3])],
)
def test_slices_of_a_folder_sorted_by_class(sizes, cut, train, test, tmp_path):
    """Every class has its share of each slice, and every picture is in one of them: 80 % of 10 are 8; 54 of
    60 are nine tenths.
    """
    folder = by_class(tmp_path, sizes)
    data = Hf(data_dir=folder, train_split=f"train[:{cut}]", test_split=f"train[{cut}:]").load()
    assert np.bincount(data.train.y).tolist() == train
    assert np.bincount(data.test.y).tolist() == test
    assert len({x.tobytes() for x in [*data.train.x, *data.test.x]}) == sum(sizes)


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view"])
def test_string_labels_of_every_kind(kind, tmp_path):
    import pyarrow as pa

    from distreal_sim.data.datasets._hf_columns import label_column

    assert getattr(pa, kind)() is not None
    assert (
        label_column({"kind": datasets.Value(kind), "x": datasets.Value("float32")}, None, "here") == "kind"
    )


def test_string_labels_in_metadata(tmp_path):
    """pandas reads the csv; cat is 0 and dog 1."""
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        rows = [(f"{i}.png", "cat" if i % 2 else "dog") for i in range(4)]
        text = "".join(f"{name},{kind}\n" for name, kind in rows)
        (tmp_path / split / "metadata.csv").write_text(f"file_name,label\n{text}")
        for name, _ in rows:
            Image.fromarray(GREY).save(tmp_path / split / name)
    assert Hf(data_dir=tmp_path).load().train.y.tolist() == [1, 0, 1, 0]


def test_booleans_are_two_classes(tmp_path):
    write(
        tmp_path,
        {"img": [GREY] * 2, "label": [True, False]},
        {"img": [GREY], "label": [True]},
        img=datasets.Image(),
        label=datasets.Value("bool"),
    )
    data = Hf(data_dir=tmp_path).load()
    assert (data.n_outputs, data.train.y.tolist(), data.test.y.tolist()) == (2, [1, 0], [1])


@pytest.mark.parametrize(("kind", "values"), [("float64", [0.5, 1.0]), ("binary", [b"a", b"b"])])
def test_a_label_column_that_cannot_be_one(kind, values, tmp_path):
    """Not replaced by the only column of whole numbers, which may be anything."""
    columns = {"img": [GREY] * 2, "label": values, "year": [1, 2]}
    types = {"img": datasets.Image(), "label": datasets.Value(kind), "year": datasets.Value("int64")}
    write(tmp_path, columns, **types)
    message = error_of(tmp_path)
    assert "column label of split train" in message
    assert "which are no class labels" in message
    assert message.endswith("or set dataset.label_column to one of year")
    assert "column img" in error_of(tmp_path, label_column="img")


def test_an_example_without_a_label(tmp_path):
    write(
        tmp_path,
        {"img": [GREY] * 2, "label": ["a", None]},
        img=datasets.Image(),
        label=datasets.Value("string"),
    )
    assert "example 1 of split train" in error_of(tmp_path)


@pytest.mark.parametrize("where", ["train/n01/images/0.png", "train/all/0.png"])
def test_folders_that_are_not_class_folders(where, tmp_path):
    """Tiny-ImageNet's `images` folders, and one folder with everything."""
    for path in (where, where.replace("n01", "n02"), "test/images/0.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(GREY).save(tmp_path / path)
    message = error_of(tmp_path)
    assert "no labels were found in split train" in message or "has no label (1 have none)" in message
    assert "SPLIT/CLASS/*.png" in message
    assert "; here lies for example " in message
    assert "set dataset.label_column" not in message
