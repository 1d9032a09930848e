"""Any image data set of the Hugging Face hub, or a local folder that the `datasets` library can read.

https://huggingface.co/docs/datasets. Needs the extra `hf`.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.errors import InputError, unknown
from distreal_sim.base.plugins import library
from distreal_sim.data.datasets import ConfigPath, Data, Dataset, Examples
from distreal_sim.data.datasets._hf_columns import decode_images, image_column, label_column
from distreal_sim.data.datasets._hf_splits import contents, layout, sliced
from distreal_sim.data.datasets._stats import mean_std


class Hf(Dataset):
    """Images of one size, with a class each, by hub id or from a folder of parquet files or of images.

    Decoded once, to uint8. The columns are found where there is no doubt. Classes that are strings are
    numbered in sorted order; False is 0 and True is 1. A slice of a split that is grouped by class, as a
    folder of images is, has its share of every class.
    """

    hub: str | None = Field(None, description="id on the hub, such as uoft-cs/cifar10")
    data_dir: ConfigPath | None = Field(None, description="a local folder instead of the hub")
    subset: str | None = Field(None, description="configuration of a data set that has several")
    train_split: str = Field("train", description="name of a split, or a slice such as train[:90%]")
    test_split: str = Field("test", description="name of a split, or a slice such as train[90%:]")
    image_column: str | None = Field(None, description="column of images; found where there is only one")
    label_column: str | None = Field(None, description="column of labels; found where there is only one")
    writer_column: str | None = Field(None, description="who produced an example, for partition by_writer")
    size: int | None = Field(None, ge=1, description="resize every image to size x size pixels")
    limit: int | None = Field(None, ge=1, description="largest number of examples of a split, evenly spaced")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.hub is None) == (self.data_dir is None):
            raise ValueError(
                "data set hf needs either hub (an id) or data_dir (a local folder), and not both"
            )
        return self

    def load(self) -> Data:
        """x: (N, C, H, W) uint8."""
        train, test = self._read(self.train_split), self._read(self.test_split)
        label = self._label_column(train, self.train_split)
        train_y, test_y, n_classes = self._classes(train, test, label)
        train_x, test_x = self._images(train, self.train_split), self._images(test, self.test_split)
        if train_x.shape[1:] != test_x.shape[1:]:
            raise InputError(
                f"{self._where(self.test_split)} has images (C, H, W) of {test_x.shape[1:]}, the training "
                f"images are {train_x.shape[1:]}; set dataset.size to resize all"
            )
        mean, std = mean_std(train_x)
        writers = self._writers(train)
        return Data(Examples(train_x, train_y), Examples(test_x, test_y), n_classes, mean, std, writers)

    def _read(self, split: str) -> Any:
        datasets = library("datasets", "load_dataset", "data set hf needs `datasets`")
        if self.data_dir is not None and not self.data_dir.is_dir():
            raise InputError(
                f"there is no data folder {self.data_dir}; put parquet files or images into it, or set "
                "dataset.hub to an id of the Hugging Face hub, such as uoft-cs/cifar10, in its place"
            )
        quiet = datasets.are_progress_bars_disabled()
        datasets.disable_progress_bars()

        def load(name: str) -> Any:
            return datasets.load_dataset(self.hub or str(self.data_dir), self.subset, split=name)

        try:
            if "[" in split:
                found = sliced(split, load, lambda whole: self._as_text(whole, split))
            else:
                found = load(split)
        except InputError:
            raise
        except Exception as error:  # network, name, format: the library raises many kinds
            there = contents(self.data_dir)
            raise InputError(f"{self._where(split)} cannot be loaded: {error}{there}") from error
        finally:
            if not quiet:
                datasets.enable_progress_bars()
        if not len(found):
            raise InputError(f"{self._where(split)} is empty")
        if self.limit is not None and self.limit < len(found):
            # Evenly spaced: files are often sorted by class, the first examples would be of one class.
            found = found.select(np.arange(self.limit) * len(found) // self.limit)
        return found

    def _label_column(self, split: Any, name: str) -> str:
        return label_column(split.features, self.label_column, self._where(name), layout(self.data_dir))

    def _as_text(self, split: Any, name: str) -> np.ndarray:
        return np.array([str(label) for label in split[self._label_column(split, name)][:]])

    def _images(self, split: Any, name: str) -> np.ndarray:
        import datasets

        column = image_column(split.features, self.image_column, self._where(name))
        images = split.select_columns([column]).cast_column(column, datasets.Image())
        return decode_images(images, column, self.size, self._where(name))

    def _classes(self, train: Any, test: Any, column: str) -> tuple[np.ndarray, np.ndarray, int]:
        """Labels of both splits as (N,) int64 in 0 .. n_classes - 1, and n_classes."""
        if column not in test.features:
            raise unknown(f"label column of {self._where(self.test_split)}", column, test.features)
        ys = [self._labels(train, column, self.train_split), self._labels(test, column, self.test_split)]
        kinds = {y.dtype.kind for y in ys}
        if kinds == {"U"}:
            names, codes = np.unique(np.concatenate(ys), return_inverse=True)
            return codes[: len(train)], codes[len(train) :], len(names)
        if kinds == {"b"}:
            return ys[0].astype(np.int64), ys[1].astype(np.int64), 2
        if not kinds <= {"i", "u"}:
            raise InputError(
                f"column {column} holds {ys[0].dtype} in {self._where(self.train_split)} and {ys[1].dtype} "
                f"in {self._where(self.test_split)}; labels are of one type"
            )
        n_classes = getattr(train.features[column], "num_classes", None) or int(ys[0].max()) + 1
        for y, split in zip(ys, (self.train_split, self.test_split), strict=True):
            wrong = y[(y < 0) | (y >= n_classes)]
            if len(wrong):
                raise InputError(f"{self._where(split)} has label {wrong[0]}, outside 0 .. {n_classes - 1}")
        return ys[0].astype(np.int64), ys[1].astype(np.int64), n_classes

    def _labels(self, split: Any, column: str, name: str) -> np.ndarray:
        values = list(split[column][:])
        missing = [i for i, value in enumerate(values) if value is None]
        if missing:
            at, how = f"example {missing[0]} of {self._where(name)}", layout(self.data_dir)
            raise InputError(f"{at} has no {column} ({len(missing):,} have none){how}")
        return np.asarray(values)

    def _writers(self, train: Any) -> np.ndarray | None:
        if self.writer_column is None:
            return None
        if self.writer_column not in train.features:
            where = self._where(self.train_split)
            raise unknown(f"writer column of {where}", self.writer_column, train.features)
        return np.unique(np.asarray(train[self.writer_column][:]), return_inverse=True)[1].astype(np.int64)

    def _where(self, split: str) -> str:
        return f"split {split} of {self.hub or self.data_dir}"
