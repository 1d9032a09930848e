"""The table of codecs in lab/results.md, from results.csv.

python experiments/codecs/tables.py
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import yaml  # noqa: E402
from curves import interval, late, load  # noqa: E402

from distreal_sim.base.plugins import load as load_plugin  # noqa: E402
from distreal_sim.codecs import Codec  # noqa: E402
from distreal_sim.models import Model  # noqa: E402

LAST = 2
"""Evaluations that are averaged."""


def texts() -> list[str]:
    """What lab/results.md says, recomputed: rows of the table."""
    ends = {
        str(name): late(own, LAST) for name, own in load(HERE / "results.csv").groupby("codec", sort=False)
    }
    plain, n_bytes = ends["plain"], bytes_of_updates()
    kept, lost = ends["top_k"], ends["top_k without feedback"]
    rows = [
        f"| {name} | {n_bytes[name]:,} | {interval(own, '.3f')} | "
        f"{'' if name == 'plain' else interval(own - plain, '+.3f')} |"
        for name, own in ends.items()
    ]
    return [*rows, f"feedback gives back {interval(kept - lost, '.3f')}"]


def bytes_of_updates() -> dict[str, int]:
    """Of an update of the sweep's network, by the label of the codec."""
    sweep = yaml.safe_load((HERE / "sweep.yaml").read_text())
    model = dict(sweep["overrides"]["model"])
    network = load_plugin(Model, model.pop("name"))(**model).build((3, 16, 16), 10)
    sizes = [parameter.numel() for parameter in network.parameters()]
    found = {}
    for label, changes in sweep["grid"]["codec"].items():
        options = dict(changes.get("codec", {"name": changes.get("codec.name")}))
        found[label] = load_plugin(Codec, options.pop("name"))(**options).n_bytes(sizes)
    return found


if __name__ == "__main__":
    print("\n".join(texts()))
