import json
import os
import pkgutil
import tomllib
from functools import cache, cached_property


@cache
def defaults():
    return tomllib.loads(pkgutil.get_data(__package__, "defaults.toml").decode())


class Store:
    def __init__(self, stage):
        self.stage = stage
        self.loads = 0

    @cached_property
    def flags(self):
        self.loads += 1
        merged = dict(defaults()["flags"])
        merged.update(defaults().get(self.stage, {}))
        override = os.environ.get("FLAG_OVERRIDES")
        if override:
            merged.update(json.loads(override))
        return merged
