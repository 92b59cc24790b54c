"""Which recipes come with the package, and how a word of the command line becomes a file."""

import difflib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ShippedRecipe", "find_recipe", "shipped_recipes"]

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class ShippedRecipe:
    """A recipe of the package.

    Attributes:
        kind: of the run: `s4p`, `mae`, `segmentation`, `detection` and so on, `curation` or `change_search`.
        path: of the file.
    """

    kind: str
    path: Path

    @property
    def name(self) -> str:
        """By which it is found."""
        return self.path.stem

    @property
    def title(self) -> str:
        """The first sentence of the comment that the file begins with."""
        comment = self.path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("#").strip()
        return comment.partition(". ")[0].rstrip(".")


def shipped_recipes(kind: str | None = None) -> list[ShippedRecipe]:
    """The recipes of the package in the order of their names, or those of one kind."""
    files = sorted(FOLDER.glob(f"{kind or '*'}/*.yaml"), key=lambda path: (path.parent.name, path.stem))
    return [ShippedRecipe(path.parent.name, path) for path in files]


def find_recipe(word: str | Path, kind: str) -> Path:
    """The file that a word means: a path, or the name of a recipe of the package.

    Args:
        word: a file goes before a name.
        kind: of the run that it is for.

    Raises:
        FileNotFoundError: if it is neither; names the recipes of this kind.
        ValueError: if it is the name of a recipe of another kind.
    """
    path = Path(word)
    if path.is_file():
        return path
    by_name = {recipe.name: recipe for recipe in shipped_recipes()}
    found = by_name.get(str(word))
    if found is None:
        names = [recipe.name for recipe in shipped_recipes(kind)]
        close = difflib.get_close_matches(str(word), names, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise FileNotFoundError(
            f"there is no recipe file {word}, and no recipe of that name in the package; {hint}"
            f"Recipes of {kind}: {', '.join(names)}"
        )
    if found.kind != kind:
        raise ValueError(f"the recipe {found.name} is for {found.kind}, not for {kind}")
    return found.path
