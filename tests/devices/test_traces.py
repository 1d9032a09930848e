"""Traces from files: each rule by hand, each format, each mistake; and the real files."""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn import Given

from distreal_sim.base.errors import InputError
from distreal_sim.devices.capacity import Capacity
from distreal_sim.devices.profiles.product import Product
from distreal_sim.devices.profiles.trace import Trace
from distreal_sim.devices.rngs import ClientRngs

Piece = tuple[float, float]


def write(folder: Path, text: str, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def pieces(path: Path, client_id: int = 0, until_s: float = 30.0, **options: Any) -> list[Piece]:
    """(end, level) of the pieces of a client from 0 on."""
    line = Trace(file=path, **options).timeline(client_id, ClientRngs(1, "profile", client_id), 10.0)
    found, t_s = [], 0.0
    while t_s < until_s:
        level, t_s = line.piece(t_s)
        found.append((t_s, level))
    return found


TWO = """client,time_s,level
b,100,1.0
b,104,0.5
a,7,0.2
a,8,0.4
a,12,0.0
b,110,0.25
"""


def test_clock_by_hand(tmp_path: Path) -> None:
    """b: level 1 until 4, 0.5 until 10, 0.25 until 10 + the median of its steps 4 and 6, 5: a period of 15 s.
    a: 0.2 until 1, 0.4 until 5, 0 until 5 + (1 + 4) / 2 = 7.5. Client 0 follows b, which comes first in the
    file, client 1 a, client 2 b again. At 10 MAC/s b has done 40 + 30 + 12.5 = 82.5 MACs at 15, and 122.5 at
    19; a stops at 5 with 2 + 16 = 18 MACs, goes on at 7.5 and has done 20 at 8.5.
    """
    path = write(tmp_path, TWO)
    once = [(4.0, 1.0), (10.0, 0.5), (15.0, 0.25)]
    assert pieces(path) == pieces(path, 2) == [*once, *((end_s + 15, level) for end_s, level in once)]
    assert pieces(path, 1, 8.0) == [(1.0, 0.2), (5.0, 0.4), (7.5, 0.0), (8.5, 0.2)]
    profile, rngs = Trace(file=path), ClientRngs(1, "profile", 0)
    b, a = (Capacity(profile.timeline(client_id, rngs, 10.0), 10.0, 0.0) for client_id in (0, 1))
    assert b.finish(0.0, 82.5) == pytest.approx(15)
    assert b.finish(0.0, 122.5) == pytest.approx(19)
    assert a.finish(0.0, 18) == pytest.approx(5)
    assert a.finish(0.0, 20) == pytest.approx(8.5)
    assert profile.lower_bound() == 0


def test_ends(tmp_path: Path) -> None:
    """A period of 20 s is kept; without a loop the last level holds for ever, as does a single row's."""
    path = write(tmp_path, TWO)
    assert pieces(path, 0, 21.0, period_s=20) == [(4.0, 1.0), (10.0, 0.5), (20.0, 0.25), (24.0, 1.0)]
    assert pieces(path, 0, loop=False) == [(4.0, 1.0), (10.0, 0.5), (math.inf, 0.25)]
    one = write(tmp_path, "client,time_s,level\n0,5,0.7\n", "one.csv")
    assert pieces(one) == [(math.inf, 0.7)]


def test_common_clock(tmp_path: Path) -> None:
    """Time 0 is 7, a's first row. b begins at 93: until then it has its last level, 0.25, or its first if it
    does not loop. Its rows are at 93, 97 and 103; all begin again 5 s after 103, the longer of both ends.
    """
    path = write(tmp_path, TWO)
    expected = [(93.0, 0.25), (97.0, 1.0), (103.0, 0.5), (108.0, 0.25)]
    assert pieces(path, 0, 108.0, clock="common") == expected
    assert pieces(path, 1, 109.0, clock="common")[-2:] == [(108.0, 0.0), (109.0, 0.2)]
    assert pieces(path, 0, 90.0, clock="common", loop=False) == [(93.0, 1.0)]


def test_lines_between_rows(tmp_path: Path) -> None:
    """From 1 at 0 to 0 at 4 in pieces of 2 s: 0.75 and 0.25, the middles; back to 1 within the next 4 s."""
    path = write(tmp_path, "client,time_s,level\n0,0,1\n0,4,0\n")
    options: dict[str, Any] = {"interpolation": "linear", "step_s": 2}
    expected = [(2.0, 0.75), (4.0, 0.25), (6.0, 0.25), (8.0, 0.75)]
    assert pieces(path, 0, 8.0, **options) == expected
    assert pieces(path, 0, 8.0, loop=False, **options) == [(2.0, 0.75), (4.0, 0.25), (math.inf, 0.0)]


def test_gaps(tmp_path: Path) -> None:
    """Rows hold for at most 5 s: b's second one until 9, not 10; a's last until 7.5, as ever."""
    path = write(tmp_path, TWO)
    zero: dict[str, Any] = {"gaps": "zero", "largest_gap_s": 5}
    assert pieces(path, 0, 15.0, **zero) == [(4.0, 1.0), (9.0, 0.5), (10.0, 0.0), (15.0, 0.25)]
    assert pieces(path, 1, 7.5, **zero) == [(1.0, 0.2), (5.0, 0.4), (7.5, 0.0)]
    with pytest.raises(InputError, match=r"client b, t = 4 s: the next row comes 6 s later, more than larg"):
        pieces(path, gaps="error", largest_gap_s=5)


def test_duplicates_and_order(tmp_path: Path) -> None:
    """Levels 0.2 and 0.6 at time 5: the first, the last, or 0.4."""
    path = write(tmp_path, "client,time_s,level\n0,0,1\n0,5,0.2\n0,5,0.6\n")
    for how, level in {"first": 0.2, "last": 0.6, "mean": 0.4}.items():
        assert pieces(path, 0, 10.0, duplicates=how) == [(5.0, 1.0), (10.0, pytest.approx(level))]
    with pytest.raises(InputError, match=r"trace.csv: client 0, t = 5 s: is there more than once; set dupl"):
        pieces(path)
    mixed = write(tmp_path, "client,time_s,level\n0,5,0.2\n0,0,1\n", "mixed.csv")
    assert pieces(mixed, 0, 10.0, order="sort") == [(5.0, 1.0), (10.0, 0.2)]
    with pytest.raises(InputError, match=r"client 0, t = 0 s: comes after 5 s in the file; set order: sort"):
        pieces(mixed)


def test_who_follows_which_trace(tmp_path: Path) -> None:
    """Numbers are in order of size; both drawn ones are seen among 40 clients; a client without a trace of
    its number is an error before round 1.
    """
    path = write(tmp_path, "client,time_s,level\n10,0,0.1\n10,1,0.2\n2,0,0.7\n2,1,0.8\n")
    assert pieces(path, 0, 1.0) == [(1.0, 0.7)]
    assert pieces(path, 1, 1.0) == [(1.0, 0.1)]
    assert pieces(path, 2, 1.0, assign="by_number") == [(1.0, 0.7)]
    drawn = [pieces(path, i, 2.0, assign="random") for i in range(40)]
    assert {tuple(own) for own in drawn} == {((1.0, a), (2.0, b)) for a, b in [(0.1, 0.2), (0.7, 0.8)]}
    with pytest.raises(
        InputError, match=r"has no trace of client 0, and profile.assign is by_number \(it ha"
    ):
        Trace(file=path, assign="by_number").check_fleet(3)
    whole = Product(parts=[{"name": "trace", "file": str(path), "assign": "by_number"}])
    with pytest.raises(InputError, match="no trace of client 0"):
        whole.check_fleet(3)
    assert "2 traces of 2 to 2 pieces, level 0.1 to 0.8, mean of the pieces 0.45" in whole.notes()[0]


def test_begin_anywhere(tmp_path: Path) -> None:
    """b has a period of 15 s. The number 0.4 begins at 6 s of it, in the row of level 0.5, which goes on for
    4 s; after 0.25 for 5 s and 1 for 4 s come the 2 s of that row before its 6 s, and then the same again.
    """
    profile = Trace(file=write(tmp_path, TWO), begin="anywhere")
    line = profile.timeline(0, lambda purpose: Given([0.4]), 10.0)
    starts = [0, 4, 9, 13, 15, 19, 24, 28, 30]
    levels = [0.5, 0.25, 1, 0.5] * 2
    expected = [(pytest.approx(end_s), level) for end_s, level in zip(starts[1:], levels, strict=True)]
    assert [(line.piece(t_s)[1], line.piece(t_s)[0]) for t_s in starts[:-1]] == expected


def test_tables(tmp_path: Path) -> None:
    """Without clients a table is one trace, without times it has one level a client; columns may have other
    names, times may be dates; the same in parquet, and compressed.
    """
    alone = write(tmp_path, "time_s,level\n0,1\n5,0.5\n", "alone.csv")
    assert pieces(alone, 3, 10.0) == [(5.0, 1.0), (10.0, 0.5)]
    steady = write(tmp_path, "client,level\nb,1\na,0.5\n", "steady.csv")
    assert pieces(steady, 1) == [(math.inf, 0.5)]
    named = "who,at,speed,more\n0,2026-01-01 00:00:05,1,x\n0,2026-01-01 00:01:05,2,y\n"
    path = write(tmp_path, named, "named.csv")
    columns = {"client_column": "who", "time_column": "at", "level_column": "speed", "scale": 0.5}
    assert pieces(path, 0, 120.0, **columns) == [(60.0, 0.5), (120.0, 1.0)]
    pd.read_csv(path).to_parquet(tmp_path / "named.parquet")
    assert pieces(tmp_path / "named.parquet", 0, 120.0, **columns) == [(60.0, 0.5), (120.0, 1.0)]
    (tmp_path / "alone.csv.gz").write_bytes(gzip.compress(alone.read_bytes()))
    assert pieces(tmp_path / "alone.csv.gz", 3, 10.0) == [(5.0, 1.0), (10.0, 0.5)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "client,time,level\n0,0,1\n",
            r"has no column 'time_s'; did you mean 'time'\? \(it has: client, time",
        ),
        ("who,time_s,level\n0,0,1\n", r"has no column 'client' \(it has: who, time_s, level\)"),
        ("client,time_s,level\n0,0,-1\n", "client 0, t = 0 s: the level is -1; it must be at least 0"),
        ("client,time_s,level\n0,0,1\n0,1,\n", "row 2: the level must be a number, not nan"),
        ("client,time_s,level\n0,soon,1\n", "row 1: the time must be a number, not 'soon'"),
        ("client,time_s,level\n", "has no rows"),
    ],
)
def test_mistakes_in_a_table(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=message):
        pieces(path)


