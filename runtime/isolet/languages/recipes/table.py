"""Every recipe, by the name of its interpreter."""

from __future__ import annotations

from collections.abc import Mapping

from .recipe import Recipe

_ALL: tuple[Recipe, ...] = ()

RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in _ALL}
