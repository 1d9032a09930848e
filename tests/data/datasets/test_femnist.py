"""LEAF's json files: where they lie, what is refused, and a real sample."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets.femnist import Femnist


@pytest.fixture
def folder(writers, tmp_path):
    writers["femnist"](tmp_path)
    return tmp_path


def test_from_leafs_own_folder_and_compressed(folder):
    """LEAF leaves data/train and data/test under data/femnist."""
    (folder / "data").mkdir()
    for part in ("train", "test"):
        (folder / part).rename(folder / "data" / part)
    path = folder / "data/train/all_data_1.json"
    path.with_suffix(".json.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    data = Femnist(data_dir=folder).load()
    assert np.bincount(data.writers).tolist() == [6, 14, 20]


def test_a_user_in_two_files_is_one_writer_and_one_without_examples_is_none(folder):
    path = folder / "train/all_data_1.json"
    content = json.loads(path.read_text())
    content["user_data"] = {"a": content["user_data"]["b"], "0": {"x": [], "y": []}}
    content["users"], content["num_samples"] = ["0", "a"], [0, 14]
    path.write_text(json.dumps(content))
    data = Femnist(data_dir=folder).load()
    assert np.bincount(data.writers).tolist() == [6 + 14, 20]


def change_user(folder, change):
    """The message when `change` has been applied to the examples of user b."""
    path = folder / "train/all_data_1.json"
    content = json.loads(path.read_text())
    change(content["user_data"]["b"])
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        Femnist(data_dir=folder).load()
    assert str(path) in str(caught.value)
    assert "TalwalkarLab/leaf" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("pixel", [0.5, 1.01, -1 / 255, float("nan"), float("inf")])
def test_pixels_that_are_no_grey_value(folder, pixel):
    """0.5 is 127.5 / 255."""

    def change(user):
        user["x"][3][7] = pixel

    assert "expected pixels k / 255 with k in 0 .. 255, user b has others" in change_user(folder, change)


def test_label_out_of_range(folder):
    assert "label 62 of example 0 is outside 0 .. 61" in change_user(
        folder, lambda u: u["y"].__setitem__(0, 62)
    )


def test_label_that_is_no_integer(folder):
    assert "y holds float64" in change_user(folder, lambda u: u["y"].__setitem__(0, 1.5))


def test_image_of_another_size(folder):
    assert "expected user b to have 'x'" in change_user(folder, lambda u: u["x"][0].pop())


def test_more_images_than_labels(folder):
    assert "x has shape (14, 784) for 13 labels" in change_user(folder, lambda u: u["y"].pop())


def test_missing_key(folder):
    assert "expected user b to have 'x'" in change_user(folder, lambda u: u.pop("y"))


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"users": 3, "user_data": {}}', '{"users": [], "user_data": []}']
)
def test_json_that_is_not_leafs(folder, text):
    (folder / "test/all_data_0.json").write_text(text)
    with pytest.raises(InputError, match=r"test/all_data_0.json .* expected"):
        Femnist(data_dir=folder).load()


def test_no_examples_at_all(folder):
    for path in (folder / "test").iterdir():
        path.write_text('{"users": [], "user_data": {}}')
    with pytest.raises(InputError, match="expected at least one example"):
        Femnist(data_dir=folder).load()


def test_real_sample(real_data):
    """Five writers of LEAF's own output; examples counted in the json, in the order of the sorted names."""
    folder = real_data / "leaf-femnist-sample"
    if not folder.is_dir():
        pytest.skip(f"no LEAF sample in {real_data}")
    data = Femnist(data_dir=folder).load()
    assert np.bincount(data.writers).tolist() == [18, 17, 16, 16, 11]
    assert (len(data.train), len(data.test)) == (78, 89)
    content = json.loads((folder / "train/train.json").read_text())["user_data"]["f3797_07"]
    theirs = data.train.x[data.writers == 4].reshape(11, 784)
    np.testing.assert_allclose(theirs / 255, content["x"], atol=1e-12)
