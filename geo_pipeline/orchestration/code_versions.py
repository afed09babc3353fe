"""Code versions that cannot be forgotten.

A hash of the syntax trees of the modules that make an asset's bytes, and of its settings.

Which modules count is found, not listed: those in which a stage's `make` and the functions it holds are defined, the
rooms of its workers (which are named by text), and what all these import of our package, at the top of a file or inside
a function. Imports are read in the syntax tree; none is executed. Comments, docstrings, layout and imports for types
alone change nothing; a table beside a module and of its name (`published.csv`) counts with it; what decides no bytes
(`DECIDES_NO_BYTES`) is not followed. The settings come from the profile.
"""

import ast
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

import geo_pipeline
from geo_pipeline.home.artifact import digest

PACKAGE = "geo_pipeline."
PACKAGE_ROOT = Path(geo_pipeline.__path__[0])
DECIDES_NO_BYTES = {
    "profiles": "its values are hashed as settings",
    "methods.method": "what a method says of itself; the functions that it names are found where they stand",
    "methods.registry": "which methods there are; a stage that counts them has their names in its settings",
    "home.artifact": "names of what is stored; another digest is another version of everything by itself",
    "orchestration.code_versions": "this module",
    "compute.compute": "the interface of where work runs",
    "compute.in_process": "where work runs, with the same bytes as on Ray",
    "orchestration.shards": "which keys there are; what lies in them is the catalogue's, which hashes them as settings",
}
"""Modules and packages that stages import and whose code does not count, each with the reason.

All else counts that is reached, of orchestration too: `stage` (which shards a manifest lists, in which order batches
come back), `storage` (how tables are written) and the modules of assets/.
"""


@dataclass(frozen=True)
class Source:
    """What counts of a file: the hash of its meaning, and what it imports of ours (names without `geo_pipeline.`)."""

    meaning_hash: bytes
    imports: frozenset[str]


class Sources:
    """The files of our package under `root`, each read and parsed once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._sources: dict[str, Source] = {}
        self._files: dict[str, Path | None] = {}
        self._rooms: dict[str, list[str]] = {}
        self._hashes: dict[tuple[str, ...], str] = {}

    def code_hash(self, entries: Iterable[str]) -> str:
        """The hash of everything that these modules and packages are and import."""
        wanted = tuple(sorted(set(entries)))
        if wanted not in self._hashes:
            hasher = hashlib.sha256()
            for module in self.reached(wanted):
                hasher.update(f"{module}:".encode())
                hasher.update(self._source(module).meaning_hash)
            self._hashes[wanted] = hasher.hexdigest()[:32]
        return self._hashes[wanted]

    def reached(self, entries: Iterable[str]) -> list[str]:
        """These modules, the modules of these packages, and what they import, in alphabetical order."""
        found: set[str] = set()
        waiting = [module for entry in entries for module in self._modules(entry)]
        while waiting:
            module = waiting.pop()
            if module not in found:
                found.add(module)
                waiting += self._source(module).imports
        return sorted(found)

    def _counts(self, name: str) -> bool:
        return self._file(name) is not None and not any(f"{name}.".startswith(f"{each}.") for each in DECIDES_NO_BYTES)

    def _modules(self, room: str) -> list[str]:
        if room not in self._rooms:
            place = self.root.joinpath(*room.split("."))
            files = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
            found = [".".join(path.relative_to(self.root).with_suffix("").parts) for path in files if path.is_file()]
            if not found:
                raise FileNotFoundError(
                    f"found no module geo_pipeline.{room}, expected one: a stage names it as the code that makes its "
                    "bytes"
                )
            self._rooms[room] = [module.removesuffix(".__init__") for module in found]
        return self._rooms[room]

    def _file(self, name: str) -> Path | None:
        """The file of a module or package; None for a name that is neither, such as a class of a module."""
        if name not in self._files:
            place = self.root.joinpath(*name.split("."))
            files = (place.with_suffix(".py"), place / "__init__.py")
            self._files[name] = next((path for path in files if path.is_file()), None)
        return self._files[name]

    def _source(self, module: str) -> Source:
        if module not in self._sources:
            path = self._file(module)
            source = _source("" if path is None else path.read_text(encoding="utf-8"))
            rows = path.with_suffix(".csv") if path is not None else None
            beside = rows.read_bytes() if rows is not None and rows.is_file() else b""
            self._sources[module] = replace(
                source,
                meaning_hash=source.meaning_hash + (hashlib.sha256(beside).digest() if beside else b""),
                imports=frozenset(filter(self._counts, source.imports)),
            )
        return self._sources[module]


SOURCES = Sources(PACKAGE_ROOT)


def code_version(
    rooms: Iterable[str], settings: object, make: Callable[..., Any] | None = None, sources: Sources = SOURCES
) -> str:
    """The version of an asset with `settings` that is made by `rooms` and by the function `make`.

    Rooms are modules or packages, such as "earth.partition"; what they and `make` import belongs to them.
    """
    return digest({"code": sources.code_hash({*rooms, *modules_of(make)}), "settings": settings})[:16]


def modules_of(value: object) -> set[str]:
    """The modules of our package in which a function is defined, and the functions that it holds.

    It holds what is bound to it: arguments of a `partial`, defaults, the variables around it, and functions that are
    fields of a dataclass among these (the queries of a method).
    """
    found: set[str] = set()
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        held = waiting.pop()
        if id(held) in seen:
            continue
        seen.add(id(held))
        if isinstance(held, FunctionType):
            found |= {held.__module__, str(held.__globals__.get("__name__"))}  # a decorated function tells both
            waiting += [cell.cell_contents for cell in held.__closure__ or () if _is_filled(cell)]
            waiting += [*(held.__defaults__ or ()), *(held.__kwdefaults__ or {}).values()]
        elif isinstance(held, functools.partial):
            waiting += [held.func, *held.args, *held.keywords.values()]
        elif isinstance(held, MethodType):
            waiting += [held.__func__, held.__self__]
        elif dataclasses.is_dataclass(held) and not isinstance(held, type):
            waiting += [getattr(held, field.name) for field in dataclasses.fields(held)]
    return {name.removeprefix(PACKAGE) for name in found if name.startswith(PACKAGE)}


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # a variable that has no value yet
        return False


@functools.cache
def _source(text: str) -> Source:
    tree = ast.parse(text)
    return Source(hashlib.sha256(_meaning(tree).encode()).digest(), frozenset(_imported(tree.body)))


def _imported(body: Iterable[ast.AST]) -> Iterator[str]:
    """The names that statements import of our package, those inside functions included; not those for types alone."""
    for statement in body:
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            module = statement.module or ""
            names = [module, *(f"{module}.{alias.name}" for alias in statement.names)]
        else:
            names = []
            for part in ("body", "orelse", "finalbody", "handlers", "cases"):
                if not (part == "body" and isinstance(statement, ast.If) and _asks_for_types(statement.test)):
                    yield from _imported(getattr(statement, part, ()))
        yield from (name.removeprefix(PACKAGE) for name in names if name.startswith(PACKAGE))


def _asks_for_types(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def meaning(source: str) -> str:
    """The syntax tree of a module as text, without docstrings; every node with its fields, every list in brackets."""
    return _meaning(ast.parse(source))


def _meaning(tree: ast.Module) -> str:
    found: list[str] = []
    _write(tree, found.append)
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
