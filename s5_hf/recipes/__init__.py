"""The recipes that come with the package: settings of published and of tiny runs, each a YAML file with a name."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(__name__, {"shipped": ("ShippedRecipe", "find_recipe", "shipped_recipes")})
