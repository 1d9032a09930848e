"""Virtual environments of the peers, and plain copies of the data, in a cache outside the repository."""

from __future__ import annotations

import gzip
import lzma
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

REQUIREMENTS = {
    "pfl": ["pfl==0.6.0"],
    "fluke": ["fluke-fl==0.8.1"],
    "flower": ["flwr[simulation]==1.41.*"],
}
"""Each gets the torch that this environment has, so that all contenders run the same kernels."""

FILES = {
    "cifar-10-batches-py": [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"],
    "MNIST/raw": [
        f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
    ],
    "QMNIST/raw": ["qmnist-train-labels-idx2-int"],
}
FOLDERS = {"b": ["cifar-10-batches-py"], "d": ["MNIST/raw"], "e": ["MNIST/raw", "QMNIST/raw"]}
"""What each workload reads."""

OPENERS = {
    "": Path.read_bytes,
    ".gz": lambda p: gzip.decompress(p.read_bytes()),
    ".xz": lambda p: lzma.decompress(p.read_bytes()),
}


def environment(peer: str, cache: Path) -> Path:
    """The Python of a peer's environment, which is made if it is not there or had other requirements."""
    folder = cache / peer
    python, stamp = folder / "bin" / "python", folder / "requirements"
    wanted = [*REQUIREMENTS[peer], f"torch=={version('torch').split('+')[0]}"]
    if not stamp.exists() or stamp.read_text().split() != wanted:
        print(f"making the environment of {peer} in {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *wanted], check=True)
        stamp.write_text("\n".join(wanted))
    return python


def versions(python: Path, names: list[str]) -> dict[str, str]:
    """What of these packages an environment has."""
    code = "import sys; from importlib.metadata import version; print(*(version(n) for n in sys.argv[1:]))"
    out = subprocess.run([str(python), "-c", code, *names], check=True, capture_output=True, text=True)
    return dict(zip(names, out.stdout.split(), strict=True))


def plain_data(source: Path, cache: Path, workloads: Sequence[str]) -> Path:
    """A folder with the data sets decompressed, so that nobody's run begins with unpacking them."""
    target = cache / "data"
    for folder in dict.fromkeys(folder for workload in workloads for folder in FOLDERS[workload]):
        (target / folder).mkdir(parents=True, exist_ok=True)
        for name in FILES[folder]:
            copy = target / folder / name
            if copy.exists():
                continue
            found = [suffix for suffix in OPENERS if (source / folder / (name + suffix)).is_file()]
            if not found:
                raise SystemExit(f"{source / folder / name} not found, neither plain nor as .gz or .xz")
            temporary = copy.with_suffix(".tmp")
            temporary.write_bytes(OPENERS[found[0]](source / folder / (name + found[0])))
            temporary.replace(copy)
    return target


def default_cache() -> Path:
    """~/.cache/distreal-sim-bench, or where XDG_CACHE_HOME says."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distreal-sim-bench"
