"""docs/how-to/add-a-method.md is done as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from command import distreal_sim

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "how-to" / "add-a-method.md").read_text()
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_every_block_in_order(tmp_path: Path) -> None:
    """Files are written, commands are run; the sweep's table ends with the method beside its rivals."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    printed = ""
    for language, name, content in BLOCK.findall(TEXT):
        if name:
            (tmp_path / name).write_text(content)
            continue
        assert language == "bash"
        for command in content.splitlines():
            program, *words = shlex.split(command)
            if program == "distreal-sim":
                called = distreal_sim(*words, cwd=tmp_path)
                assert called.code == 0, f"{command}\n{called.stdout}\n{called.stderr}"
                printed = called.stdout
                continue
            done = subprocess.run(
                command,
                shell=True,
                cwd=tmp_path,
                env={**os.environ, "PATH": path},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            printed = done.stdout
    assert {"fedavg", "classifier-only", "skipping"} <= set(re.findall(r"[\w-]+", printed))


def test_the_files_it_points_to_are_there() -> None:
    for name in re.findall(r"`(\w+\.py)`", TEXT.partition("## More to build on")[2]):
        assert (ROOT / "src" / "distreal_sim" / "methods" / name).exists(), name
