"""Replies in shared memory: where they lie, how long, and what happens when there is no room."""

from __future__ import annotations

import dataclasses
import errno
import gc
import os
import weakref
from typing import Any

import numpy as np
import pytest

from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Facts, Update
from distreal_sim.grids.flower.messages import decode_arrays, decode_update, encode_arrays, encode_update
from distreal_sim.grids.npy import allocating
from distreal_sim.grids.ray.shared_memory import Arena, Packed, Sheet, Slot, open_annex

pytestmark = pytest.mark.skipif(
    not hasattr(os, "memfd_create"), reason="shared memory of this kind is Linux's"
)


def leave(arena: Arena, value: Any, slot: Slot) -> Packed:
    return sheet_of(arena, slot).pack(value)


def sheet_of(arena: Arena, slot: Slot) -> Sheet:
    annex = open_annex(arena.address)
    assert annex is not None
    sheet = annex.sheet(slot)
    assert sheet is not None
    return sheet


def take(arena: Arena, size: int = 10_000) -> Slot:
    slot = arena.take(size)
    assert slot is not None
    return slot


def test_a_reply_comes_back_as_read_only_views() -> None:
    arena = Arena(1)
    value = {"a": np.arange(1000.0), "b": np.zeros((3, 0), np.int8), "c": "text"}
    slot = take(arena)
    packed = leave(arena, value, slot)
    assert len(packed.head) < 500
    back = arena.unpack(packed, slot)
    assert back["c"] == "text"
    assert back["b"].shape == (3, 0)
    np.testing.assert_array_equal(back["a"], value["a"])
    with pytest.raises(ValueError, match="read-only"):
        back["a"][0] = 1.0


def test_a_slot_is_free_only_when_the_last_view_is_gone() -> None:
    arena = Arena(1)
    slot = take(arena)
    back = arena.unpack(leave(arena, [np.arange(1000), np.ones(10)], slot), slot)
    part = back[0][5:].reshape(5, -1).T
    del back
    gc.collect()
    assert arena.take(10_000) is None, "a view still needs it"
    del part
    assert arena.take(10_000) == slot


def test_two_replies_do_not_share_a_slot() -> None:
    arena = Arena(2)
    slots = [take(arena), take(arena)]
    packed = [leave(arena, np.full(1000, float(number)), slot) for number, slot in enumerate(slots)]
    back = [arena.unpack(p, slot) for p, slot in zip(packed, slots, strict=True)]
    assert [b[0] for b in back] == [0.0, 1.0]
    assert [b[-1] for b in back] == [0.0, 1.0]


def test_what_finds_no_room_travels_beside_it() -> None:
    arena = Arena(1)
    slot = take(arena, 5000)  # two pages, of 4096 bytes where tests run
    value = [np.ones(900), np.ones(2000), np.ones(50)]
    packed = leave(arena, value, slot)
    assert [piece[1] if isinstance(piece, tuple) else piece.nbytes for piece in packed.pieces] == [
        7200,
        16_000,
        400,
    ]
    assert isinstance(packed.pieces[1], np.ndarray)
    assert len(packed.head) < 500
    for got, wanted in zip(arena.unpack(packed, slot), value, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_arrays_encoded_into_a_slot_are_not_copied_again() -> None:
    arena = Arena(1)
    slot = take(arena)
    sheet = sheet_of(arena, slot)
    with allocating(sheet.allocate):
        record = encode_arrays({"w": np.arange(100.0, dtype=np.float32), "v": np.ones(3)})
    packed = sheet.pack(record)
    assert packed.pieces == [(0, 128 + 400), (576, 128 + 24)]  # each behind numpy's header, 64-byte aligned
    back = decode_arrays(arena.unpack(packed, slot))
    np.testing.assert_array_equal(back["w"], np.arange(100.0))
    np.testing.assert_array_equal(back["v"], np.ones(3))


def test_a_lost_worker_cannot_write_into_another_reply() -> None:
    arena = Arena(1)
    lost = take(arena)
    late = sheet_of(arena, lost)
    arena.drop(lost)
    slot = take(arena)
    back = arena.unpack(leave(arena, np.ones(1000), slot), slot)
    late.pack(np.zeros(1000))
    assert (back == 1).all()


def test_larger_replies_get_larger_slots() -> None:
    arena = Arena(1)
    small = take(arena, 1)
    arena.give_back(small)
    large = take(arena, 100_000)
    assert large.size >= 100_000
    value = np.arange(12_000.0)
    back = arena.unpack(leave(arena, value, large), large)
    np.testing.assert_array_equal(back, value)


def test_an_address_that_leads_elsewhere_is_no_arena() -> None:
    arena = Arena(1)
    address = arena.address
    assert address is not None
    assert open_annex(None) is None
    assert open_annex(dataclasses.replace(address, token=b"x" * 16)) is None
    assert open_annex(dataclasses.replace(address, fd=10_000)) is None
    assert open_annex(dataclasses.replace(address, pid=2**22 + 1)) is None
    reader, writer = os.pipe()
    os.write(writer, b"not for us, or it would block")
    assert open_annex(dataclasses.replace(address, fd=reader)) is None
    assert os.read(reader, 10) == b"not for us"
    os.close(reader)
    os.close(writer)
    assert open_annex(address) is not None


def test_no_memory_is_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    arena = Arena(1)
    slot = take(arena)
    annex = open_annex(arena.address)
    assert annex is not None

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    arena.give_back(slot)
    with monkeypatch.context() as patch:
        patch.setattr("distreal_sim.grids.ray.shared_memory.mmap.mmap", refuse)
        assert annex.sheet(slot) is None
        assert arena.take(100_000) is None
    assert take(arena, 100_000).size >= 100_000


def test_without_shared_memory_there_are_no_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    arena = Arena(1)
    assert arena.address is None
    assert arena.take(1) is None


def test_a_reply_is_free_without_the_garbage_collector() -> None:
    """No reference cycle holds a decoded update, so that its slot is there for the next one."""
    facts = Facts(1, "completed", 10, 1, 1, 5, 1.0, 1.0, 8, 8, 0.5)
    coverage = (np.ones((1, 3), bool), None)
    update = Update(facts, {"w": np.ones(100)}, Coverage(coverage, np.array([10]), np.array([1])))
    arena = Arena(1)
    slot = take(arena)
    gc.collect()
    gc.disable()
    try:
        content = arena.unpack(leave(arena, encode_update(update), slot), slot)
        back = decode_update(content)
        assert back.arrays["w"].sum() == 100
        del content, back
        assert arena.take(10_000) == slot
    finally:
        gc.enable()


def test_nothing_is_left_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    arena = Arena(1)
    slot = take(arena)
    back = arena.unpack(leave(arena, np.ones(100), slot), slot)
    gone = weakref.ref(arena)
    del arena, back
    gc.collect()
    assert gone() is None
    assert len(os.listdir("/proc/self/fd")) == before
