"""Every recipe, by the name of its interpreter."""

from __future__ import annotations

from collections.abc import Mapping

from .javascript import RECIPE as JAVASCRIPT
from .python import RECIPE as PYTHON
from .recipe import Recipe

_ALL: tuple[Recipe, ...] = (PYTHON, JAVASCRIPT)

RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in _ALL}
