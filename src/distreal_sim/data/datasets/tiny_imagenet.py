"""Tiny ImageNet: 200 classes of ImageNet, 64 x 64 pixels.

Y. Le, X. Yang. Tiny ImageNet Visual Recognition Challenge. Stanford CS 231N, 2015. Its own test images have
no published labels, so those for validation are the test set here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import ConfigPath, Data, Dataset, Examples
from distreal_sim.data.datasets._files import damaged, find, names_in, read, what_lies_there
from distreal_sim.data.datasets._stats import mean_std

_SOURCE = "tiny-imagenet-200.zip of Stanford's course CS 231N"
_ENDINGS = (".jpeg", ".jpg", ".png")

Labelled = list[tuple[Path, int]]
"""Picture files and their classes."""


class TinyImagenet(Dataset):
    """train/CLASS/images/*.JPEG, val/images/*.JPEG and val/val_annotations.txt in data_dir or below it.

    The folder is data_dir/tiny-imagenet-200 or data_dir. Classes are numbered in the order of their names, as
    torchvision's ImageFolder does; images in val/CLASS, as many scripts sort them, are read as well. Grey
    images become RGB.
    """

    files_from: ClassVar[str] = _SOURCE

    data_dir: ConfigPath = Field(description="the unpacked archive, or the folder it is in")

    def load(self) -> Data:
        """x: (N, 3, 64, 64) uint8."""
        folders = [self.data_dir / "tiny-imagenet-200", self.data_dir]
        top = next((folder for folder in folders if (folder / "train").is_dir()), None)
        if top is None:
            raise InputError(
                f"data folder train not found in {' or '.join(map(str, folders))}; "
                f"{what_lies_there(folders)}get it from {_SOURCE}"
            )
        classes = [name.rstrip("/") for name in names_in(top / "train")]
        train, test = _by_class(top / "train", classes), _validation(top / "val", classes)
        for folder, found in ((top / "train", train), (top / "val", test)):
            if not found:
                raise damaged(folder, "expected a folder of images for each class", _SOURCE)
        examples = _examples(train)
        return Data(examples, _examples(test), len(classes), *mean_std(examples.x))


def _by_class(folder: Path, classes: Sequence[str]) -> Labelled:
    """The images of folder/CLASS/images or of folder/CLASS, class by class, in the order of their names."""
    found = []
    for label, name in enumerate(classes):
        inner = folder / name / "images"
        own = inner if inner.is_dir() else folder / name
        found += [(own / n, label) for n in names_in(own) if n.lower().endswith(_ENDINGS)]
    return found


def _validation(folder: Path, classes: Sequence[str]) -> Labelled:
    """The images that val_annotations.txt lists, in its order, or those sorted into folders."""
    if sorted_in := _by_class(folder, classes):
        return sorted_in
    path = find([folder], "val_annotations.txt", source=_SOURCE)
    lines = [line.split("\t") for line in read(path, _SOURCE).decode("utf-8", "replace").splitlines()]
    numbers = {name: label for label, name in enumerate(classes)}
    for number, words in enumerate(lines, 1):
        if len(words) < 2 or words[1] not in numbers:
            raise damaged(path, f"line {number} names no image and a class that train has", _SOURCE)
    listed = {words[0] for words in lines}
    if unlisted := [name for name in names_in(folder / "images") if name not in listed]:
        raise damaged(path, f"image {unlisted[0]} is not listed", _SOURCE)
    return [(folder / "images" / words[0], numbers[words[1]]) for words in lines]


def _examples(files: Labelled) -> Examples:
    from PIL import Image  # comes with matplotlib

    x: np.ndarray | None = None
    for place, (path, _) in enumerate(files):
        try:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
        except OSError as error:
            raise damaged(path, f"not a whole picture: {error}", _SOURCE) from error
        if x is None:
            x = np.empty((len(files), *pixels.shape), np.uint8)
        if pixels.shape != x.shape[1:]:
            size = "{2} x {1}".format(*pixels.shape)
            raise damaged(path, f"it has {size} pixels, the first image another size", _SOURCE)
        x[place] = pixels
    assert x is not None, "an empty split is refused before"
    return Examples(x, np.array([label for _, label in files], np.int64))
