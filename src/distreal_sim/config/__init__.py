"""One YAML file = one run: loading, overriding, checking and hashing of experiment configs."""

from distreal_sim.config.experiment import Experiment
from distreal_sim.config.identity import NO_EFFECT
from distreal_sim.config.kinds import KINDS
from distreal_sim.config.load import Config, json_schema, load_experiment, parse_experiment
from distreal_sim.config.read import (
    dump_yaml,
    flat_keys,
    kind_of,
    parse_yaml,
    read_config,
    read_yaml,
    refuse_other_kinds,
    texts_of,
)

__all__ = [
    "KINDS",
    "NO_EFFECT",
    "Config",
    "Experiment",
    "dump_yaml",
    "flat_keys",
    "json_schema",
    "kind_of",
    "load_experiment",
    "parse_experiment",
    "parse_yaml",
    "read_config",
    "read_yaml",
    "refuse_other_kinds",
    "texts_of",
]
