"""Code versions that cannot be forgotten, where Dagster's are strings that somebody has to remember to change.

They are no wider than what decides an asset's bytes. A version is a hash over the syntax tree of the asset's own
function and of whatever it calls: functions and constants of its module that it names, and the modules of this package
that these import, and what those import in turn. Imports are read in the syntax tree; none is executed. Comments,
docstrings, layout and imports for types alone change nothing. Settings and the columns of the written tables count as
values, file formats as constants. What decides no byte (`DECIDES_NO_BYTES`) is not followed; a test watches which
functions run while each asset is made.
"""

import ast
import dataclasses
import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geo_pipeline
from geo_pipeline.contracts.contract import load
from geo_pipeline.home.home import FORMAT
from geo_pipeline.sample_world.weights import WEIGHTS

PACKAGE = "geo_pipeline."
PACKAGE_ROOT = Path(geo_pipeline.__path__[0])
ASSETS = "orchestration.assets."
SMALL_WEIGHTS_BYTES = 64 * 2**20
DECIDES_NO_BYTES = {
    "orchestration": "when an asset is made and where its bytes go; the function of the asset itself counts",
    "home": "how tables, manifests and folders are stored; counts by the constant FORMAT, which golden files watch",
    "compute": "where work runs, in process or on Ray, with the same bytes (tested)",
    "contracts": "checks and their wording; the columns of a table count as values",
    "profiles": "its values are hashed as settings",
    "methods.method": "what a method says of itself; the functions and the class that it names count where they stand",
    "methods.registry": "which methods there are; an asset that counts them has their names in its settings",
    "baselines.registry": "which baselines there are; the class of the one that is trained counts where it stands",
    "earth.kernel_check": "compares the compiled kernels with s2sphere; stops with an error or changes nothing",
    "earth.parallel": "how rows are shared among threads; results do not depend on it (tested)",
    "earth.reference_cells": "what the compiled kernels are compared with",
    "imagery.ahead": "which thread makes what a network needs next, in its order",
    "training.curve_page": "a page beside the checkpoint, which is no part of its content",
    "training.event_log": "event files beside the checkpoint, which are no part of its content",
    "training.logger": "what may listen to a training",
    "training.loggers": "which listeners a training has",
}
"""Modules and packages that assets reach and whose code does not count, each with the reason."""


@dataclass(frozen=True)
class Source:
    """What counts of a file or function: the hash of its meaning, and what it imports of ours.

    `functions` are, of a function, those that it is made of.
    """

    meaning_hash: bytes
    imports: frozenset[str]
    functions: frozenset["Named"] = frozenset()


