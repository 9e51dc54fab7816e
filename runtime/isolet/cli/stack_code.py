"""The packages of a template's functions and layers: what is written in it, or lies beside it.

A directory is built as `isolet deploy DIRECTORY` builds one, by the runtime that the template names; a zip is taken as
it is; what is in S3, the server fetches.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import TemplateInvalid
from ..languages import python
from ..languages.build import build
from ..languages.interpreters import of_runtime
from ..languages.package import Package, Progress, pack
from ..manifest import FILE, LANGUAGES, MODULE_FILE, Manifest, load
from ..model import Settings
from ..stack.plans import FunctionPlan, LayerPlan

# Precedent: CloudFormation's name of inline code.
_INLINE = {"python": "index.py", "javascript": "index.js"}


def language_of(plan: FunctionPlan) -> str:
    """For tables and lists; "wasm" for what no interpreter runs."""
    interpreter = of_runtime(plan.configuration["Runtime"])
    return interpreter.name if interpreter else "wasm"


def function_package(plan: FunctionPlan, base: Path, progress: Progress) -> Package | None:
    """The package; None if it is in S3. Paths are relative to `base`, the template's directory.

    Raises TemplateInvalid, CompileFailed, ToolchainMissing, PayloadTooLarge.
    """
    if plan.code.s3:
        return None
    language = language_of(plan)
    if plan.code.inline:
        if language not in _INLINE:
            raise TemplateInvalid(
                f"{plan.path}: inline code is source, and {plan.configuration['Runtime']} runs none; use python3.x or "
                "nodejs22.x"
            )
        return Package(pack(b"", {_INLINE[language]: plan.code.inline.encode()}), b"", 0.0)
    target = _existing(plan.path, plan.code.path, base)
    if target.is_file() and target.suffix == ".zip":
        return Package(target.read_bytes(), b"", 0.0)
    if target.is_file() and target.suffix == ".wasm":
        return build(target.parent, _manifest(plan, "wasm", target.name), progress)
    if not target.is_dir():
        raise TemplateInvalid(f"{plan.path}: {plan.code.path} is neither a directory nor a .zip nor a .wasm")
    if language != "wasm":
        return build(target, _manifest(plan, language, "."), progress)
    if (target / FILE).is_file():
        return build(target, load(target), progress)
    if (target / LANGUAGES["go"].beside).is_file():
        return build(target, _manifest(plan, "go", "."), progress)
    if (target / MODULE_FILE).is_file():
        return build(target, _manifest(plan, "wasm", MODULE_FILE), progress)
    raise TemplateInvalid(
        f"{plan.path}: {plan.code.path} is nothing that {plan.configuration['Runtime']} can run here: put a {FILE}, a "
        f"go.mod or a {MODULE_FILE} into it"
    )


def _manifest(plan: FunctionPlan, language: str, source: str) -> Manifest:
    settings = Settings(runtime=plan.configuration["Runtime"], handler=plan.configuration["Handler"], language=language)
    return Manifest(plan.name, settings, (source,))


def layer_package(plan: LayerPlan, base: Path, progress: Progress) -> bytes | None:
    """The zip; None if it is in S3. Raises as `function_package`."""
    if plan.code.s3:
        return None
    target = _existing(plan.path, plan.code.path, base)
    if target.is_file() and target.suffix == ".zip":
        return target.read_bytes()
    if not target.is_dir():
        raise TemplateInvalid(f"{plan.path}: {plan.code.path} is neither a directory nor a .zip")
    if not plan.build:
        return pack(b"", {path.relative_to(target).as_posix(): path for path in target.rglob("*") if path.is_file()})
    if not plan.build.startswith("python"):
        raise TemplateInvalid(
            f"Resources.{plan.id}.Metadata.BuildMethod: {plan.build!r} is not built here; build the layer's directory "
            "yourself, and leave BuildMethod out"
        )
    manifest = Manifest(plan.name, Settings(runtime=plan.build, handler="", language="python"), (".",))
    files, _ = python.package(target, manifest, progress)
    return pack(b"", {f"python/{name}": file for name, file in files.items()})


def _existing(path: str, written: str, base: Path) -> Path:
    target = base / written
    if not target.exists():
        raise TemplateInvalid(f"{path}: there is no {written} beside the template")
    return target
