"""What lies where data are looked for: other names, archives, copies; and what is kept decompressed."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import shutil

import numpy as np
import pytest
from toys import TOY

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load, names
from distreal_sim.config import parse_experiment
from distreal_sim.data.datasets import Dataset, _files, _kept
from distreal_sim.data.datasets.cifar10 import Cifar10
from distreal_sim.data.datasets.cifar100 import Cifar100
from distreal_sim.data.datasets.femnist import Femnist
from distreal_sim.data.datasets.hf import Hf
from distreal_sim.data.datasets.mnist import Mnist
from distreal_sim.data.datasets.tiny_imagenet import TinyImagenet


def error_of(dataset):
    with pytest.raises(InputError) as caught:
        dataset.load()
    return str(caught.value)


@pytest.mark.parametrize(
    "name", [name for name in names(Dataset) if "data_dir" in load(Dataset, name).model_fields]
)
def test_nothing_is_there(name, tmp_path):
    """Where the key of the folder is missing, and where the folder is, the error says how to get the data."""
    kind = load(Dataset, name)
    missing = error_of(kind(data_dir=tmp_path / "none"))
    assert str(tmp_path / "none") in missing
    assert any(advice in missing for advice in ("; get it from ", "; get them from ", "; put ", "; write "))
    if kind.model_fields["data_dir"].is_required():
        with pytest.raises(InputError) as caught:
            parse_experiment({**TOY, "dataset": {"name": name}}, source="my.yaml")
        assert "key 'dataset.data_dir' is missing" in str(caught.value)
        assert str(caught.value).endswith(f"; get the files from {kind.files_from}")
        assert len(kind.files_from) > 10


@pytest.mark.parametrize(
    ("kind", "archive"),
    [
        (Cifar10, "cifar-10-python.tar.gz"),
        (Cifar100, "cifar-100-python.tar.gz"),
        (Mnist, "archive.zip"),
        (Femnist, "femnist.zip"),
        (TinyImagenet, "tiny-imagenet-200.zip"),
        (Hf, "images.7z"),
    ],
)
def test_an_archive_beside_what_is_looked_for(kind, archive, tmp_path):
    (tmp_path / archive).touch()
    assert f"unpack {archive} in {tmp_path}" in error_of(kind(data_dir=tmp_path))


def test_the_binary_version_of_cifar(tmp_path):
    (tmp_path / "cifar-10-batches-bin").mkdir()
    message = error_of(Cifar10(data_dir=tmp_path))
    assert f"{tmp_path}/cifar-10-batches-bin/ is of another version, which is not read" in message.replace(
        "-bin is", "-bin/ is"
    )


def emnist(writers, folder, prefix="emnist-letters", raw="EMNIST/raw"):
    """The tiny MNIST as EMNIST's letters: labels from 1, rows and columns swapped, `test` for `t10k`."""
    expected = writers["mnist"](folder, raw=raw, writers=False)
    for path in sorted((folder / raw).iterdir()):
        content = bytearray(gzip.decompress(path.read_bytes()))
        if "labels" in path.name:
            content[8:] = bytes(b + 1 for b in content[8:])
        else:
            x = np.frombuffer(bytes(content[16:]), np.uint8).reshape(-1, 16, 16)
            content[16:] = x.swapaxes(1, 2).tobytes()
        path.unlink()
        path.with_name(f"{prefix}-{path.name.replace('t10k', 'test')}").write_bytes(gzip.compress(content))
    return expected


def test_emnist(writers, tmp_path):
    expected = emnist(writers, tmp_path)
    options = {"data_dir": tmp_path, "folder": "EMNIST"}
    assert "set dataset.prefix to emnist-letters" in error_of(Mnist(**options))
    prefixed = {**options, "prefix": "emnist-letters"}
    assert "its labels are 1 .. 10: set dataset.first_label=1" in error_of(Mnist(**prefixed))
    data = Mnist(**prefixed, first_label=1, transpose=True).load()
    np.testing.assert_array_equal(data.train.x, expected.train_x)
    np.testing.assert_array_equal(data.test.y, expected.test_y)


