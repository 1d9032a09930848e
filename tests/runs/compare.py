"""What makes two runs the same: every result file but those with wall-clock figures."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq


def assert_same_results(run: Path, other: Path) -> None:
    """clients.parquet value for value, all other tables, models and files byte for byte."""
    assert (run / "rounds.csv").read_text() == (other / "rounds.csv").read_text()
    assert pq.read_table(run / "clients.parquet").equals(pq.read_table(other / "clients.parquet"))
    models = ("model.safetensors", "best.safetensors")
    for name in ("client_scores.csv", *models, "config.yaml", "front.json", "cost.json"):
        assert (run / name).exists() == (other / name).exists()
        if (run / name).exists():
            assert (run / name).read_bytes() == (other / name).read_bytes(), name
