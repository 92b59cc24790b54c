"""How recipes are read: typed sections, flat keys in a YAML file, overrides from the command line.

What a recipe holds is in the `recipe.py` of each kind of training; what they share is in `recipe_sections.py`.
"""

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NoReturn, TypeVar

import yaml
from transformers import HfArgumentParser

from ..dataset_builders.credentials import without_credentials
from ..files.yaml_files import read_yaml


def option(default: Any, help: str) -> Any:
    """A field with its default and its line of `--help`."""
    metadata = {"help": help.replace("%", "%%")}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


AnyRecipe = TypeVar("AnyRecipe", bound="SectionedRecipe")


@dataclass
class SectionedRecipe:
    """Base of the recipes: every field that is a dataclass is a section of keys.

    Attributes:
        FREE_TO_CHANGE: keys that may change between a run and its resumption without changing its result.
    """

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def sections(cls) -> tuple[type, ...]:
        """The classes of the sections."""
        return tuple(section.type for section in dataclasses.fields(cls) if dataclasses.is_dataclass(section.type))

    @classmethod
    def read(
        cls: type[AnyRecipe], arguments: Sequence[str] | None = None, description: str | None = None
    ) -> AnyRecipe:
        """The recipe of a command line: `[recipe.yaml] [--key value ...]`.

        Args:
            arguments: of the command line; `sys.argv[1:]` by default.
            description: for `--help`.

        Raises:
            ValueError: for unknown keys, values of the wrong type and settings that contradict each other.
            FileNotFoundError: if there is no such file.
        """
        path, words = split_file(sys.argv[1:] if arguments is None else arguments)
        recipe = cls.parse(read_settings(path) if path else {}, words, str(path), description)
        recipe.check()
        return recipe

    @classmethod
    def parse(
        cls: type[AnyRecipe], settings: dict[str, Any], words: Sequence[str], source: str, description: str | None
    ) -> AnyRecipe:
        """The unchecked recipe of the settings of a file, called `source`, and the words that go before them."""
        from_file = settings_to_arguments(settings, cls.sections(), source)
        return cls(*parse_sections(cls.sections(), [*from_file, *words], description))

    @classmethod
    def make(cls: type[AnyRecipe], **settings: Any) -> AnyRecipe:
        """The defaults with some keys set, all sections alike.

        Raises:
            ValueError: for an unknown key or a value that does not fit.
        """
        return cls.read(settings_to_arguments(settings, cls.sections(), "the settings"))

    @classmethod
    def help_of_keys(cls) -> str:
        """Every key with its meaning and its default, by section."""
        return "\n\n".join(f"{section.__doc__}\n{keys_in_words(section)}" for section in cls.sections())

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""

    def defaults(self) -> dict[str, Any]:
        """The default of every key of `flat_keys`."""
        return {key.name: default_of(key) for section in self.sections() for key in dataclasses.fields(section)}

    def to_dict(self) -> dict[str, Any]:
        """All keys, flat, as a YAML file holds them; URLs are without passwords and tokens, as this is for records."""
        values = (getattr(self, field.name) for field in dataclasses.fields(self))
        sections = (dataclasses.asdict(value) for value in values if dataclasses.is_dataclass(value))
        return without_credentials({key: value for section in sections for key, value in section.items()})

    def to_yaml(self) -> str:
        """The file that gives this recipe."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)


def default_of(key: dataclasses.Field) -> Any:
    """The default of a key, lists as new ones."""
    has_own = key.default_factory is not dataclasses.MISSING
    return key.default_factory() if has_own else key.default


def keys_in_words(section: type) -> str:
    """A line for every key of a section, with its meaning and its default."""
    lines = []
    for key in dataclasses.fields(section):
        default = default_of(key)
        shown = " ".join(map(str, default)) if isinstance(default, list) else default
        meaning = key.metadata["help"].replace("%%", "%")
        lines.append(
            f"  --{key.name.replace('_', '-')}: {meaning}" + (f" [{shown}]" if shown not in ("", None) else "")
        )
    return "\n".join(lines)


class RecipeParser(HfArgumentParser):
    """Raises a ValueError where argparse would leave the program."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def split_file(arguments: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The recipe file of a command line, if its first word is one, and the other words."""
    arguments = list(arguments)
    if arguments and not arguments[0].startswith("-"):
        return Path(arguments[0]), arguments[1:]
    return None, arguments


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of a recipe file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not valid YAML, gives a key twice, or holds no keys and values.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no recipe file {path}")
    settings = read_yaml(path)
    if not isinstance(settings, dict):
        raise ValueError(f"{path} must hold `key: value` lines, got {type(settings).__name__}")
    return settings


