"""Code versions that cannot be forgotten.

A hash of the syntax trees of the modules that make an asset's bytes, and of its settings.

Comments, docstrings and layout change nothing. Which modules count is declared by each stage; the settings come from
the profile.
"""

import ast
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geo_pipeline
from geo_pipeline.orchestration.artifacts import digest

PACKAGE_ROOT = Path(geo_pipeline.__path__[0])


def code_version(rooms: tuple[str, ...], settings: object) -> str:
    """The version of an asset made by `rooms` (modules or packages, such as "earth.partition") with `settings`."""
    return digest({"code": {room: _room_hash(room) for room in rooms}, "settings": settings})[:16]


@functools.cache
def _room_hash(room: str) -> str:
    place = PACKAGE_ROOT.joinpath(*room.split("."))
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    if not all(path.is_file() for path in files):
        raise FileNotFoundError(
            f"found no module geo_pipeline.{room}, expected one: a stage names it as the code that makes its bytes"
        )
    hasher = hashlib.sha256()
    for path in files:
        hasher.update(path.relative_to(PACKAGE_ROOT).as_posix().encode())
        hasher.update(_file_meaning(path))
    return hasher.hexdigest()[:32]


@functools.cache
def _file_meaning(path: Path) -> bytes:
    """The meaning of a file, which may stand in several rooms; read once."""
    return meaning(path.read_text(encoding="utf-8")).encode()


def meaning(source: str) -> str:
    """The syntax tree of a module as text, without docstrings; every node with its fields, every list in brackets."""
    found: list[str] = []
    _write(ast.parse(source), found.append)
    return " ".join(found)


def _write(value: object, say: Callable[[str], None]) -> None:
    """The tree as `ast.dump` would say it, several times faster: a code location is loaded for every step."""
    if isinstance(value, list):
        say("[")
        for item in value:
            _write(item, say)
        say("]")
    elif isinstance(value, ast.AST):
        say(f"({type(value).__name__}")
        for name in value._fields:
            if name != "ctx":  # follows from where the node stands
                documented = name == "body" and isinstance(value, _DOCUMENTED)
                found: Any = getattr(value, name, None)
                _write(_undocumented(found) if documented else found, say)
        say(")")
    else:
        say(repr(value))


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _undocumented(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return body[1:] if told else body