class Sources:
    """The files of our package under `root`, each read and parsed once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._sources: dict[str, Source] = {}
        self._files: dict[str, Path | None] = {}
        self._known_names: dict[str, Names] = {}

    def code_hash(self, functions: Iterable["Named"]) -> str:
        """The hash of these functions and of everything that they reach."""
        hasher = hashlib.sha256()
        slices = [self.slice(function) for function in sorted(set(functions))]
        for each in slices:
            hasher.update(each.meaning_hash)
        for module in self.reached(name for each in slices for name in each.imports):
            hasher.update(f"{module}:".encode())
            hasher.update(self._source(module).meaning_hash)
        return hasher.hexdigest()[:32]

    def modules(self, functions: Iterable["Named"]) -> list[str]:
        """The modules that decide a version whole, in alphabetical order."""
        return self.reached(name for function in functions for name in self.slice(function).imports)

    def reached(self, entries: Iterable[str]) -> list[str]:
        """These modules and what they import, in alphabetical order; names that are no module are passed over."""
        found: set[str] = set()
        waiting = [name for name in entries if self.counts(name)]
        while waiting:
            module = waiting.pop()
            if module not in found:
                found.add(module)
                waiting += self._source(module).imports
        return sorted(found)

    def counts(self, name: str) -> bool:
        """Whether a name is a module of ours whose code decides bytes."""
        return self.file(name) is not None and not decides_nothing(name)

    def slice(self, function: "Named") -> Source:
        """What counts of one function: its tree, what it names of its module, and what these import.

        Functions that modules of assets have of one another are followed as functions, not as modules.
        """
        found: dict[Named, ast.stmt] = {}
        modules: set[str] = set()
        waiting = [function]
        while waiting:
            named = waiting.pop()
            definitions, imports = self._names(named.module)
            if named.name in imports:
                module, name = imports[named.name]
                if module.startswith(ASSETS) and not name:
                    raise LookupError(f"found that {named.module} imports the module {module}, expected its functions")
                if module.startswith(ASSETS):
                    waiting.append(Named(module, name))
                else:
                    modules.add(module)
            elif named.name in definitions and named not in found:
                found[named] = definitions[named.name]
                body = _without_frame(definitions[named.name])
                modules.update(_imported(body))
                names = {node.id for part in body for node in ast.walk(part) if isinstance(node, ast.Name)}
                waiting += [Named(named.module, name) for name in names]
        if function not in found:
            raise LookupError(
                f"found no {function.name} at the top of {function.module}, expected the function that makes an asset"
            )
        text = " ".join(f"{named}: {_text(_without_frame(found[named]))}" for named in sorted(found))
        inside = frozenset(name for name in modules if self.counts(name))
        return Source(hashlib.sha256(text.encode()).digest(), inside, frozenset(found))

    def file(self, name: str) -> Path | None:
        """The file of a module or package; None for a name that is neither, such as a class of a module."""
        if name not in self._files:
            path = self.root.joinpath(*name.split("."))
            files = (path.with_suffix(".py"), path / "__init__.py")
            self._files[name] = next((file for file in files if file.is_file()), None)
        return self._files[name]

    def _names(self, module: str) -> "Names":
        if module not in self._known_names:
            path = self.file(module)
            if path is None:
                raise FileNotFoundError(f"found no module geo_pipeline.{module}, expected one that makes an asset")
            self._known_names[module] = _names_of_module(ast.parse(path.read_text(encoding="utf-8")))
        return self._known_names[module]

    def _source(self, module: str) -> Source:
        if module not in self._sources:
            path = self.file(module)
            source = _source("" if path is None else path.read_text(encoding="utf-8"))
            rows = path.with_suffix(".csv") if path is not None else None
            beside = rows.read_bytes() if rows is not None and rows.is_file() else b""
            self._sources[module] = replace(
                source,
                meaning_hash=source.meaning_hash + (hashlib.sha256(beside).digest() if beside else b""),
                imports=frozenset(filter(self.counts, source.imports)),
            )
        return self._sources[module]


@dataclass(frozen=True, order=True)
class Named:
    """A function at the top of a module of our package (`module` without `geo_pipeline.`)."""

    module: str
    name: str

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "Named":
        """The name of a function; of one made inside another, that of the other. Raises LookupError for no function."""
        held = inspect.unwrap(function)
        module, name = getattr(held, "__module__", ""), getattr(held, "__qualname__", "")
        if not name:
            raise LookupError(f"found {function!r}, expected a function at the top of a module")
        return cls(module.removeprefix(PACKAGE), name.split(".")[0])


SOURCES = Sources(PACKAGE_ROOT)


def decides_nothing(module: str) -> bool:
    """Whether a module (without `geo_pipeline.`) is declared to decide no byte."""
    return any(f"{module}.".startswith(f"{each}.") for each in DECIDES_NO_BYTES)


def code_version(
    functions: Sequence[Callable[..., Any]], settings: object, tables: Iterable[str] = (), sources: Sources = SOURCES
) -> str:
    """The version (16 hex digits) of an asset with `settings` that these functions make and that writes `tables`."""
    ours = [named for named in map(Named.of, functions) if sources.file(named.module) is not None]
    columns = {name: str(load(name).arrow_schema) for name in sorted(set(tables))}
    return digest({"code": sources.code_hash(ours), "settings": settings, "format": FORMAT, "columns": columns})[:16]


# Digests


def digest(value: object) -> str:
    """SHA-256 (32 hex digits) of a value of plain data, dataclasses, paths and tuples.

    A string or path that names an existing absolute folder stands for that folder's files, not for its location on this
    machine; so does `sample:<name>`, the shipped weights.
    """
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def canonical(value: object) -> object:
    """A value as plain JSON data. Raises TypeError for a value that has no stable text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: canonical(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [canonical(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(str(item) for item in value)
    if isinstance(value, Path | str):
        folder = weights_folder(str(value))
        return str(value) if folder is None else folder_identity(folder)
    if value is None or isinstance(value, bool | int | float):
        return value
    raise TypeError(
        f"found {type(value).__name__} in a configuration, expected plain data; use numbers, text, tuples "
        "and dataclasses"
    )


def weights_folder(text: str) -> Path | None:
    """The folder that a configuration value names: `sample:<name>` (shipped), `local-dir:<path>` or an absolute path.

    None for any other text.
    """
    if text.startswith("sample:"):
        folder = WEIGHTS / text.removeprefix("sample:")
    else:
        folder = Path(text.removeprefix("local-dir:"))
    return folder if folder.is_absolute() and folder.is_dir() else None


def folder_identity(folder: Path) -> str:
    """What a weights folder holds: names, sizes and content (of files over 64 MiB the first and last MiB)."""
    files = sorted(item for item in folder.rglob("*") if item.is_file())
    facts = ((path.relative_to(folder).as_posix(), path.stat()) for path in files)
    return _content(folder, tuple((name, status.st_size, status.st_mtime_ns) for name, status in facts))


@functools.lru_cache(maxsize=64)
def _content(folder: Path, files: tuple[tuple[str, int, int], ...]) -> str:
    """The identity of a folder with these files (name, size, time of change): read once in a process."""
    hasher = hashlib.sha256()
    for name, size, _ in files:
        hasher.update(f"{name}:{size}:".encode())
        with (folder / name).open("rb") as handle:
            if size <= SMALL_WEIGHTS_BYTES:
                hasher.update(handle.read())
            else:
                hasher.update(handle.read(2**20))
                handle.seek(-(2**20), 2)
                hasher.update(handle.read())
    return f"folder:{hasher.hexdigest()[:32]}"


# Syntax trees

Names = tuple[dict[str, ast.stmt], dict[str, tuple[str, str]]]


@functools.cache
def _source(text: str) -> Source:
    tree = ast.parse(text)
    return Source(hashlib.sha256(_text(tree.body).encode()).digest(), frozenset(_imported(tree.body)))


def _names_of_module(tree: ast.Module) -> "Names":
    """What the names at the top of a module stand for: statements, or (module, name) of what is imported of ours."""
    definitions: dict[str, ast.stmt] = {}
    imports: dict[str, tuple[str, str]] = {}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            definitions[statement.name] = statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for node in (node for target in targets for node in ast.walk(target)):
                if isinstance(node, ast.Name):
                    definitions[node.id] = statement
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            module = (statement.module or "") if isinstance(statement, ast.ImportFrom) else ""
            for alias in statement.names:
                whole = f"{module}.{alias.name}".removeprefix(".")
                if whole.startswith(PACKAGE):
                    path = PACKAGE_ROOT.joinpath(*whole.removeprefix(PACKAGE).split("."))
                    is_module = path.is_dir() or path.with_suffix(".py").is_file()
                    source, name = (whole, "") if is_module else (module, alias.name)
                    imports[alias.asname or alias.name] = (source.removeprefix(PACKAGE), name)
    return definitions, imports


def _without_frame(statement: ast.stmt) -> list[ast.AST]:
    """What decides bytes of a statement: of a function its arguments and body, not its decorators and annotations."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        bare = ast.arguments(
            posonlyargs=[ast.arg(each.arg) for each in statement.args.posonlyargs],
            args=[ast.arg(each.arg) for each in statement.args.args],
            vararg=None if statement.args.vararg is None else ast.arg(statement.args.vararg.arg),
            kwonlyargs=[ast.arg(each.arg) for each in statement.args.kwonlyargs],
            kw_defaults=statement.args.kw_defaults,
            kwarg=None if statement.args.kwarg is None else ast.arg(statement.args.kwarg.arg),
            defaults=statement.args.defaults,
        )
        return [bare, *_undocumented(statement.body)]
    return [statement]


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
                    nested = getattr(statement, part, ())
                    yield from _imported(nested if isinstance(nested, list) else ())
        yield from (name.removeprefix(PACKAGE) for name in names if name.startswith(PACKAGE))


def _asks_for_types(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def meaning(source: str) -> str:
    """The syntax tree of a module as text, without docstrings; every node with its fields, every list in brackets."""
    return _text(ast.parse(source).body)


def _text(body: Sequence[ast.AST]) -> str:
    found: list[str] = []
    _write(_undocumented(list(body)), found.append)  # type: ignore[arg-type]
    return " ".join(found)


def _write(value: object, add: Callable[[str], None]) -> None:
    """The tree as `ast.dump` writes it, several times faster: a code location is loaded for every step."""
    if isinstance(value, list):
        add("[")
        for item in value:
            _write(item, add)
        add("]")
    elif isinstance(value, ast.AST):
        add(f"({type(value).__name__}")
        for name in value._fields:
            if name != "ctx":  # follows from where the node stands
                documented = name == "body" and isinstance(value, _DOCUMENTED)
                found: Any = getattr(value, name, None)
                _write(_undocumented(found) if documented else found, add)
        add(")")
    else:
        add(repr(value))


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _undocumented(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    documented = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return body[1:] if documented else body
