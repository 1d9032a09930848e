"""Reading YAML."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from distreal_sim.base.errors import InputError


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises InputError naming the file and the line."""
    try:
        content = parse_yaml(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        raise InputError(f"{where}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if content is None:
        raise InputError(f"{path}: is empty; it must hold keys and values, like `rounds: 10`")
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else f"only {content!r}"
        raise InputError(f"{path}: must hold keys and values, like `rounds: 10`, but holds {kind}")
    return content


def parse_yaml(text: str) -> Any:
    """The value of a YAML text. Raises yaml.YAMLError, for a key given twice too."""
    return yaml.load(text, Loader=_OnceLoader)


class _OnceLoader(yaml.SafeLoader):
    """SafeLoader, but of two values under one key it does not silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key_node, yaml.ScalarNode):
                if key_node.value in seen:
                    problem = f"key '{key_node.value}' is given twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def flat_keys(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys and values as dotted keys and values."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= (
            flat_keys(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
        )
    return flat
