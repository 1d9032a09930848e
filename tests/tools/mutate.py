"""Do the tests see small errors? Puts one error at a time into a copy of the package, and runs related tests.

    .venv/bin/python tests/tools/mutate.py                 # all of mutants.py
    .venv/bin/python tests/tools/mutate.py --sample 5      # every n-th, five in all
    .venv/bin/python tests/tools/mutate.py --only growing  # those whose snippet or tests hold this text

The working tree stays as it is: the copy lies in a temporary folder and comes first in PYTHONPATH. Ends with
1 if a mutant survives or takes too long, if a snippet is not found just once, or if tests fail without one.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]

LIMIT_WALL_S = 600.0
"""For the related tests of one mutant, on a busy machine."""

THIRD_PARTY = ("torch", "pandas", "pyarrow", "pydantic", "scipy", "sklearn", "hypothesis", "flwr", "ray")
"""Imported once, before the processes of the mutants are forked: that takes longer than most of the tests."""


def places(mutant: Mutant, source: Path) -> list[Path]:
    """The files of a source tree that hold the snippet, one for each time that it occurs."""
    texts = ((path, path.read_text()) for path in sorted(source.rglob("*.py")))
    return [path for path, text in texts for _ in range(text.count(mutant.snippet))]


def faults(mutants: Sequence[Mutant], source: Path) -> list[str]:
    """A line for each mutant that cannot be applied, or whose tests are not there."""
    lines = []
    for mutant in mutants:
        n = len(places(mutant, source))
        if n != 1:
            lines.append(f"{n} times in src, not once: {mutant.snippet}")
        elif mutant.snippet == mutant.mutated:
            lines.append(f"changes nothing: {mutant.snippet}")
        missing = [test for test in mutant.tests if not (ROOT / "tests" / test.partition("::")[0]).exists()]
        lines += [f"no file tests/{test}: {mutant.snippet}" for test in missing]
    return lines


def run_tests(source: Path, tests: Sequence[str]) -> tuple[str, str]:
    """(passed, failed, broken or too slow; the first test that failed), with the package in `source`."""
    with tempfile.NamedTemporaryFile("r") as log:
        child = multiprocessing.get_context("fork").Process(target=_pytest, args=(source, tests, log.name))
        child.start()
        child.join(LIMIT_WALL_S)
        if child.is_alive():
            child.kill()
            child.join()
            return "too slow", ""
        text = log.read()
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
    if child.exitcode == 0:
        return "passed", ""
    if child.exitcode == 1 and found:
        return "failed", found[1]
    return "broken", text[-2000:]


def _pytest(source: Path, tests: Sequence[str], log: str) -> None:
    import pytest

    paths = [str(source), str(ROOT / "tests")]
    sys.path[:0] = paths
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.chdir(ROOT)
    for name in [name for name in sys.modules if name.partition(".")[0] == "distreal_sim"]:
        del sys.modules[name]  # where a test has forked this process
    spec = importlib.util.find_spec("distreal_sim")
    assert spec is not None
    assert Path(spec.origin or "/").is_relative_to(source)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-n", "0", "--tb=no", "-W", "ignore"]
    with open(log, "w") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        code = pytest.main([*options, *(f"tests/{test}" for test in tests)])
    os._exit(int(code))


def run_mutant(mutant: Mutant, source: Path) -> tuple[str, str]:
    """As `run_tests`, with the mutant in the copy, which is as before afterwards."""
    (path,) = places(mutant, source)
    original = path.read_text()
    try:
        _write(path, original.replace(mutant.snippet, mutant.mutated))
        return run_tests(source, mutant.tests)
    finally:
        _write(path, original)


def _write(path: Path, text: str) -> None:
    """Writes a module and forgets its bytecode, which is told by size and whole seconds."""
    path.write_text(text)
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def check(mutants: Sequence[Mutant]) -> int:
    """Runs all mutants and prints a line for each; returns the exit status."""
    wrong = faults(mutants, ROOT / "src")
    if wrong:
        print(*wrong, sep="\n")
        return 1
    for name in THIRD_PARTY:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        survivors = 0
        green: set[tuple[str, ...]] = set()
        for number, mutant in enumerate(mutants, 1):
            if mutant.tests not in green:
                outcome, where = run_tests(source, mutant.tests)
                if outcome != "passed":
                    print(f"without a mutant: {outcome} {where} in {' '.join(mutant.tests)}")
                    return 1
                green.add(mutant.tests)
            begin_wall_s = time.perf_counter()
            outcome, where = run_mutant(mutant, source)
            took = f"{time.perf_counter() - begin_wall_s:.0f} s"
            word = {"failed": "killed", "passed": "SURVIVED"}.get(outcome, outcome.upper())
            survivors += outcome != "failed"
            print(f"{number}/{len(mutants)} {word} ({took}) {where}\n    {mutant.snippet}", flush=True)
            print(f"    {mutant.mutated}", flush=True)
    print(f"{len(mutants) - survivors} of {len(mutants)} mutants killed")
    return 1 if survivors else 0


def main(arguments: Sequence[str]) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sample", type=int, metavar="N", help="so many of them, from all over the list")
    parser.add_argument("--only", default="", metavar="TEXT", help="those whose snippet or tests hold this")
    parser.add_argument("--dirty", action="store_true", help="also with uncommitted changes in src and tests")
    asked = parser.parse_args(arguments)
    status = ["git", "-C", str(ROOT), "status", "--porcelain", "src", "tests"]
    if not asked.dirty and subprocess.run(status, capture_output=True, text=True, check=True).stdout:
        print("src or tests have uncommitted changes; commit them first, or add --dirty")
        return 1
    chosen = [m for m in MUTANTS if asked.only in " ".join((m.snippet, *m.tests))]
    if asked.sample:
        chosen = chosen[:: max(1, len(chosen) // asked.sample)][: asked.sample]
    return check(chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
