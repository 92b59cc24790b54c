"""Reading recipes: YAML with one meaning per key, and errors that name the file."""

from pathlib import Path
from typing import Any

import yaml

__all__ = ["read_yaml"]

_MERGE_TAG = "tag:yaml.org,2002:merge"


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a mapping with two equal keys, of which YAML libraries silently take the last."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: dict[tuple[str, str], yaml.Mark] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE_TAG:
                continue
            first = seen.setdefault((key.tag, key.value), key.start_mark)
            if first is not key.start_mark:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} appears twice, first in line {first.line + 1}", key.start_mark
                )
        return node


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not UTF-8 text, does not parse, or gives a key twice; names the file and the line.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start})") from error
