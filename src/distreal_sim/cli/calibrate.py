"""The command `calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from distreal_sim.cli._shared import check_writable


def calibrate(
    out: Annotated[Path, typer.Option(help="the device file")] = Path("device.yaml"),
    model: Annotated[
        list[str] | None, typer.Option(help="a network to time, may be given again", show_default="four")
    ] = None,
    batch: Annotated[
        list[int] | None,
        typer.Option(help="a batch size, may be given again", min=2, show_default="2, 8 and 32"),
    ] = None,
    vectors: Annotated[int, typer.Option(help="random dropout vectors of each network", min=0)] = 12,
    repeats: Annotated[int, typer.Option(help="visits of each step, of which the least counts", min=1)] = 15,
    csv: Annotated[
        Path | None, typer.Option(help="measured and predicted times, too", show_default="none")
    ] = None,
) -> None:
    """Time training steps on this machine: a device file, for the key `cost` and for fleets.

    Fits the time of a step: passes through layers, MACs and bytes, each with a time of its own for every
    kind of layer. Takes some minutes; needs no data set. For the exact times of one config's steps: measure.
    """
    from distreal_sim.inspection.calibration import BATCH_SIZES, MODELS
    from distreal_sim.inspection.calibration import calibrate as calibrated
    from distreal_sim.inspection.costs import print_calibration

    for path, option in ((out, "--out"), (csv, "--csv")):
        if path is not None:
            check_writable(path, option)
    found = calibrated(
        out, models=model or MODELS, batch_sizes=batch or BATCH_SIZES, vectors=vectors, repeats=repeats
    )
    if csv is not None:
        found.save_steps(csv)
    print_calibration(found, Console())
    print(out)
