"""A table of the user's own: a CSV or parquet file with a row for each example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import AliasChoices, Field

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import ConfigPath, Data, Dataset, Examples
from distreal_sim.data.datasets._classes import codes_of, numbered
from distreal_sim.data.datasets._columns import Missing, Scale, fit, is_words, words
from distreal_sim.data.datasets._held_out import test_rows
from distreal_sim.data.datasets._table_files import check_columns, read_table, row_of


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
    label_column: str = Field(
        validation_alias=AliasChoices("label_column", "label"), description="column of the label, or `label`"
    )
    writer_column: str | None = Field(
        None,
        validation_alias=AliasChoices("writer_column", "writer"),
        description="column of who produced a row, for partition by_writer, or `writer`",
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
        ys = [_labels(t[self.label_column], path) for t, path in self._with_paths(train, test)]
        train_y, test_y, n_classes = numbered(
            ys[0], ys[1], f"data file {self.file}, column '{self.label_column}'"
        )
        n_features = xs[0].shape[1]
        return Data(
            Examples(xs[0], train_y),
            Examples(xs[1], test_y),
            n_classes,
            mean=np.zeros(n_features, np.float32),  # the features are scaled already, in float64
            std=np.ones(n_features, np.float32),
            writers=None if self.writer_column is None else codes_of(words(train[self.writer_column])),
        )

    def _splits(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Training and test rows; their index counts the rows of their file."""
        table = read_table(self.file)
        wanted = [self.label_column, *([self.writer_column] if self.writer_column else [])]
        for key, names in (
            ("label_column", [self.label_column]),
            ("writer_column", wanted[1:]),
            ("features", self.features or []),
            ("drop", self.drop),
            ("categorical", self.categorical),
        ):
            check_columns(table, names, key, self.file)
        if self.test_file is None:
            chosen = test_rows(len(table), self.test_share, f"data file {self.file}")
            return table[~chosen], table[chosen]
        test = read_table(self.test_file)
        check_columns(test, [self.label_column, *self._features(table)], "file", self.test_file)
        return table, test

    def _with_paths(self, train: pd.DataFrame, test: pd.DataFrame) -> list[tuple[pd.DataFrame, Path]]:
        return [(train, self.file), (test, self.test_file or self.file)]

    def _features(self, table: pd.DataFrame) -> list[str]:
        others = {self.label_column, self.writer_column, *self.drop}
        names = [c for c in table.columns if c not in others] if self.features is None else self.features
        if not names:
            raise InputError(f"data file {self.file} has no column beside the label that could be a feature")
        return names


def _labels(column: pd.Series, path: Path) -> np.ndarray:
    missing = column.isna().to_numpy()
    if missing.any():
        at = int(np.argmax(missing))
        raise InputError(
            f"data file {path}: column '{column.name}' has no label in {row_of(path, column.index[at])} "
            f"({missing.sum():,} rows without)"
        )
    return words(column) if is_words(column) else column.to_numpy()
