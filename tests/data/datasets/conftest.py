"""Tiny files in each data set's real format, filled with real digits, and what loading them must give."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits


@dataclass
class Expected:
    options: dict[str, Any]
    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    n_classes: int
    writers: np.ndarray | None = None


def real_digits(side: int, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """60 digits (60, channels, side, side), uint8, enlarged, padded; channel c is 15 - c times as bright."""
    bunch = load_digits()
    scale = side // 8
    pad = (side - 8 * scale) // 2
    grey = np.kron(bunch.images[:60].astype(np.uint8), np.ones((scale, scale), np.uint8))
    grey = np.pad(grey, ((0, 0), (pad, pad), (pad, pad)))
    return np.stack([grey * (15 - c) for c in range(channels)], axis=1), bunch.target[:60].astype(np.int64)


def idx_bytes(array: np.ndarray) -> bytes:
    """The idx format as its description says, written independently of the reader."""
    code = {"uint8": 8, "int32": 12}[array.dtype.name]
    header = bytes([0, 0, code, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = idx_bytes(array)
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


def write_mnist(folder: Path, raw: str = "MNIST/raw", suffix: str = ".gz", writers: bool = True) -> Expected:
    x, y = real_digits(16)
    for part, rows in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
        write_idx(folder / raw / f"{part}-images-idx3-ubyte{suffix}", x[rows, 0])
        write_idx(folder / raw / f"{part}-labels-idx1-ubyte{suffix}", y[rows].astype(np.uint8))
    who = 1000 + np.arange(40) // 8
    if writers:
        table = np.zeros((50, 8), np.int32)
        table[:40, 0], table[:40, 2] = y[:40], who
        write_idx(folder / "QMNIST/raw" / f"qmnist-train-labels-idx2-int{suffix}", table)
    options = {"data_dir": folder}
    return Expected(options, x[:40], y[:40], x[40:], y[40:], 10, who if writers else None)


def write_pickle(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not protocol 2 like the real files: Python 3 would add a call of _codecs.encode, which they have not.
    path.write_bytes(pickle.dumps(value, protocol=4))


def cifar_batch(x: np.ndarray, **labels: np.ndarray) -> dict[str, object]:
    return {"data": x.reshape(len(x), 3072), **{key: y.tolist() for key, y in labels.items()}}


def write_cifar10(folder: Path) -> Expected:
    x, y = real_digits(32, channels=3)
    root = folder / "cifar-10-batches-py"
    for i in range(5):
        rows = slice(8 * i, 8 * i + 8)
        write_pickle(root / f"data_batch_{i + 1}", cifar_batch(x[rows], labels=y[rows]))
    write_pickle(root / "test_batch", cifar_batch(x[40:], labels=y[40:]))
    return Expected({"data_dir": folder}, x[:40], y[:40], x[40:], y[40:], 10)


def write_cifar100(folder: Path) -> Expected:
    x, y = real_digits(32, channels=3)
    fine = 10 * y + 9
    for name, rows in (("train", slice(0, 40)), ("test", slice(40, 60))):
        batch = cifar_batch(x[rows], fine_labels=fine[rows], coarse_labels=y[rows])
        write_pickle(folder / "cifar-100-python" / name, batch)
    return Expected({"data_dir": folder}, x[:40], fine[:40], x[40:], fine[40:], 100)


def leaf(users: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, object]:
    return {
        "users": list(users),
        "num_samples": [len(y) for _, y in users.values()],
        "user_data": {
            user: {"x": (x.reshape(len(x), 784) / 255).tolist(), "y": y.tolist()}
            for user, (x, y) in users.items()
        },
    }


def write_femnist(folder: Path) -> Expected:
    """Two training files (users c, a and b) and two test files, as LEAF cuts them."""
    x, y = real_digits(28)
    y = y + 52
    at = {"c": slice(0, 20), "a": slice(20, 26), "b": slice(26, 40)}
    files = {"train/all_data_0.json": ["c", "a"], "train/all_data_1.json": ["b"]}
    for name, users in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(leaf({u: (x[at[u]], y[at[u]]) for u in users})))
    (folder / "test").mkdir()
    (folder / "test/all_data_0.json").write_text(json.dumps(leaf({"a": (x[40:45], y[40:45])})))
    (folder / "test/all_data_1.json").write_text(json.dumps(leaf({"z": (x[45:], y[45:])})))
    writers = np.array([2] * 20 + [0] * 6 + [1] * 14)
    return Expected({"data_dir": folder}, x[:40], y[:40], x[40:], y[40:], 62, writers)


def write_hf(folder: Path) -> Expected:
    """A folder of parquet files with an image, a class label and a writer."""
    import datasets

    x, y = real_digits(16)
    writers = np.arange(40) % 4
    features = datasets.Features(
        {
            "picture": datasets.Image(),
            "digit": datasets.ClassLabel(num_classes=10),
            "writer": datasets.Value("string"),
        }
    )
    for name, rows in (("train", slice(0, 40)), ("test", slice(40, 60))):
        n = len(y[rows])
        columns = {"picture": list(x[rows, 0]), "digit": y[rows], "writer": [f"w{i % 4}" for i in range(n)]}
        table = datasets.Dataset.from_dict(columns, features=features)
        table.to_parquet(str(folder / f"{name}-00000-of-00001.parquet"))
    options = {"data_dir": folder, "writer_column": "writer"}
    return Expected(options, x[:40], y[:40], x[40:], y[40:], 10, writers)


def write_emnist(folder: Path) -> Expected:
    """Stored column by column, labels of letters from 1 on."""
    x, y = real_digits(16)
    for part, rows in (("train", slice(0, 40)), ("test", slice(40, 60))):
        start = folder / "EMNIST/raw" / f"emnist-letters-{part}"
        write_idx(start.with_name(f"{start.name}-images-idx3-ubyte.gz"), x[rows, 0].transpose(0, 2, 1).copy())
        write_idx(start.with_name(f"{start.name}-labels-idx1-ubyte.gz"), (y[rows] + 17).astype(np.uint8))
    y = y + 16
    options = {"data_dir": folder, "split": "letters"}
    return Expected(options, x[:40], y[:40], x[40:], y[40:], 26)


def write_pfllib(folder: Path) -> Expected:
    """Clients 0, 2 and 10, of which 10 comes last; float32 images as PFLlib stores them."""
    x, y = real_digits(16)
    x = x.astype(np.float32) / 255
    at = {0: slice(0, 20), 2: slice(20, 26), 10: slice(26, 40)}
    tests = {0: slice(40, 45), 10: slice(45, 60)}
    for part, clients in (("train", at), ("test", tests)):
        (folder / part).mkdir(parents=True)
        for client, rows in clients.items():
            np.savez_compressed(folder / part / f"{client}.npz", data={"x": x[rows], "y": y[rows]})
    (folder / "config.json").write_text(json.dumps({"num_clients": 3, "num_classes": 12}))
    writers = np.array([0] * 20 + [2] * 6 + [10] * 14)
    return Expected({"data_dir": folder}, x[:40], y[:40], x[40:], y[40:], 12, writers)


def write_arrays(folder: Path) -> Expected:
    """Images with the channel last, labels that are words, writers that are words."""
    x, y = real_digits(16)
    words = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])[y]
    folder.mkdir(exist_ok=True)
    np.savez_compressed(
        folder / "mine.npz",
        x_train=x[:40].transpose(0, 2, 3, 1),
        y_train=words[:40],
        x_test=x[40:].transpose(0, 2, 3, 1),
        y_test=words[40:],
        writers=np.array(["b", "a"] * 20),
    )
    # In alphabetical order: eight five four nine one seven six three two zero.
    number = np.array([9, 4, 8, 7, 2, 1, 6, 5, 0, 3])[y]
    options = {"file": folder / "mine.npz", "channels": "last"}
    return Expected(options, x[:40], number[:40], x[40:], number[40:], 10, np.array([1, 0] * 20))


def write_table(folder: Path) -> Expected:
    """Two files with a number, a word, a label and a writer; 2 and 4 have mean 3 and deviation 1."""
    (folder / "train.csv").write_text(
        "size,colour,kind,who\n2,red,cat,ann\n4,blue,dog,bob\n4,red,dog,ann\n2,blue,cat,bob\n"
    )
    (folder / "test.csv").write_text("size,colour,kind,who\n5,green,dog,eve\n1,red,cat,ann\n")
    train = np.array([[-1, 0, 1], [1, 1, 0], [1, 0, 1], [-1, 1, 0]], np.float32)
    test = np.array([[2, 0, 0], [-2, 0, 1]], np.float32)
    options = {
        "file": folder / "train.csv",
        "test_file": folder / "test.csv",
        "label_column": "kind",
        "writer_column": "who",
    }
    ys = np.array([0, 1, 1, 0]), np.array([1, 0])
    return Expected(options, train, ys[0], test, ys[1], 2, np.array([0, 1, 0, 1]))


def write_text(folder: Path) -> Expected:
    """Examples of 3 characters in LEAF's layout; the training text has a, b, c and d, the test text an e."""
    users = {
        "train": {"zoe": (["abc", "bcd"], ["d", "a"]), "ann": (["dab"], ["c"])},
        "test": {"ann": (["abc"], ["d"]), "eve": (["bea"], ["b"])},
    }
    for part, spoken in users.items():
        (folder / part).mkdir(parents=True)
        content = {
            "users": list(spoken),
            "num_samples": [len(x) for x, _ in spoken.values()],
            "user_data": {user: {"x": x, "y": y} for user, (x, y) in spoken.items()},
        }
        (folder / part / "all_data.json").write_text(json.dumps(content))
    train = np.array([[0, 1, 2], [1, 2, 3], [3, 0, 1]]), np.array([[1, 2, 3], [2, 3, 0], [0, 1, 2]])
    test = np.array([[0, 1, 2], [1, 4, 0]]), np.array([[1, 2, 3], [4, 0, 1]])
    return Expected({"data_dir": folder, "length": 3}, *train, *test, 5, np.array([1, 1, 0]))


