"""Assets are functions: `@asset` keeps beside a function what its asset is, reads, writes and depends on.

Dagster's own decorator cannot stand there, for shards and settings belong to a profile, which is chosen when the code
location loads. `Recipe.bind` makes the `Asset` of a profile, and materialize.py a Dagster asset of that. No Dagster.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from geo_pipeline.home.artifact import Artifact, manifest, report, table
from geo_pipeline.home.artifact import checkpoint as checkpoint_artifact
from geo_pipeline.orchestration.partitions import ALL, Keys, KeysRead, Scope
from geo_pipeline.orchestration.versions import code_version

GPU = "gpu"
"""The pool of assets that may use a GPU; its limit lets one of them run at a time."""
Reads = Mapping[str, KeysRead]
"""What is read: an asset (its first artifact) or `asset.table` (another of its tables), and which of its keys."""
Writes = Callable[[str], tuple[Artifact, ...]]
"""The artifacts of a key; the first carries the commit and is written last."""
Counted = tuple[Callable[..., Any], ...]
"""Functions and classes whose code decides bytes."""


@dataclass(frozen=True)
class Input:
    """One artifact that a key reads, and the asset and key that write it."""

    asset: str
    key: str
    artifact: Artifact


@dataclass(frozen=True)
class Declaration:
    """What stands beside an asset's function.

    - `partitions(scope)`: its keys; None for an asset that is not partitioned. No key, no asset.
    - `settings(scope)`, `settings_of(scope, key)`: the configuration that decides the bytes of all keys, of one key.
    - `counted(scope)`, `counted_of(scope, key)`: code that decides bytes besides the function and its imports.
    - `everyday(scope)`: the keys that a plain run makes; all of them without it.
    - `weekly`: renewed by the weekly re-benchmark.
    - `exists(scope)`: whether there is such an asset in a profile.
    - `observed`: lies outside the home and is looked at, not made.
    """

    name: str
    title: str
    description: str
    group_name: str
    kinds: frozenset[str]
    reads: Reads | Callable[[Scope], Reads]
    writes: Writes
    partitions: Keys | None = None
    settings: Callable[[Scope], object] | None = None
    settings_of: Callable[[Scope, str], object] | None = None
    counted: Callable[[Scope], Counted] | None = None
    counted_of: Callable[[Scope, str], Counted] | None = None
    everyday: Keys | None = None
    pool: str | None = None
    weekly: bool = False
    exists: Callable[[Scope], bool] | None = None
    observed: bool = False


@dataclass(frozen=True)
class Asset:
    """An asset of one profile: a declaration with its keys, and the function that makes them."""

    declared: Declaration
    scope: Scope
    keys: tuple[str, ...]
    inputs: Callable[[str], tuple[Input, ...]]
    function: Callable[..., None]
    member: object = None
    _versions: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The asset's name in Dagster."""
        return self.declared.name

    @property
    def title(self) -> str:
        """What people call it."""
        return self.declared.title

    @property
    def partitioned(self) -> bool:
        """Whether it has partitions; else its only key is `all`."""
        return self.declared.partitions is not None

    @cached_property
    def everyday(self) -> tuple[str, ...]:
        """The keys that a plain run makes; the others are made when they are selected by name."""
        return self.keys if self.declared.everyday is None else self.declared.everyday(self.scope)

    def outputs(self, key: str) -> tuple[Artifact, ...]:
        """What is written for a key; the first carries the commit."""
        return self.declared.writes(key)

    def make(self, work: Any) -> None:
        """Call the function."""
        self.function(work) if self.member is None else self.function(work, self.member)

    @cached_property
    def code_version(self) -> str:
        """Changes when the code or the settings that decide any of its bytes change."""
        return code_version(self.counted, self.settings, self._tables)

    @property
    def settings(self) -> object:
        """The configuration that decides any of its bytes."""
        return (self._settings, [self._own_settings(key) for key in self.keys if self.declared.settings_of])

    def version_of(self, key: str) -> str:
        """The code version of one key; narrower than the asset's where keys have code or settings of their own."""
        if self.declared.counted_of is None and self.declared.settings_of is None:
            return self.code_version
        if key not in self._versions:
            self._versions[key] = code_version(
                self.counted_for(key), (self._settings, self._own_settings(key)), self._tables
            )
        return self._versions[key]

    @property
    def counted(self) -> Counted:
        """Every function and class that its code version begins with."""
        return (*self._common_code, *(each for key in self.keys for each in self._own_code(key)))

    def counted_for(self, key: str) -> Counted:
        """Those of one key."""
        return (*self._common_code, *self._own_code(key))

    @property
    def sources(self) -> Mapping[str, tuple[str, int]]:
        """File and line of its function, by the function's name, and of its member's code, by the module's."""
        found: dict[str, Callable[..., Any]] = {self.function.__name__: self.function}
        if self.member is not None and self.declared.counted is not None:
            own = self.declared.counted(self.scope)[0]
            found[own.__module__.removeprefix("geo_pipeline.")] = own
        plain = {name: inspect.unwrap(each) for name, each in found.items()}
        return {
            name: (inspect.getsourcefile(each) or "", inspect.getsourcelines(each)[1]) for name, each in plain.items()
        }

    @property
    def _common_code(self) -> Counted:
        return (self.function, *(() if self.declared.counted is None else self.declared.counted(self.scope)))

    @property
    def _settings(self) -> object:
        return None if self.declared.settings is None else self.declared.settings(self.scope)

    def _own_settings(self, key: str) -> object:
        return None if self.declared.settings_of is None else self.declared.settings_of(self.scope, key)

    def _own_code(self, key: str) -> Counted:
        return () if self.declared.counted_of is None else self.declared.counted_of(self.scope, key)

    @property
    def _tables(self) -> tuple[str, ...]:
        return tuple(artifact.name for artifact in self.outputs(self.keys[0]) if artifact.kind == "table")


