"""A table of the user's own: a CSV or parquet file with a row for each example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import AliasChoices, Field

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import ConfigPath, Data, Dataset, Examples
from distreal_sim.data.datasets._classes import writer_numbers
from distreal_sim.data.datasets._columns import Missing, Scale, fit, is_words, words
from distreal_sim.data.datasets._held_out import test_rows
from distreal_sim.data.datasets._table_files import check_columns, read_table, row_of
from distreal_sim.data.datasets._targets import Kind, as_targets

MOST_CLASSES = 100
"""Different whole numbers in a column from which on a user says whether they are classes."""


class Table(Dataset):
    """Features (n, F) float32 of all columns but the label, the writer and those to drop.

    Numbers are scaled with the mean and standard deviation (or the range) of the training rows; a column of
    words becomes a feature of 0 and 1 for each word of the training rows. Test rows are those of test_file
    or a random share of the file, the same for every seed.
    """

    file: ConfigPath = Field(
        examples=["adult.csv"], description="a CSV file (plain or compressed) or a parquet file"
    )
    test_file: ConfigPath | None = Field(
        None, examples=["test.csv"], description="test rows, in a file with the same columns"
    )
    test_share: float = Field(0.2, gt=0, lt=1, description="share of the rows held out, without a test_file")
    label_column: str | list[str] = Field(
        validation_alias=AliasChoices("label_column", "label"),
        examples=["income"],
        description="column of the label, or a list of them; short: `label`",
    )
    writer_column: str | None = Field(
        None,
        validation_alias=AliasChoices("writer_column", "writer"),
        description="column of who produced a row, for partition by_writer; short: `writer`",
    )
    features: list[str] | None = Field(
        None, examples=[["age", "hours"]], description="feature columns; all others if left out"
    )
    drop: list[str] = Field([], examples=[["id"]], description="columns that are no features")
    categorical: list[str] = Field(
        [], examples=[["zip"]], description="columns of numbers that are categories"
    )
    max_categories: int = Field(50, ge=2, description="a column of more words or categories is refused")
    scale: Scale = Field("standard", description="mean 0 and deviation 1; minmax: 0 .. 1; or none")
    missing: Missing = Field("refuse", description="a missing number is an error, or the training mean")

    targets: Kind = Field(
        "auto", description="what the label is; auto: floats are values, several columns marks, else a class"
    )
    scale_targets: bool = Field(
        False,
        description="scale values to mean 0 and deviation 1 of the training rows; metrics are in that unit",
    )

    def load(self) -> Data:
        """See the class. Raises InputError naming file, row and column of a value that is not allowed."""
        train, test = self._splits()
        columns = self._features(train)
        encoders = fit(
            train,
            columns,
            self.categorical,
            scale=self.scale,
            missing=self.missing,
            max_categories=self.max_categories,
            path=self.file,
        )
        xs = [
            np.concatenate([e.encode(t, path) for e in encoders], axis=1)
            for t, path in self._with_paths(train, test)
        ]
        train_y, test_y, n_outputs = self._targets(train, test)
        by = self.writer_column
        train_by, test_by = (words(t[by]) if by in t.columns else None for t in (train, test))
        return Data(
            Examples(xs[0], train_y),
            Examples(xs[1], test_y),
            n_outputs,
            None,  # the features are scaled already, in float64
            None,
            *writer_numbers(train_by, test_by, len(train), len(test), f"data file {self.file}"),
        )

    def _targets(self, train: pd.DataFrame, test: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, int]:
        """y of both splits, and n_outputs."""
        columns = self._labels
        where = f"data file {self.file}, column '{', '.join(columns)}'"
        ys = [
            np.stack([_label(t[name], path) for name in columns], axis=1)
            for t, path in self._with_paths(train, test)
        ]
        n_different = len(np.unique(ys[0]))
        if self.targets == "auto" and ys[0].dtype.kind in "iu" and n_different > MOST_CLASSES:
            raise InputError(
                f"{where} has {n_different:,} different whole numbers: set dataset.targets to values (for a "
                "regression) or to class"
            )
        train_y, test_y, n_outputs = as_targets(ys[0], ys[1], self.targets, where)
        if self.scale_targets and train_y.dtype == np.float32:
            values = ys[0].astype(np.float64)
            mean, std = values.mean(axis=0), values.std(axis=0)
            std = np.where(std > 1e-12 * np.abs(mean), std, 1.0)
            train_y, test_y = (((y.astype(np.float64) - mean) / std).astype(np.float32) for y in ys)
        return train_y, test_y, n_outputs

    @property
    def _labels(self) -> list[str]:
        return [self.label_column] if isinstance(self.label_column, str) else self.label_column

    def _splits(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Training and test rows; their index counts the rows of their file."""
        table = read_table(self.file)
        for key, names in (
            ("label_column", self._labels),
            ("writer_column", [self.writer_column] if self.writer_column else []),
            ("features", self.features or []),
            ("drop", self.drop),
            ("categorical", self.categorical),
        ):
            check_columns(table, names, key, self.file)
        if self.test_file is None:
            chosen = test_rows(len(table), self.test_share, f"data file {self.file}")
            return table[~chosen], table[chosen]
        test = read_table(self.test_file)
        check_columns(test, [*self._labels, *self._features(table)], "file", self.test_file)
        return table, test

    def _with_paths(self, train: pd.DataFrame, test: pd.DataFrame) -> list[tuple[pd.DataFrame, Path]]:
        return [(train, self.file), (test, self.test_file or self.file)]

    def _features(self, table: pd.DataFrame) -> list[str]:
        others = {*self._labels, self.writer_column, *self.drop}
        names = [c for c in table.columns if c not in others] if self.features is None else self.features
        if not names:
            raise InputError(f"data file {self.file} has no column beside the label that could be a feature")
        return names


def _label(column: pd.Series, path: Path) -> np.ndarray:
    missing = column.isna().to_numpy()
    if missing.any():
        at = int(np.argmax(missing))
        raise InputError(
            f"data file {path}: column '{column.name}' has no label in {row_of(path, column.index[at])} "
            f"({missing.sum():,} rows without)"
        )
    return words(column) if is_words(column) else column.to_numpy()
