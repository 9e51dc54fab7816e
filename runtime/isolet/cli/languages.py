"""`isolet languages`: which languages there are, and how an interpreter is built from its source."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ..errors import ToolchainMissing
from . import console
from .options import FAILED, Verb, as_json
from .steps import Steps

# Of `build`: not a failure of what is here.
_MISSING = 3


@click.group(invoke_without_command=True)
@click.pass_context
def languages(ctx: click.Context) -> None:
    """Show the languages, or build an interpreter from its source."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@languages.command(
    name="list",
    cls=Verb,
    epilog="""\
Examples:
  isolet languages list
  isolet languages list --json | jq -r '.[] | select(.ready) | .name'
""",
)
@as_json
def list_(as_json: bool = False) -> None:
    """List the languages: interpreters, and compilers with what they need."""
    from ..languages.recipes.catalogue import languages as known

    found = known()
    if as_json:
        console.say_json([asdict(language) for language in found])
        return
    rows = [(lang.name, lang.kind, lang.version, lang.runtimes, "✓" if lang.ready else "", lang.note) for lang in found]
    console.say_table(["language", "kind", "version", "runtimes", "ready", ""], rows)


@languages.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet languages build python              from source, into the package
  isolet languages build python --check      compare with what is there instead
  isolet languages build python --source python3.11_3.11.2.orig.tar.gz

Exit status: 0 built, or the same; 1 it failed, or --check found a difference; 3 a source or the compiler cannot be had.
""",
)
@click.argument("name")
@click.option(
    "--source",
    "given",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A source archive that is here already; instead of fetching it.  [repeatable]",
)
@click.option("--check", is_flag=True, help="Change nothing; say whether the files that are there are what it makes.")
@click.pass_context
def build(ctx: click.Context, name: str, given: tuple[Path, ...], check: bool) -> None:
    """Build the interpreter NAME from its source: minutes the first time, nothing if its inputs did not change.

    The sources are fetched from where they are published and known by their digests, the compiler is zig. The result is
    the same on every machine, byte for byte.
    """
    from ..languages.interpreters import named
    from ..languages.package import Step
    from ..languages.recipes.recipe import differences, make
    from ..languages.recipes.table import RECIPES

    recipe, interpreter = RECIPES.get(name), named(name)
    if recipe is None or interpreter is None:
        known = ", ".join(RECIPES) or "there are none"
        raise click.BadParameter(f"{name!r} has no recipe ({known}); compilers install themselves", param_hint="NAME")
    with Steps() as steps:

        def progress(step: Step) -> None:
            steps.begin(step.phase)
            steps.advance(step.done_bytes, step.total_bytes)

        try:
            products = make(recipe, {path.name: path for path in given}, progress)
        except ToolchainMissing as missing:
            console.fail(missing.message)
            ctx.exit(_MISSING)
    directory = interpreter.module_path.parent
    if not check:
        _write(products, directory)
    found = differences(products, directory)
    for difference in found:
        console.fail(difference)
    if found:
        ctx.exit(FAILED)
    if check:
        console.say(f"{name} {recipe.version}: the files are what the recipe makes")
        return
    for file, content in sorted(products.items()):
        console.say(f"{directory / file}  {console.size(len(content))}")


def _write(products: dict[str, bytes], directory: Path) -> None:
    try:
        directory.mkdir(exist_ok=True)
        for file, content in products.items():
            (directory / file).write_bytes(content)
    except OSError as error:
        raise ToolchainMissing(
            f"cannot write to {directory}: {error.strerror}; the products are in the cache"
        ) from None
