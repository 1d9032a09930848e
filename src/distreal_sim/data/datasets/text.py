"""Texts by speaker, whose next character is to be predicted.

S. Caldas et al. LEAF: A Benchmark for Federated Settings. 2018 (Shakespeare). The plain text of one file is
that of A. Karpathy's char-rnn, and of any play in its layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import ConfigPath, Data, Dataset, Examples
from distreal_sim.data.datasets._characters import LEAF, alphabet_of, ids, joined, speeches, windows
from distreal_sim.data.datasets._files import damaged, read
from distreal_sim.data.datasets._leaf import json_files, read_texts

_SOURCE = "LEAF (the repository TalwalkarLab/leaf), data/shakespeare, made by its preprocess.sh"

Spoken = list[tuple[str, np.ndarray]]
"""(speaker, (N, length + 1) tokens) of one split: inputs, and the character after each."""


class Text(Dataset):
    """LEAF's json files, or a plain text (UTF-8) cut by speaker: windows of `length` characters.

    Plain: speeches between blank lines, `SPEAKER:` on the first line of each. A speaker's last test_share of
    the characters are for testing; windows lie within one speaker's training or test text. Speakers with
    fewer characters than a window has are left out. A writer is a speaker, in sorted order.
    """

    file: ConfigPath | None = Field(None, examples=["input.txt"], description="a plain text, cut by speaker")
    data_dir: ConfigPath | None = Field(None, description="LEAF's data/shakespeare, or its data instead")
    length: int = Field(80, ge=1, description="characters of an example; LEAF's have 80")
    stride: int | None = Field(
        None,
        ge=1,
        examples=[40],
        description="characters from one window of a plain text to the next; left out: length",
    )
    test_share: float = Field(
        0.2, gt=0, lt=1, description="share held out of a plain text: each speaker's end"
    )
    predict: Literal["all", "last"] = Field(
        "all", description="y: the next character at every place, or a class, the one after the last"
    )
    alphabet: Literal["training", "leaf"] = Field(
        "training", description="characters of the training text, or LEAF's 80"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (self.data_dir is None):
            raise ValueError("data set text needs either file (a plain text) or data_dir (LEAF's json files)")
        return self

    def load(self) -> Data:
        """x: (N, length) int64; y: the same moved by one character, or (N,) int64.

        A test character that no training text has is one more token, the last; LEAF's alphabet must hold all.
        """
        alphabet, train, test = self._plain() if self.file is not None else self._leaf()
        names = sorted({name for name, _ in train})
        names += sorted({name for name, _ in test} - set(names))
        if not any(len(w) for _, w in train) or not any(len(w) for _, w in test):
            raise InputError(
                f"{self.file or self.data_dir}: no speaker has more than {self.length} characters of "
                "training text, or none of test text; lower dataset.length"
            )
        x, test_x = (joined([w for _, w in spoken], self.length + 1) for spoken in (train, test))
        by, test_by = (
            np.repeat([names.index(name) for name, _ in spoken], [len(w) for _, w in spoken])
            for spoken in (train, test)
        )
        n_tokens = max(len(alphabet), int(x.max()) + 1, int(test_x.max()) + 1)
        return Data(
            self._examples(x),
            self._examples(test_x),
            n_outputs=n_tokens,
            writers=by.astype(np.int64),
            test_writers=test_by.astype(np.int64),
            vocabulary=n_tokens,
        )

    def _examples(self, tokens: np.ndarray) -> Examples:
        y = tokens[:, 1:] if self.predict == "all" else tokens[:, -1]
        return Examples(np.ascontiguousarray(tokens[:, :-1]), np.ascontiguousarray(y))

    def _plain(self) -> tuple[str, Spoken, Spoken]:
        """The alphabet, and the windows of training and test text of each speaker."""
        assert self.file is not None, "asked by load"
        try:
            text = read(self.file, "where you have it from").decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(
                f"data file {self.file} is no UTF-8 text: byte {error.start} is wrong"
            ) from error
        spoken = speeches(text)
        if not spoken:
            raise InputError(
                f"data file {self.file} has no speakers: expected speeches between blank lines, each with a "
                "first line like `FIRST CITIZEN:`"
            )
        cuts = {name: len(part) - round(self.test_share * len(part)) for name, part in spoken.items()}
        texts = {name: (part[: cuts[name]], part[cuts[name] :]) for name, part in spoken.items()}
        alphabet = LEAF if self.alphabet == "leaf" else alphabet_of(train for train, _ in texts.values())
        train, test = (
            [
                (name, windows(self._ids(parts[i], alphabet, name), self.length, self.stride or self.length))
                for name, parts in sorted(texts.items())
            ]
            for i in (0, 1)
        )
        return alphabet, train, test

    def _leaf(self) -> tuple[str, Spoken, Spoken]:
        """As `_plain`, in the order of the files."""
        train, test = list(self._users("train")), list(self._users("test"))
        alphabet = LEAF if self.alphabet == "leaf" else alphabet_of(text for _, text in train)

        def spoken(users: list[tuple[str, str]]) -> Spoken:
            return [(u, self._ids(text, alphabet, u).reshape(-1, self.length + 1)) for u, text in users]

        return alphabet, spoken(train), spoken(test)

    def _users(self, part: str) -> Iterator[tuple[str, str]]:
        """(user, every x with its y) for each user of each file."""
        assert self.data_dir is not None, "asked by load"
        files = json_files(self.data_dir, part, "Shakespeare", _SOURCE)
        n_examples = 0
        for path in files:
            for user, x, y in read_texts(path, self.length, _SOURCE):
                n_examples += len(x)
                yield user, "".join(a + b for a, b in zip(x, y, strict=True))
        if not n_examples:
            raise damaged(files[0].parent, "expected at least one example in its json files", _SOURCE)

    def _ids(self, text: str, alphabet: str, who: str) -> np.ndarray:
        tokens = ids(text, alphabet)
        unknown = np.flatnonzero(tokens == len(alphabet))
        if len(unknown) and self.alphabet == "leaf":
            raise InputError(
                f"{self.file or self.data_dir}: speaker {who} has the character {text[unknown[0]]!r}, "
                "which is not one of LEAF's 80; set dataset.alphabet to training"
            )
        return tokens
