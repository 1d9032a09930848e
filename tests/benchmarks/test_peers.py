"""benchmarks/peers: all contenders do the same work, and the tables say what was measured."""

from __future__ import annotations

import gzip
import lzma
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch import nn

from distreal_sim.base.errors import InputError
from distreal_sim.client.batches import batch_sizes
from distreal_sim.data.datasets._stats import mean_std

PEERS = Path(__file__).parent.parent.parent / "benchmarks" / "peers"
sys.path.insert(0, str(PEERS))
import measure  # noqa: E402
import on_ideal  # noqa: E402
import on_ours  # noqa: E402
import prepare  # noqa: E402
import report  # noqa: E402
import workloads  # noqa: E402

sys.path.remove(str(PEERS))

SHAPES = {"b": (3, 32, 32), "d": (1, 28, 28)}


@pytest.mark.parametrize("name", ["b", "d"])
def test_ours_and_theirs_are_one_network_and_take_the_same_batches(name: str, tmp_path: Path) -> None:
    """With the same weights the outputs are the same bits; the issue's parameter counts; equal batches."""
    workload = workloads.WORKLOADS[name]
    ours = on_ours.experiment(name, workload, tmp_path)
    theirs = workloads.network(name)
    mine = ours.model.build(SHAPES[name], 10)
    assert sum(p.numel() for p in theirs.parameters()) == {"b": 1_626_442, "d": 7850}[name]
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        a.data.copy_(b.data)
    x = torch.rand(2, *SHAPES[name])
    assert torch.equal(mine.train()(x), theirs.train()(x))  # in training too: no dropout on either side
    parts = torch.arange(workload.examples).split(workload.batch_size)
    assert batch_sizes(workload.examples, ours.local) == [len(part) for part in parts]
    assert (ours.rounds, ours.evaluation.every) == (workload.rounds, workload.every)


def test_data_are_unpacked_once(tmp_path: Path) -> None:
    """Plain, .gz and .xz files become plain ones; a missing one is named; what is there is not read again."""
    source = tmp_path / "given" / "MNIST" / "raw"
    source.mkdir(parents=True)
    for name, pack in zip(prepare.FILES["MNIST/raw"][:3], (bytes, gzip.compress, lzma.compress), strict=True):
        suffix = {bytes: "", gzip.compress: ".gz", lzma.compress: ".xz"}[pack]
        (source / (name + suffix)).write_bytes(pack(name.encode()))
    with pytest.raises(SystemExit, match="t10k-labels-idx1-ubyte not found"):
        prepare.plain_data(tmp_path / "given", tmp_path / "cache", ["d"])
    (source / "t10k-labels-idx1-ubyte").write_bytes(b"t10k-labels-idx1-ubyte")
    for _ in range(2):
        folder = prepare.plain_data(tmp_path / "given", tmp_path / "cache", ["d"])
        for path in (folder / "MNIST" / "raw").iterdir():
            assert path.read_bytes() == path.name.encode()
        assert len(list((folder / "MNIST" / "raw").iterdir())) == 4
        shutil.rmtree(source, ignore_errors=True)


@pytest.mark.parametrize("name", ["b", "d"])
def test_every_example_has_one_client(name: str) -> None:
    """1000 clients x 50 (60) examples: every training example of CIFAR-10 (MNIST) once."""
    dealt = workloads.deal(workloads.WORKLOADS[name])
    assert dealt.shape == {"b": (1000, 50), "d": (1000, 60)}[name]
    assert np.array_equal(np.sort(dealt.ravel()), np.arange(dealt.size))


