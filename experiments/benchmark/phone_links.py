"""Makes the links of the scenarios `phones` and `servers` from FLHetBench's WiFi measurements.

python experiments/benchmark/phone_links.py data/traces/flhetbench/wifi_speeds.csv.gz \\
    data/traces/phone_links.csv

Each of the 100 phones of case 4, the most unequal one, has some fifteen measured TCP speeds. A link holds
each for HOLD_S seconds, in an order that is drawn once: the measurements have no times. They do not tell
sending from receiving, so both directions have the same speed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

CASE = 4
HOLD_S = 20
BYTES_PER_KBIT = 125


def links(measured: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """(rows) link, t_s, download_bytes_per_s, upload_bytes_per_s, for profiles of `link: trace`.

    measured: columns case and tcp_kbps_0, tcp_kbps_1, ..., empty after a phone's last one.
    """
    speeds = measured.loc[measured["case"] == CASE].filter(like="tcp_kbps_")
    rng = np.random.default_rng(seed)
    tables = []
    for number, row in enumerate(speeds.to_numpy()):
        own = rng.permutation(row[row > 0]) * BYTES_PER_KBIT
        times = np.arange(len(own)) * HOLD_S
        columns = {"link": number, "t_s": times, "download_bytes_per_s": own, "upload_bytes_per_s": own}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def main() -> None:
    """Reads the measurements, writes the links."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("measured", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    links(pd.read_csv(options.measured)).to_csv(options.out, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