def test_mistakes_in_options(tmp_path: Path) -> None:
    for options, message in [
        ({"gaps": "zero"}, "go together with largest_gap_s"),
        ({"interpolation": "linear"}, "go together"),
        ({"begin": "anywhere", "loop": False}, "needs loop: true"),
        ({"period_s": 5, "loop": False}, "needs loop: true"),
    ]:
        with pytest.raises(ValueError, match=message):
            Trace(file=tmp_path / "no.csv", **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"no.csv is not there"):
        Trace(file=tmp_path / "no.csv").lower_bound()
    with pytest.raises(InputError, match=r"client b, t = 10 s: is not before period_s \(10\)"):
        pieces(write(tmp_path, TWO), period_s=10)


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path, "client,level\n0,1\n")
    assert Trace(file=path).lower_bound() == 1
    os.utime(write(tmp_path, "client,level\n0,2\n"), ns=(1, 1))
    assert Trace(file=path).lower_bound() == 2


def tar(folder: Path, machines: dict[str, str]) -> Path:
    path = folder / "day.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in machines.items():
            info = tarfile.TarInfo(f"20110303/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def test_planetlab(tmp_path: Path) -> None:
    """Use of 20 and 75 % leaves 0.8 and 0.25, each for 300 s."""
    path = tar(tmp_path, {"vm_1": "20\n75\n", "vm_2": "0\n100\n"})
    assert pieces(path, 0, 600.0, format="planetlab") == [(300.0, 0.8), (600.0, 0.25)]
    assert pieces(path, 1, 600.0, format="planetlab") == [(300.0, 1.0), (600.0, 0.0)]
    with pytest.raises(InputError, match=r"20110303/vm_3 must hold numbers from 0 to 100"):
        pieces(tar(tmp_path, {"vm_3": "101\n"}), format="planetlab")
    with pytest.raises(InputError, match=r"is no tar file of a PlanetLab day \([^:\n]*\); pack"):
        pieces(write(tmp_path, "20\n"), format="planetlab")


def test_phones(tmp_path: Path) -> None:
    """Scores 300, 100 and 200, of median 200; times 10 and 40 ms: speeds 0.1 and 0.025, of mean 0.0625."""
    scores = write(tmp_path, json.dumps({"A": 300, "B": 100, "C": 200}), "scores.json")
    assert [pieces(scores, i, format="phones")[0][1] for i in range(3)] == [1.5, 0.5, 1]
    texts = [{"Model": "A", "AI_Score": " 300 1,6"}, {"Model": "B", "AI_Score": "100"}, {"Model": "C"}]
    path = write(tmp_path, json.dumps(texts), "texts.json")
    assert [pieces(path, i, format="phones")[0][1] for i in range(3)] == [1.5, 0.5, 1.5]
    times = [{"Phone Model": "A", "Net Latency": t} for t in (10, 40, 0)]
    path = write(tmp_path, json.dumps(times), "times.json")
    speeds = [pieces(path, i, format="phones", level_column="Net Latency")[0][1] for i in range(2)]
    assert speeds == [pytest.approx(1.6), pytest.approx(0.4)]
    with pytest.raises(InputError, match=r"has no column 'Net latency'; did you mean 'Net Latency'"):
        pieces(path, format="phones", level_column="Net latency")


def test_noise(tmp_path: Path) -> None:
    """Results 3 and 1 of one machine, in any order of the file, and 2 of another: of mean 2."""
    rows = "value,runtime,starttime,VM_id\n1,30,2023-06-23 15:01:00.0,0\n3,30,2023-06-23 15:00:00.0,0\n"
    path = write(tmp_path, rows + "2,30,2023-06-23 15:00:30.0,1\n")
    assert pieces(path, 0, 120.0, format="noise") == [(60.0, 1.5), (120.0, 0.5)]
    assert pieces(path, 1, format="noise") == [(math.inf, 1.0)]


class Harmful:
    def __reduce__(self) -> Any:
        return print, ("called",)


def test_fedscale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Times of 20, 10 and 40 ms, of median 20: speeds 1, 2 and 0.5. A pickle that would call something is
    refused, and does not call it.
    """
    path = tmp_path / "devices.pkl"
    table = {i + 1: {"computation": t, "communication": 5000.0} for i, t in enumerate((20.0, 10.0, 40))}
    path.write_bytes(pickle.dumps(table))
    assert [pieces(path, i, format="fedscale")[0][1] for i in range(3)] == [1, 2, 0.5]
    for value, message in [
        ({1: {"computation": 0}}, r"device 1: 'computation' must be a number above 0, not 0"),
        ([1], "must be a pickle of"),
        ({1: Harmful()}, r"asks for builtins.print, only plain values are admitted"),
        ({1: {"computation": np.float64(2)}}, "only plain values are admitted"),
    ]:
        path.write_bytes(pickle.dumps(value))
        with pytest.raises(InputError, match=message):
            pieces(path, format="fedscale")
    assert capsys.readouterr().out == ""


def test_real_files(real_data: Path) -> None:
    """PlanetLab's first day has 1,052 machines of mean use 12.31 % and standard deviation 17.09 %
    (Beloglazov, Buyya. Optimal online deterministic algorithms and adaptive heuristics for energy and
    performance efficient dynamic consolidation of virtual machines. CCPE 2012). FLASH's table has 307
    phones, the fastest of 15 (76206 / 5063) times the median score; FLHetBench's 978 phones with a time, of
    which the middle 90 % take 56 to 557 ms, in the median 166; Azure's machines vary by less than 1 % in
    arithmetic, over 387 to 483 days.
    """
    traces = real_data / "traces"
    day = Trace(file=traces / "planetlab" / "20110303.tar.gz", format="planetlab")
    series = day._series()
    assert len(series) == 1052
    assert np.diff(series.first).tolist() == [288] * 1052
    assert series.period_s.tolist() == [86400] * 1052
    assert 1 - series.levels.mean() == pytest.approx(0.1231, abs=1e-4)
    assert series.levels.std() == pytest.approx(0.1709, abs=1e-4)
    assert (series.levels.min(), series.levels.max()) == (pytest.approx(0.01), 1)
    phones = Trace(file=traces / "flash-devices" / "benchmark2score.json", format="phones")._series()
    assert len(phones) == 307
    assert np.median(phones.levels) == 1
    listed = Trace(file=traces / "flash-devices" / "raw_ai_benchmark_list.json", format="phones")._series()
    assert len(listed) == 333
    assert listed.levels.max() == pytest.approx(76206 / 5063, rel=0.001)
    latency = Trace(
        file=traces / "flhetbench" / "training_latency.json.gz",
        format="phones",
        level_column="ResNet Latency",
    )._series()
    assert len(latency) == 997 - 19
    slow, fast = np.percentile(latency.levels, [5, 95])
    assert (slow, fast) == (pytest.approx(166 / 557, rel=0.1), pytest.approx(166 / 56, rel=0.1))
    name = "stressng-matrix_long_eastus_D8s_v5.csv.gz"
    noise = Trace(file=traces / "azure-vm-noise" / name, format="noise", duplicates="mean")._series()
    assert len(noise) == 3
    assert 380 * 86400 < noise.period_s.min() <= noise.period_s.max() < 490 * 86400
    for a, b in zip(noise.first[:-1], noise.first[1:], strict=True):
        assert noise.levels[a:b].std() < 0.01