def test_pixels_are_scaled_as_ours_are() -> None:
    """Mean and deviation per channel agree with the product's; scaled they are 0 and 1."""
    x = np.random.default_rng(0).integers(0, 200, (50, 3, 8, 8), dtype=np.uint8)
    y = np.zeros(50, np.int64)
    mean, std = workloads.Data(x, y, x, y).scaler()
    for own, their in zip(mean_std(x), (mean, std), strict=True):
        np.testing.assert_allclose(np.ravel(own) / 255, their.numpy().ravel(), rtol=1e-5)
    scaled = workloads.normalise(x, mean, std)
    torch.testing.assert_close(scaled.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_tests_are_means_over_all_examples() -> None:
    """A network that gives score 1 to class 0 of two: loss log(1 + e) - [y = 0]; batches of 2 and 1."""
    net = nn.Linear(1, 2)
    nn.init.zeros_(net.weight)
    net.bias.data = torch.tensor([1.0, 0.0])
    loss, accuracy = workloads.test(net, torch.zeros(3, 1), torch.tensor([0, 1, 0]), 2)
    assert loss == pytest.approx(float(np.log(1 + np.e)) - 2 / 3, rel=1e-6)
    assert accuracy == pytest.approx(2 / 3)


def test_the_ideal_is_fedavg() -> None:
    """One batch a client: the mean of the clients' models is a step along the mean of their gradients.

    Two clients of 10 examples in one batch each; the state must become state - lr (g1 + g2) / 2.
    """
    workload = workloads.Workload("", "mnist", 2, 2, 10, 10, 0.5, 1, 1)
    torch.manual_seed(0)
    x, y = torch.rand(20, 1, 28, 28), torch.arange(20) % 10
    net = workloads.network("d")
    flat = on_ideal.flatten(net)
    shared = {"x": x, "y": y, "state": flat.clone(), "sums": torch.empty(1, len(flat))}
    share = on_ideal.Share("d", workload, 0, shared)
    share.train(np.array([1, 0]), on_ideal.mp.Barrier(1))
    nn.functional.cross_entropy(net(x), y).backward()  # over all 20: the mean of the two gradients
    gradient = torch.cat([p.grad.reshape(-1) for p in net.parameters() if p.grad is not None])
    torch.testing.assert_close(shared["state"], flat - 0.5 * gradient, atol=1e-6, rtol=0)


def test_workload_e_is_a_valid_experiment(tmp_path: Path) -> None:
    """HeteroFL at three widths that are drawn again in every round."""
    ours = on_ours.experiment("e", workloads.WORKLOADS["e"], tmp_path)
    method = ours.method.model_dump()
    assert (method["assignment"], method["widths"]) == ("dynamic", (1.0, 0.5, 0.25))
    with pytest.raises(InputError, match="not found"):
        ours.dataset.load()


def run(turn: int, contender: str, seconds: float, workload: str = "b", median: float = 1.0) -> report.Run:
    return report.Run(turn, workload, contender, seconds, median, 10 * seconds, 2**30, 0.5, 0.25)


RUNS = [
    run(1, report.OURS, 0.8),
    run(1, "pfl", 1.0),
    run(2, report.OURS, 1.2),
    run(2, "pfl", 1.0),
    run(3, report.OURS, 0.9),
    run(1, "ideal", 1.6, median=float("nan")),
]


def test_ratios_are_those_of_one_turn() -> None:
    """pfl has turns 1 and 2: 0.8 / 1 and 1.2 / 1; the third turn has no pair."""
    assert report.ratios(RUNS, "b", "pfl") == [0.8, 1.2]
    assert report.ratios(RUNS, "b", "ideal") == [0.5]
    assert report.ratios(RUNS, "d", "pfl") == []


def test_the_table_has_medians_and_spreads() -> None:
    """Ours: median of 0.8, 1.2 and 0.9; 10 times that as the whole run; 1 GiB."""
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in report.table(RUNS, "b").splitlines()
    ]
    assert lines[0][1] == "round, s"
    assert lines[2] == [
        report.OURS,
        "0.90",
        "1.00 (1 to 1)",
        "9.0",
        "1.00 (1 to 1)",
        "1.00",
        "0.500",
        "0.250",
        "3",
    ]
    assert lines[3][:5] == ["pfl", "1.00", "1.00 (0.8 to 1.2)", "10.0", "1.00 (0.8 to 1.2)"]
    assert lines[4][2] == "0.50"
    assert report.table([run(1, report.OURS, 0.004)], "b").splitlines()[2].split("|")[2].strip() == "4.00"
    assert "ideal" not in report.median_rounds(RUNS, "b")  # it reports no rounds of its own


def test_records_survive_the_file(tmp_path: Path) -> None:
    """CSV and back."""
    report.write_csv(tmp_path / "peers.csv", RUNS[:5])
    assert report.read_csv(tmp_path / "peers.csv") == RUNS[:5]


def test_tables_go_between_the_marks(tmp_path: Path) -> None:
    """What stood there goes; what stands around stays; a second time changes nothing."""
    document = tmp_path / "a.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    for _ in range(2):
        report.insert(document, "new\n")
        assert document.read_text() == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"
    document.write_text("no marks")
    with pytest.raises(SystemExit, match=r"a\.md: needs one line"):
        report.insert(document, "new")


def test_memory_of_the_whole_tree_is_seen() -> None:
    """A child's child that has touched 64 MiB counts; it says when it has, and then waits."""
    inner = "b = bytearray(64 * 2**20); print(flush=True); input()"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{inner}'])"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with psutil.Popen([sys.executable, "-c", outer], **pipes) as process:
        process.stdout.readline()
        seen = measure.pss_of(process)
        process.communicate(b"\n")
    assert 64 * 2**20 < seen < 200 * 2**20


def test_the_line_and_the_time_of_a_command() -> None:
    """What is printed beside the line is passed over; half a second of sleep is part of the whole run."""
    code = 'import time; time.sleep(0.5); print("hello"); print(\'{"contender": "x", "loss": 1.5}\')'
    measured = measure.run([sys.executable, "-c", code], n_cores=1, timeout_s=500)
    assert measured.line == {"contender": "x", "loss": 1.5}
    assert measured.whole_wall_s > 0.5
    assert measured.pss_bytes > 0


def test_a_command_that_fails_or_hangs_ends() -> None:
    """No line, and the end of what it wrote to stderr; past its time it is killed."""
    failed = measure.run(
        [sys.executable, "-c", "raise SystemExit('no such thing')"], n_cores=1, timeout_s=100
    )
    assert (failed.line, failed.tail) == ({}, "no such thing\n")
    hung = measure.run([sys.executable, "-c", "import time; time.sleep(1000)"], n_cores=1, timeout_s=1)
    assert hung.line == {}
    assert 1 < hung.whole_wall_s < 500
