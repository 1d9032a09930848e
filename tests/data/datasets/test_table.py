"""Tables: features, what is learnt from the training rows, advice on values that are no numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import Data
from distreal_sim.data.datasets.table import Table
from distreal_sim.data.loaded import load_checked

HEAD = "age,colour,income,day,who,kind\n"


def loaded(folder: Path, train: str, test: str = "", head: str = HEAD, **options: Any) -> Data:
    """A table of these lines, and test lines in a file of their own."""
    (folder / "train.csv").write_text(head + train)
    if test:
        (folder / "test.csv").write_text(head + test)
        options["test_file"] = folder / "test.csv"
    return load_checked(Table(file=folder / "train.csv", **{"label": "kind"} | options))


ROWS = "1,red,10,2,ann,no\n3,blue,30,4,bob,yes\n"
TEST = "5,red,50,6,ann,no\n"


def test_scaling_is_that_of_the_training_rows(tmp_path: Path) -> None:
    """age 1, 3: mean 2, deviation 1, so 5 is 3; range 1 .. 3, so 5 is 2."""
    for scale, train, test in (("standard", [-1, 1], 3), ("minmax", [0, 1], 2), ("none", [1, 3], 5)):
        data = loaded(tmp_path, ROWS, TEST, features=["age"], scale=scale)
        assert data.train.x[:, 0].tolist() == train
        assert data.test.x[:, 0].tolist() == [test]


def test_values_that_float32_cannot_tell_apart_are_scaled_before(tmp_path: Path) -> None:
    """Seconds since 1970 that differ by 2: float32 has steps of 128 there; scaled they are -1 and 1."""
    rows = "1700000000,r,1,1,a,no\n1700000002,r,1,1,a,yes\n"
    data = loaded(tmp_path, rows, rows, features=["age"])
    assert data.train.x[:, 0].tolist() == [-1, 1]


def test_which_columns_are_features(tmp_path: Path) -> None:
    """All but label, writer and those to drop: age, blue, red, income."""
    data = loaded(tmp_path, ROWS, TEST, drop=["day"], writer="who", scale="none")
    assert data.train.x.tolist() == [[1, 0, 1, 10], [3, 1, 0, 30]]
    assert data.test.x.tolist() == [[5, 0, 1, 50]]
    assert data.writers is not None
    assert data.writers.tolist() == [0, 1]


def test_numbers_that_are_categories_and_booleans_that_are_numbers(tmp_path: Path) -> None:
    """day 2 and 4, 6 is unknown; flag true and false are 1 and 0."""
    rows = "true,red,10,2,ann,no\nfalse,blue,30,4,bob,yes\n"
    data = loaded(
        tmp_path, rows, "true,red,1,6,ann,no\n", categorical=["day"], features=["age", "day"], scale="none"
    )
    assert data.train.x.tolist() == [[1, 1, 0], [0, 0, 1]]
    assert data.test.x.tolist() == [[1, 0, 0]]


def test_a_missing_number_is_refused_or_the_training_mean(tmp_path: Path) -> None:
    """income 10, -, 30: mean 20, which is 0 once it is scaled; the second row is line 3."""
    rows = "1,red,10,2,ann,no\n2,red,,2,ann,no\n3,blue,30,4,bob,yes\n"
    data = loaded(tmp_path, rows, "5,red,,6,ann,no\n", features=["income"], missing="mean")
    assert data.train.x[:, 0].tolist() == [-1, 0, 1]
    assert data.test.x[:, 0].tolist() == [0]
    with pytest.raises(
        InputError, match=r"train.csv: column 'income' has no value in line 3; .*dataset.missing"
    ):
        loaded(tmp_path, rows, TEST)
    with pytest.raises(InputError, match=r"test.csv: column 'income' has no value in line 2"):
        loaded(tmp_path, ROWS, "5,red,,6,ann,no\n")


def test_rows_held_out_are_drawn_once_and_name_their_line(tmp_path: Path) -> None:
    """0.25 of 8 rows: 2. The bad value is in line 8 (row 6), whichever split it falls into."""
    rows = "".join(f"{i},red,{i},2,w{i},{'no' if i % 2 else 'yes'}\n" for i in range(8))
    data = loaded(tmp_path, rows, features=["age"], scale="none", test_share=0.25)
    assert (len(data.train), len(data.test)) == (6, 2)
    assert sorted([*data.train.x[:, 0], *data.test.x[:, 0]]) == list(range(8))
    again = loaded(tmp_path, rows, features=["age"], scale="none", test_share=0.25)
    np.testing.assert_array_equal(data.test.x, again.test.x)
    bad = rows.replace("6,red,6,", "6,red,inf,")
    with pytest.raises(InputError, match="column 'income' has an infinite value in line 8"):
        loaded(tmp_path, bad)


def test_parquet_gives_what_csv_gives(tmp_path: Path) -> None:
    data = loaded(tmp_path, ROWS, TEST)
    for name in ("train", "test"):
        pd.read_csv(tmp_path / f"{name}.csv").to_parquet(tmp_path / f"{name}.parquet")
    files = {"file": tmp_path / "train.parquet", "test_file": tmp_path / "test.parquet"}
    same = Table(**files, label_column="kind").load()
    np.testing.assert_array_equal(data.train.x, same.train.x)
    np.testing.assert_array_equal(data.test.y, same.test.y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "knid"}, r"no column 'knid' \(dataset.label_column\); did you mean 'kind'\?"),
        ({"features": ["agee"]}, r"no column 'agee' \(dataset.features\); did you mean 'age'\?"),
        ({"writer": "whom"}, r"no column 'whom' \(dataset.writer_column\); did you mean 'who'\?"),
        ({"categorical": ["age"], "max_categories": 2}, "'age' has 3 categories .* dataset.drop"),
        ({"features": ["age", "day"]}, "column 'day' has no value in any training row"),
        ({"label": "income", "drop": ["day"]}, "column 'income' has no label in line 3"),
    ],
)
def test_mistakes_name_the_file_and_the_key(tmp_path: Path, options: dict, message: str) -> None:
    rows = "1,red,10,,ann,no\n2,red,,,ann,no\n3,blue,30,,bob,yes\n"
    with pytest.raises(InputError, match=message) as caught:
        loaded(tmp_path, rows, TEST, **{"missing": "mean"} | options)
    assert str(tmp_path / "train.csv") in str(caught.value)


def test_words_among_numbers_are_named_where_the_column_should_be_numbers(tmp_path: Path) -> None:
    """`?` in the test file only; in the training file it would make the column one of words."""
    with pytest.raises(InputError, match=r"test.csv: column 'age' holds '\?' in line 2, which is no number"):
        loaded(tmp_path, ROWS, "?,red,50,6,ann,no\n")


def test_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no rows below its line of names"):
        loaded(tmp_path, "")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"a.parquet cannot be read as parquet"):
        Table(file=tmp_path / "a.parquet", label="kind").load()
    with pytest.raises(InputError, match=r"b.csv is not there"):
        Table(file=tmp_path / "b.csv", label="kind").load()
