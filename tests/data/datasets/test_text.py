"""Texts: windows by hand, speakers, alphabets, and the real Shakespeare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import Data
from distreal_sim.data.datasets._characters import LEAF
from distreal_sim.data.datasets.text import Text
from distreal_sim.data.loaded import load_checked

PLAY = """A play without a speaker here

ZOE:
abcabcabc

ANN:
abc

cba

ZOE:
c
"""
"""Zoe says abcabcabc, c: 12 characters with the ends of lines; Ann abc, cba: 8."""


def plain(folder: Path, text: str = PLAY, **options: Any) -> Data:
    (folder / "play.txt").write_text(text)
    return load_checked(Text(file=folder / "play.txt", **{"length": 2, "test_share": 0.5} | options))


def test_windows_of_each_speaker(tmp_path: Path) -> None:
    r"""Ann's halves are `abc\n` and `cba\n`, Zoe's `abcabc` and `abc\nc\n`; \n, a, b, c are 0 .. 3.

    A window takes 3 characters, and the next one begins 2 further.
    """
    data = plain(tmp_path)
    assert data.vocabulary == data.n_outputs == 4
    assert data.train.x.tolist() == [[1, 2], [1, 2], [3, 1]]
    assert data.train.y.tolist() == [[2, 3], [2, 3], [1, 2]]
    assert data.test.x.tolist() == [[3, 2], [1, 2], [3, 0]]
    assert data.test.y.tolist() == [[2, 1], [2, 3], [0, 3]]
    assert data.writers is not None
    assert data.test_writers is not None
    assert (data.writers.tolist(), data.test_writers.tolist()) == ([0, 1, 1], [0, 1, 1])


def test_stride_and_the_last_character_as_a_class(tmp_path: Path) -> None:
    r"""Every window of 3: 2 in `abc\n` (abc, bc\n) and 4 in `abcabc` (abc, bca, cab, abc)."""
    data = plain(tmp_path, stride=1, predict="last")
    assert data.targets == "class"
    assert data.train.x.tolist() == [[1, 2], [2, 3], [1, 2], [2, 3], [3, 1], [1, 2]]
    assert data.train.y.tolist() == [3, 0, 3, 1, 2, 3]


def test_a_speaker_with_too_little_text_is_left_out(tmp_path: Path) -> None:
    """Windows of 5 + 1 fit into Zoe's 6 characters and not into Ann's 4."""
    data = plain(tmp_path, length=5)
    assert data.writers is not None
    assert len(data.train) == len(data.test) == 1
    with pytest.raises(
        InputError, match=r"no speaker has more than 6 characters of training .* lower dataset.length"
    ):
        plain(tmp_path, length=6)


def test_a_character_of_the_test_text_only_is_the_last_token(tmp_path: Path) -> None:
    data = plain(tmp_path, PLAY.replace("cba", "cx&"))
    assert data.vocabulary == data.n_outputs == 5
    assert data.test.x[0].tolist() == [3, 4]
    assert data.test.y[0].tolist() == [4, 4]


def test_leafs_alphabet(tmp_path: Path) -> None:
    r"""80 characters: \n is 0, `}` is 79, `a` is 53 (11 signs, 10 digits, 4 signs, 26 letters, [ and ])."""
    assert len(set(LEAF)) == 80
    data = plain(tmp_path, alphabet="leaf")
    assert data.vocabulary == data.n_outputs == 80
    assert data.train.x[0].tolist() == [53, 54]
    with pytest.raises(
        InputError, match=r"speaker ANN has the character '\$', which is not one of LEAF's 80"
    ):
        plain(tmp_path, PLAY.replace("cba", "c$a"), alphabet="leaf")


def test_the_last_character_of_leafs_examples_is_its_y(writers, tmp_path: Path) -> None:
    writers["text"](tmp_path)
    data = Text(data_dir=tmp_path, length=3, predict="last").load()
    assert data.train.y.tolist() == [3, 0, 2]
    assert data.test_writers is not None
    assert data.test_writers.tolist() == [0, 2]  # zoe is 1; eve has no training text and comes last


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (["abcd"], ["a"], "texts of 3 characters, and as many 'y' of one, but x has 'abcd'"),
        (["abc"], ["ab"], "but y has 'ab'"),
        (["abc"], [], "but there are 1 x and 0 y"),
        ([[1, 2, 3]], ["a"], r"but x has \[1, 2, 3\]"),
    ],
)
def test_other_json_is_refused(writers, tmp_path: Path, x: list, y: list, message: str) -> None:
    writers["text"](tmp_path)
    path = tmp_path / "train/all_data.json"
    path.write_text(json.dumps({"users": ["u"], "user_data": {"u": {"x": x, "y": y}}}))
    with pytest.raises(InputError, match=message) as caught:
        Text(data_dir=tmp_path, length=3).load()
    assert str(path) in str(caught.value)


def test_other_plain_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"play.txt has no speakers: expected speeches between blank lines"):
        plain(tmp_path, "nobody\n\nspeaks\n")
    (tmp_path / "latin.txt").write_bytes(b"ZOE:\n\xe9\n")
    with pytest.raises(InputError, match=r"latin.txt is no UTF-8 text: byte 5"):
        Text(file=tmp_path / "latin.txt").load()


def test_real_shakespeare(real_data: Path) -> None:
    """309 names in its README, of which ten ghosts have no line; counted here line by line."""
    path = real_data / "shakespeare" / "input.txt"
    expected: dict[str, int] = {}
    speaker, new = "", True
    for line in path.read_text().splitlines():
        if not line:
            new = True
        elif new and line.endswith(":"):
            speaker, new = line[:-1], False
        else:
            expected[speaker], new = expected.get(speaker, 0) + len(line) + 1, False
    data = load_checked(Text(file=path))
    n_train = {name: n - round(0.2 * n) for name, n in expected.items()}
    n_windows = [(n - 1) // 80 for _, n in sorted(n_train.items())]
    assert data.writers is not None
    assert np.unique(data.writers, return_counts=True)[1].tolist() == [n for n in n_windows if n]
    assert len(expected) == 299
