"""Small trace files for options that name files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LINKS_CSV = """link,t_s,download_bytes_per_s,upload_bytes_per_s
a,0,1000000,100000
a,5,0,200000
a,6,2000000,0
b,0,500000,50000
b,2,1000000,100000
"""

DELIVERIES = "".join(f"{ms}\n" for ms in [3, 3, 10, 25, 26, 40])


def with_traces(options: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The options of a link with files that exist in place of their example's."""
    (folder / "links.csv").write_text(LINKS_CSV)
    (folder / "packets").write_text(DELIVERIES)
    changed = {"file": folder / "links.csv"} if "file" in options else {}
    both = ("download", "upload")
    return {**options, **changed, **{key: (folder / "packets",) for key in both if key in options}}
