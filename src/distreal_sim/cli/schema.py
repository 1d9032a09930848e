"""The command `schema`."""

from __future__ import annotations

import json


def schema() -> None:
    """Print the JSON schema of experiment configs, for editors."""
    from distreal_sim.config import json_schema

    print(json.dumps(json_schema(), indent=1))
