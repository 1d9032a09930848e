"""Nothing is reported to anybody, and no file that is read can run code."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent / "src" / "distreal_sim"

REPORTING = ("FLWR_TELEMETRY_ENABLED", "RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")

ASK = """
import distreal_sim
from flwr.supercore import telemetry
from ray._common.usage import usage_lib

print(telemetry.FLWR_TELEMETRY_ENABLED, usage_lib.usage_stats_enabled())
"""

LOADERS = {
    "pickle": {"data/datasets/_unpickle.py", "devices/traces/files.py", "grids/ray/shared_memory.py"},
    "cloudpickle": set(),
    "dill": set(),
    "marshal": set(),
}
"""Who may import what can run code as it reads; _unpickle.py admits arrays only, files.py plain
values only, arena.py reads what workers
of this run answer, which Ray would pickle too."""

RUNNERS = {"eval", "exec", "compile", "__import__"}


def test_no_telemetry() -> None:
    """As Flower and Ray see it, in an environment that says nothing about it."""
    env = {key: value for key, value in os.environ.items() if key not in REPORTING}
    done = subprocess.run([sys.executable, "-c", ASK], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False"]


def offences(path: Path) -> Iterator[str]:
    """What of a file may run code as it reads."""
    here = str(path.relative_to(ROOT))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for module in modules:
                if here not in LOADERS.get(module.split(".")[0], {here}):
                    yield f"{here}:{node.lineno} imports {module}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            runs = isinstance(node.func, ast.Name) and called in RUNNERS
            allows = any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords)
            if runs or allows or called in ("torch.load", "np.fromfile"):
                yield f"{here}:{node.lineno} calls {called}"


def test_nothing_that_is_read_can_run_code() -> None:
    """No pickle in files but one that admits arrays only, no torch.load, no allow_pickle, no eval or exec.

    A method called `eval`, as of a torch module, is another thing.
    """
    assert [offence for path in sorted(ROOT.rglob("*.py")) for offence in offences(path)] == []