def settings_to_arguments(settings: Mapping[str, Any], sections: Sequence[type], source: str) -> list[str]:
    """`{"key": value}` as `["--key", "value"]`; a value of `None` stands for the default.

    Raises:
        ValueError: for a key that no section has.
    """
    known = [field.name for section in sections for field in dataclasses.fields(section)]
    unknown = sorted(set(settings) - set(known), key=str)
    if unknown:
        raise ValueError(f"{source} has unknown keys: {', '.join(map(str, unknown))}; known keys: {', '.join(known)}")
    arguments = []
    for key, value in settings.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        if isinstance(value, Mapping):
            values = [f"{name}:{target}" for name, target in value.items()]
        if value is not None and values:
            arguments += [f"--{key}", *map(str, values)]
    return arguments


def parse_sections(
    sections: Sequence[type], arguments: Sequence[str], description: str | None = None, epilog: str | None = None
) -> tuple[Any, ...]:
    """One object per section from `--key value` arguments; a later argument goes before an earlier one.

    `--key null` stands for the default, as `null` in a file does.

    Raises:
        ValueError: for unknown keys and values of the wrong type.
    """
    parser = RecipeParser(
        list(sections),
        description=description,
        epilog=epilog,
        usage="%(prog)s [recipe.yaml] [--key value ...]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser.parse_args_into_dataclasses(args=without_nulls(arguments), look_for_args_file=False)


def without_nulls(arguments: Sequence[str]) -> list[str]:
    """The arguments without `--key null`, and without what earlier arguments say about that key."""
    options: list[list[str]] = []  # each with its values
    for word in arguments:
        if word.startswith("--") or not options:
            options.append([word])
        else:
            options[-1].append(word)
    kept: list[tuple[str, list[str]]] = []
    for words in options:
        key, _, value = words[0].partition("=")
        key = key.replace("_", "-").replace("--no-", "--", 1)
        if [value, *words[1:]] in (["null"], ["", "null"]):
            kept = [option for option in kept if option[0] != key]
        else:
            kept.append((key, words))
    return [word for _, words in kept for word in words]


def require_positive(values: Mapping[str, float | None]) -> None:
    """Raise a ValueError for a number below 1; `None` passes."""
    for key, value in values.items():
        if value is not None and value < 1:
            raise ValueError(f"{key} must be at least 1, got {value}")


def require_not_negative(values: Mapping[str, float]) -> None:
    """Raise a ValueError for a number below 0."""
    for key, value in values.items():
        if value < 0:
            raise ValueError(f"{key} must not be negative, got {value}")


def flat_keys(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a recipe with one level of names: key `k` of the entry called `n` of a list becomes `n.k`."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
            found[key] = [entry["name"] for entry in value]
            found |= {f"{entry['name']}.{name}": inner for entry in value for name, inner in entry.items()}
        else:
            found[key] = value
    return found


def differing_keys(saved: Mapping[str, Any], recipe: SectionedRecipe) -> dict[str, tuple[Any, Any]]:
    """Keys whose change would make a resumed run another run, with (saved, present) values.

    A key that an earlier version did not know yet counts as its default: a new key does what was done without it.
    """
    former, present = {**recipe.defaults(), **flat_keys(saved)}, flat_keys(recipe.to_dict())
    return {
        key: (former.get(key), present.get(key))
        for key in [*present, *(key for key in former if key not in present)]
        if key.rpartition(".")[2] not in recipe.FREE_TO_CHANGE and former.get(key) != present.get(key)
    }
