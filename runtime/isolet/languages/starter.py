"""`isolet init`: a working function from a template.

A template is a directory of files in templates/. `@NAME@`, in their names and text, becomes the function's name, and
`@SDK@` the directory of the language's SDK as it is installed here.
"""

from __future__ import annotations

from pathlib import Path

from .. import manifest
from ..errors import Conflict, InvalidParameter

TEMPLATES = Path(__file__).parent / "templates"
SDKS = Path(__file__).parent / "sdk"
LANGUAGES = tuple(sorted(path.name for path in TEMPLATES.iterdir()))


def create(name: str, language: str, directory: Path) -> list[Path]:
    """Writes the function `name` into `directory`, which is made and must not hold anything yet; the files written.

    Raises InvalidParameter for a bad name or language, Conflict for a directory in use; nothing is written then.
    """
    if language not in LANGUAGES:
        raise InvalidParameter(f"there is no template for {language!r}; use one of {', '.join(LANGUAGES)}")
    if not manifest.is_name(name):
        raise InvalidParameter(f"{name!r} is no function's name; use up to 64 letters, digits, - and _")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise Conflict(f"{directory} is there already and not empty; choose another name, or remove it")
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    # Installing compiles what is Python of them, into a directory beside.
    for template in sorted(path for path in TEMPLATES.joinpath(language).iterdir() if path.is_file()):
        file = directory / template.name.replace("@NAME@", name)
        text = template.read_text(encoding="utf-8")
        file.write_text(
            text.replace("@NAME@", name).replace("@SDK@", str((SDKS / language).resolve())), encoding="utf-8"
        )
        written.append(file)
    return written
