"""Runs the other benchmarks of the folder above and saves what each prints, with machine and versions.

    python benchmarks/peers/others.py [NAME ...] [--out DIR]

Without names all but memory.py, which takes an hour. One that fails does not keep the next from running.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from facts import in_use, machine

BENCHMARKS = Path(__file__).parent.parent
LONG = ("memory",)


def names() -> list[str]:
    """The benchmarks there are; a leading underscore marks a part of one."""
    return sorted(path.stem for path in BENCHMARKS.glob("*.py") if not path.name.startswith("_"))


def run_one(name: str, out: Path) -> bool:
    """Runs it, shows and saves its output; whether it succeeded."""
    header = f"python benchmarks/{name}.py\n{machine()}\n{in_use({})}\n\n"
    print(header, end="", flush=True)
    done = subprocess.run([sys.executable, str(BENCHMARKS / f"{name}.py")], stdout=subprocess.PIPE, text=True)
    print(done.stdout, flush=True)
    if done.returncode == 0:
        (out / f"{name}.txt").write_text(header + done.stdout)
    else:
        print(f"{name}: failed with {done.returncode}, nothing saved", flush=True)
    return done.returncode == 0


def main() -> None:
    """All of them, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = options.names or [name for name in names() if name not in LONG]
    failed = [name for name in chosen if not run_one(name, options.out)]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
