"""How transformers finds the files of the known names.

Every `from_pretrained` of transformers, of configurations, models and processors alike, asks the function
`transformers.utils.hub.cached_files` for files, through that module's global name. `wrap_file_search` puts a wrapper
there. For a known name the wrapper answers from the store, from a Hub repository or from a converted official
checkpoint (`model_files` beside this file, imported then); every other name reaches the original function with the
very same arguments.

Later versions (5.23 does, 5.17 does not) first ask the Hub for the commit behind the name, and continue as before
if that fails. A known name is not a repository, and where a firewall swallows the question the answer never comes,
because the client sets no time limit. So the same module's Hub client is told to refuse that one question for known
names, and to know that they have no folder of chat templates, for which processors and tokenizers ask.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..hub.name_form import is_of_this_family


def wrap_file_search(hub: ModuleType) -> None:
    """Put the wrappers into `transformers.utils.hub`, unless they are there."""
    original = hub.cached_files
    if getattr(original, "finds_s5_models", False):
        return
    if hasattr(hub, "resolve_revision"):
        refuse_to_resolve_known_names(hub.hf_api())

    @functools.wraps(original)
    def cached_files(path_or_repo_id: Any, filenames: Sequence[str], *args: Any, **kwargs: Any) -> list[str] | None:
        name = str(path_or_repo_id)
        if not is_of_this_family(name) or Path(name).exists():
            return original(path_or_repo_id, filenames, *args, **kwargs)
        from .model_files import find_files

        return find_files(original, name, filenames, *args, **kwargs)

    cached_files.finds_s5_models = True
    hub.cached_files = cached_files


def refuse_to_resolve_known_names(client: Any) -> None:
    """Let a Hub client answer for the names of this family without asking: no commit, and no further files."""
    original = client.resolve_revision
    if getattr(original, "refuses_s5_models", False):
        return

    @functools.wraps(original)
    def resolve_revision(repo_id: str, **settings: Any) -> Any:
        if is_of_this_family(repo_id):
            raise RepositoryNotAsked(f"{repo_id} is a name of s5_hf, not a repository")
        return original(repo_id, **settings)

    resolve_revision.refuses_s5_models = True
    client.resolve_revision = resolve_revision
    listing = client.list_repo_tree

    @functools.wraps(listing)
    def list_repo_tree(repo_id: str, **settings: Any) -> Any:
        return iter(()) if is_of_this_family(repo_id) else listing(repo_id, **settings)

    client.list_repo_tree = list_repo_tree


class RepositoryNotAsked(OSError):
    """A known name has no commit; on any error transformers continues without one."""