def test_a_prefix_in_a_folder_of_the_users(writers, tmp_path):
    """No class of torchvision is called E_letters."""
    emnist(writers, tmp_path, prefix="mine", raw="E_letters/raw")
    message = error_of(Mnist(data_dir=tmp_path, folder="E_letters"))
    assert "set dataset.prefix to mine" in message
    assert "torchvision" not in message


def test_options_at_their_defaults_leave_the_config_as_it_was(tmp_path):
    assert set(Mnist(data_dir=tmp_path).model_dump()) == {"validation", "data_dir", "folder", "n_classes"}
    assert Mnist(data_dir=tmp_path, first_label=1).model_dump()["first_label"] == 1


def test_kaggles_names_with_dots(writers, tmp_path):
    expected = writers["mnist"](tmp_path, raw=".", suffix="", writers=False)
    for path in tmp_path.glob("*-idx*"):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    np.testing.assert_array_equal(Mnist(data_dir=tmp_path).load().test.x, expected.test_x)


def test_names_that_nobody_knows_are_listed(tmp_path):
    (tmp_path / "digits.csv").touch()
    assert f"in {tmp_path} there are digits.csv" in error_of(Mnist(data_dir=tmp_path))


@pytest.mark.parametrize("copy", ["gz", "xz"])
def test_a_compressed_copy_of_leafs_file_is_not_more_data(copy, writers, tmp_path):
    """40 training examples, with the copy too."""
    writers["femnist"](tmp_path)
    path = tmp_path / "train/all_data_0.json"
    compress = gzip.compress if copy == "gz" else lzma.compress
    path.with_name(f"{path.name}.{copy}").write_bytes(compress(path.read_bytes()))
    assert len(Femnist(data_dir=tmp_path).load().train) == 40


def test_a_user_read_twice_is_refused(writers, tmp_path):
    writers["femnist"](tmp_path)
    first, second = tmp_path / "train/all_data_0.json", tmp_path / "train/all_data_9.json"
    shutil.copy(first, second)
    assert f"user c stand in {first} and again in {second}" in error_of(Femnist(data_dir=tmp_path))
    second.unlink()
    content = json.loads(first.read_text())
    content["users"].append("a")
    content["num_samples"].append(6)
    first.write_text(json.dumps(content))
    assert f"all 6 examples of user a stand twice in {first}" in error_of(Femnist(data_dir=tmp_path))


@pytest.mark.parametrize("change", [lambda n: n.__setitem__(1, 7), lambda n: n.pop()])
def test_num_samples_is_compared(change, writers, tmp_path):
    writers["femnist"](tmp_path)
    path = tmp_path / "train/all_data_0.json"
    content = json.loads(path.read_text())
    change(content["num_samples"])
    path.write_text(json.dumps(content))
    assert "'num_samples'" in error_of(Femnist(data_dir=tmp_path))


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """An .xz file worth keeping, and a cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(_files, "_WORTH_KEEPING", 0)
    path = tmp_path / "batch.xz"
    path.write_bytes(lzma.compress(b"one" * 100))
    return path


def test_a_large_file_is_decompressed_once(packed, monkeypatch):
    assert _files.read(packed, "nowhere") == b"one" * 100
    monkeypatch.setattr(_files.lzma, "decompress", lambda raw: pytest.fail("decompressed again"))
    assert _files.read(packed, "nowhere") == b"one" * 100


def test_another_file_and_a_damaged_copy_are_read_anew(packed):
    """The copy of an older file goes away with it."""
    _files.read(packed, "nowhere")
    (copy,) = _kept.folder().iterdir()
    copy.write_bytes(copy.read_bytes()[:-1] + b"?")
    assert _files.read(packed, "nowhere") == b"one" * 100
    packed.write_bytes(lzma.compress(b"two" * 100))
    os.utime(packed, ns=(0, 12345))
    assert _files.read(packed, "nowhere") == b"two" * 100
    assert len(list(_kept.folder().iterdir())) == 1


def test_without_a_place_for_copies_the_file_is_read(packed, tmp_path):
    (tmp_path / "cache").write_text("no folder")
    assert _files.read(packed, "nowhere") == b"one" * 100