class Pairs:
    """A map-style data set as torch's are: tensors (1, 8, 8) and class numbers of an .npz file."""

    def __init__(self, path: str, part: str) -> None:
        with np.load(path) as file:
            self.x, self.y = file[f"x_{part}"], file[f"y_{part}"]

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.tensor(self.x[index]), int(self.y[index])


def write_torch_dataset(folder: Path) -> Expected:
    """Twelve digits for training and six for testing, each part asked for by an option."""
    x, y = real_digits(8)
    np.savez(folder / "pairs.npz", x_train=x[:12], y_train=y[:12], x_test=x[12:18], y_test=y[12:18])
    options = {
        "train": f"{__name__}.Pairs",
        "options": {"path": str(folder / "pairs.npz"), "part": "train"},
        "test_options": {"part": "test"},
    }
    return Expected(options, x[:12], y[:12], x[12:18], y[12:18], 1 + int(y[:18].max()))


def write_tiny_imagenet(folder: Path) -> Expected:
    """Three classes, whose test images are listed in the order 5, 4, ..., 0; some images are grey."""
    x, y = real_digits(16, channels=3)
    y = y % 3
    names = ["n03", "n01", "n02"]
    number = np.array([2, 0, 1])  # of the classes in the order of their names
    top = folder / "tiny-imagenet-200"

    def write(path: Path, pixels: np.ndarray) -> np.ndarray:
        image = Image.fromarray(pixels.transpose(1, 2, 0))
        image = image.convert("L") if path.stem.endswith("3") else image
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, "JPEG")
        return np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1)

    written = [
        write(top / f"train/{names[c]}/images/{names[c]}_{i:02}.JPEG", x[i]) for i, c in enumerate(y[:12])
    ]
    order = np.argsort(number[y[:12]], kind="stable")
    tested = [write(top / f"val/images/val_{i}.JPEG", x[40 + i]) for i in range(6)]
    lines = [f"val_{i}.JPEG\t{names[y[40 + i]]}\t0\t0\t62\t62\n" for i in reversed(range(6))]
    (top / "val/val_annotations.txt").write_text("".join(lines))
    ys = number[y[:12]][order], number[y[40:46]][::-1].copy()
    options = {"data_dir": folder}
    return Expected(options, np.stack(written)[order], ys[0], np.stack(tested)[::-1].copy(), ys[1], 3)


def write_nothing(folder: Path) -> Expected:
    """digits needs no files: sorted by class, in file order, every fifth example is for testing."""
    bunch = load_digits()
    chosen = [i for c in range(10) for i in range(1797) if bunch.target[i] == c][::5]
    rest = [i for i in range(1797) if i not in set(chosen)]
    x, y = bunch.images.astype(np.uint8)[:, None], bunch.target.astype(np.int64)
    chosen.sort()
    return Expected({}, x[rest], y[rest], x[chosen], y[chosen], 10)


@pytest.fixture(scope="session")
def writers() -> dict[str, Callable[[Path], Expected]]:
    """For each bundled data set, the function that writes its tiny files into a folder."""
    return {
        "arrays": write_arrays,
        "cifar10": write_cifar10,
        "cifar100": write_cifar100,
        "digits": write_nothing,
        "emnist": write_emnist,
        "femnist": write_femnist,
        "hf": write_hf,
        "mnist": write_mnist,
        "pfllib": write_pfllib,
        "table": write_table,
        "text": write_text,
        "tiny_imagenet": write_tiny_imagenet,
        "torch_dataset": write_torch_dataset,
    }


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hugging Face's cache of converted files goes to a temporary folder, not to the user's home."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("hf")))
