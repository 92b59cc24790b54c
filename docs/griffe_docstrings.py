"""Griffe extension that prepares every docstring for the reference; named in mkdocs.yml."""

import sys
from pathlib import Path
from typing import Any

from griffe import Extension, Object

sys.path.insert(0, str(Path(__file__).parent))
from docstrings import bare_names, split_groups


class PreparedDocstrings(Extension):
    """Changes docstrings before they are parsed."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        if obj.docstring:
            obj.docstring.value = split_groups(bare_names(obj.docstring.value))
