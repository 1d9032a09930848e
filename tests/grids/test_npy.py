"""Arrays that lie in files of numpy's own format: the files are right, and copied only where they must be."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest

from distreal_sim.grids import npy


def filled(shape: tuple[int, ...], dtype: str = "f4") -> np.ndarray:
    with npy.allocating(lambda n: np.empty(n, np.uint8)):
        array = npy.empty(shape, np.dtype(dtype))
    array[...] = np.arange(array.size).reshape(shape)
    return array


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "u1", "?"])
@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (3, 4, 2)])
def test_the_file_around_an_array_is_what_numpy_saves(shape: tuple[int, ...], dtype: str) -> None:
    array = filled(shape, dtype)
    file = npy.encode(array)
    saved = io.BytesIO()
    np.save(saved, array)
    assert file.tobytes() == saved.getvalue()
    if array.size:
        assert np.shares_memory(file, array)
    back = npy.decode(file)
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert not back.flags.writeable


def test_the_file_changes_with_the_array() -> None:
    array = filled((5,))
    array *= 3
    assert npy.decode(npy.encode(array)).tolist() == [0, 3, 6, 9, 12]


CUT: list[Callable[[np.ndarray], np.ndarray]] = [
    lambda a: a[:2],
    lambda a: a[1:],
    lambda a: a[:, 1],
    lambda a: a.T,
    lambda a: a[::-1],
    lambda a: a.reshape(4, 3),
    lambda a: a.view(np.int32),
    lambda a: a + 1,
    lambda a: np.asfortranarray(a),
]


@pytest.mark.parametrize("cut", CUT)
def test_what_is_cut_from_an_array_gets_a_file_of_its_own(cut: Callable[[np.ndarray], np.ndarray]) -> None:
    array = filled((3, 4))
    part = cut(array)
    file = npy.encode(part)
    assert not np.shares_memory(file, array)
    loaded = np.load(io.BytesIO(file.tobytes()))
    assert loaded.dtype == part.dtype
    np.testing.assert_array_equal(loaded, part)


def test_numbers_that_look_like_a_header_are_no_header() -> None:
    """Bytes that spell another array's header, in front of the last ones: files hold what they should."""
    inner = npy.encode(np.arange(4, dtype=np.uint8))
    array = filled(inner.shape, "u1")
    array[...] = inner
    assert npy.decode(npy.encode(array[-4:])).tolist() == [0, 1, 2, 3]
    assert npy.decode(npy.encode(array)).tobytes() == inner.tobytes()


def test_files_lie_where_they_are_told_to() -> None:
    memory = np.zeros(1000, np.uint8)
    with npy.allocating(lambda n: memory[:n]):
        array = npy.empty((3,), np.dtype("f8"))
        array[...] = [1, 2, 3]
        assert np.shares_memory(npy.encode(np.ones(4)), memory)
        with npy.allocating(None):
            assert not np.shares_memory(npy.encode(np.ones(4)), memory)
    assert np.shares_memory(array, memory)
    assert npy.empty((3,), np.dtype("f8")).base is None