@dataclass(frozen=True)
class Recipe:
    """A function and what its assets are: one, or one for each of some members (such as methods)."""

    function: Callable[..., None]
    declarations: Callable[[Scope], Iterable[tuple[Declaration, object]]]

    def bind(self, scope: Scope, made_before: Mapping[str, Asset]) -> list[Asset]:
        """The assets of a profile; what they read stands in `made_before`. Raises LookupError where it does not."""
        found = []
        for declared, member in self.declarations(scope):
            keys = (ALL,) if declared.partitions is None else declared.partitions(scope)
            if keys and (declared.exists is None or declared.exists(scope)):
                reads = declared.reads if isinstance(declared.reads, Mapping) else declared.reads(scope)
                inputs = partial(_inputs, declared.name, reads, scope, made_before)
                found.append(Asset(declared, scope, keys, inputs, self.function, member))
        return found


def asset(
    *, title: str, group_name: str, kinds: Iterable[str], **declared: Any
) -> Callable[[Callable[..., None]], Recipe]:
    """The decorator of an asset: its name is the function's, its description the docstring. See Declaration."""

    def decorate(function: Callable[..., None]) -> Recipe:
        words = " ".join((inspect.getdoc(function) or "").split())
        whole = Declaration(function.__name__, title, words, group_name, frozenset(kinds), **declared)
        return Recipe(function, lambda scope: [(whole, None)])

    return decorate


def asset_for_each(
    members: Callable[[Scope], Iterable[Any]], declared: Callable[[Scope, Any], Declaration]
) -> Callable[[Callable[..., None]], Recipe]:
    """The decorator of a function that makes one asset for each member: it is called with the work and the member."""

    def decorate(function: Callable[..., None]) -> Recipe:
        return Recipe(function, lambda scope: [(declared(scope, member), member) for member in members(scope)])

    return decorate


def tables(*names: str) -> Writes:
    """One key of each of these tables, of the asset's own key."""
    return lambda key: tuple(table(name, key) for name in names)


def listing(name: str) -> Writes:
    """A manifest."""
    return lambda key: (manifest(name),)


def checkpoint(name: str) -> Writes:
    """A checkpoint folder and the curves of its training."""
    return lambda key: (
        checkpoint_artifact(name, key),
        table("training_curves", name if key == ALL else f"{name}/{key}"),
    )


def report_folder(name: str) -> Writes:
    """A report folder."""
    return lambda key: (report(name),)


def observation(name: str) -> Writes:
    """What was seen of something outside the home, and when it is another."""
    return lambda key: (Artifact("observation", name, key),)


def _inputs(reader: str, reads: Reads, scope: Scope, made_before: Mapping[str, Asset], key: str) -> tuple[Input, ...]:
    found = []
    for what, keys_read in reads.items():
        name, _, table_name = what.partition(".")
        if name not in made_before:
            raise LookupError(f"found that {reader} reads {name}, expected an asset listed before it (assets/__init__)")
        for parent_key in keys_read(scope, key) if made_before[name].partitioned else (ALL,):
            outputs = made_before[name].outputs(parent_key)
            chosen = outputs[0] if not table_name else next(each for each in outputs if each.name == table_name)
            found.append(Input(name, parent_key, chosen))
    return tuple(found)
