"""The settings of a profile by their paths, such as `geosurge.training.lr`: which there are, read from YAML, written as
YAML.

A path leads through the frozen configurations to one value. Types are checked by pydantic, strictly, when a value is
read; whatever else a configuration demands of its values it says itself. Where settings come from belongs to `choices`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from geo_pipeline.baselines.config import BaselineConfig
from geo_pipeline.profiles.profile import Profile, ProfileError
from geo_pipeline.profiles.resources import DECIDE_BYTES
from geo_pipeline.scoring.twins import WITHOUT_IDEA

FIXED = {
    "name": "--profile",
    "source": "--images, --metadata and --format",
    "seed": "--seed",
    "reference_shards": "--shards",
    "benchmarks": "--benchmark",
    "max_rejected_share": "--max-rejected",
    "everyday_baselines": "--baselines",
    "statement": None,
    "source_words": None,
    "split.benchmark_name": None,
    "chosen": None,
}
"""What is no setting, each with the option that decides it, if there is one."""
MODELS = ("lvlm", "router.lvlm", "segmentation")
"""Where a `model` stands beside the `revision` of its files."""
HELP = "`geo-pipeline settings` lists all settings"
Held = TypeVar("Held")


@dataclass(frozen=True)
class Setting:
    """A value and the type that its configuration declares."""

    value: object
    kind: Any


def settings_of(profile: Profile) -> dict[str, Setting]:
    """Every setting of a profile by its path, in the order of the configurations."""
    found = dict(_settings(profile, ""))
    for baseline in profile.baselines:
        found |= {
            path: setting
            for path, setting in _settings(baseline, _below(baseline))
            if path.count(".") > 2  # its name and whether its idea is on are what it is
        }
    return found


def shown(profile: Profile) -> dict[str, Setting]:
    """The settings without those that say what the setting that they follow says."""
    found = settings_of(profile)
    followers = {path: _follower(path) for path in found}
    same = {after for path, after in followers.items() if after in found and found[after].value == found[path].value}
    return {path: setting for path, setting in found.items() if path not in same}


def written(profile: Profile, machines: bool = True) -> str:
    """The settings as YAML that `--config` reads, each with its type; `machines`: those that decide no byte too."""
    lines, above = [f"# Settings of the profile {profile.name}, for geo-pipeline run --config"], list[str]()
    for path, setting in shown(profile).items():
        if machines or decides_bytes(path):
            *sections, name = path.split(".")
            known = next((at for at, pair in enumerate(zip(sections, above, strict=False)) if pair[0] != pair[1]), None)
            start = min(len(sections), len(above)) if known is None else known
            lines += [f"{'  ' * at}{sections[at]}:" for at in range(start, len(sections))]
            lines.append(f"{'  ' * len(sections)}{name}: {_inline(setting.value)}  # {_words(setting.kind)}")
            above = sections
    return "\n".join(lines) + "\n"


def decides_bytes(path: str) -> bool:
    """Whether a setting decides a byte of what is computed, and not only where and how fast."""
    section, _, name = path.partition(".")
    return section != "compute" or name in DECIDE_BYTES


def read_config(text: str) -> dict[str, object]:
    """The settings in the text of a configuration file: nested, or with dotted paths.

    Raises ProfileError where it is not YAML, not a mapping, or names a setting twice.
    """
    where = "the configuration (--config)"
    tree = _yaml(text, where)
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ProfileError(
            f"found {_inline(tree)} as the configuration (--config), expected settings by name, such as "
            f"`partition: {{tau_min: 50}}`; {HELP}"
        )
    found: dict[str, object] = {}
    try:
        leaves = list(_flat(tree, ""))
    except RecursionError:  # a mapping that is its own value
        raise _endless(where) from None
    for path, value in leaves:
        if path in found:
            raise ProfileError(f"found {path} twice in the configuration (--config), expected it once; remove one")
        found[path] = value
    return found


def read_assigned(assigned: Mapping[str, str]) -> dict[str, object]:
    """The settings of assignments, path to YAML. Raises ProfileError where a value is not YAML."""
    found: dict[str, object] = {}
    for path, text in assigned.items():
        found |= dict(_flat({path: _yaml(text, f"--set {path}={text}")}, ""))
    return found


def changed(profile: Profile, given: Mapping[str, object]) -> Profile:
    """The profile with other settings, which `chosen` then names.

    `lvlm.*` reaches the router's model too, and a baseline's settings its twin without its idea, unless those are given
    as well or the profile has another value there; another `model` has no pinned revision unless one is given. Raises
    ProfileError for a path that is no setting, a value of another type, and what a configuration refuses.
    """
    if not given:
        return profile
    known = settings_of(profile)
    unknown = [path for path in given if path not in known]
    if unknown:
        raise ProfileError(_no_setting(unknown[0], given[unknown[0]], known))
    values = {path: _read(path, value, known[path].kind) for path, value in given.items()}
    followed = {
        after: value
        for path, value in values.items()
        if (after := _follower(path)) in known and known[after].value == known[path].value
    }
    values = followed | values
    for section in MODELS:
        model = f"{section}.model"
        if values.get(model, known[model].value) != known[model].value:
            values.setdefault(f"{section}.revision", None)
    baselines = tuple(_replaced(each, values, _below(each)) for each in profile.baselines)
    made = _replaced(replace(profile, baselines=baselines), values, "")
    differences = (
        (path, _inline(setting.value), _inline(known[path].value))
        for path, setting in shown(made).items()
        if setting.value != known[path].value
    )
    return replace(made, chosen=tuple(differences))


def _below(baseline: BaselineConfig) -> str:
    """The path above the settings of a baseline, which ends in the name of its method."""
    return f"baselines.{baseline.name}{'' if baseline.idea else WITHOUT_IDEA}."


def _settings(held: Any, above: str) -> Iterator[tuple[str, Setting]]:
    kinds = get_type_hints(type(held))
    for each in fields(held):
        path, value = f"{above}{each.name}", getattr(held, each.name)
        if path in FIXED or path == "baselines":
            continue
        if is_dataclass(value):
            yield from _settings(value, f"{path}.")
        else:
            yield path, Setting(value, kinds[each.name])


def _replaced(held: Held, values: Mapping[str, object], above: str) -> Held:
    """A configuration with the values below its path; the configurations in it are made before it."""
    new: dict[str, Any] = {}
    for each in fields(held):  # type: ignore[arg-type]
        path, value = f"{above}{each.name}", getattr(held, each.name)
        if path in values:
            new[each.name] = values[path]
        elif is_dataclass(value) and not isinstance(value, type):
            inner = _replaced(value, values, f"{path}.")
            new |= {} if inner is value else {each.name: inner}
    if not new:
        return held
    try:
        return replace(held, **new)  # type: ignore[type-var]
    except ProfileError:
        raise
    except ValueError as error:
        given = ", ".join(f"{path}={_inline(value)}" for path, value in values.items() if path.startswith(above))
        raise ProfileError(f"{error} (of the settings {given})") from error


def _follower(path: str) -> str:
    """The setting that is as this one unless it is given itself; empty where there is none."""
    section, _, rest = path.partition(".")
    name, _, below = rest.partition(".")
    if section == "baselines" and not name.endswith(WITHOUT_IDEA):
        return f"baselines.{name}{WITHOUT_IDEA}.{below}"
    return f"router.{path}" if section == "lvlm" else ""


def _read(path: str, value: object, kind: Any) -> object:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False)).validate_python(_tuples(value))
    except ValidationError as error:
        raise ProfileError(
            f"found {path} = {_inline(value)}, expected {_words(kind)}; correct it (--set, --config); {HELP}"
        ) from error


def _tuples(value: object) -> object:
    """YAML's lists as the tuples of frozen configurations."""
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value


def _no_setting(path: str, value: object, known: Iterable[str]) -> str:
    """Why a path is no setting, and what was perhaps meant."""
    for fixed, option in FIXED.items():
        if f"{path}.".startswith(f"{fixed}."):
            instead = f"{option} in its place" if option else "it to stay as the profile has it"
            return f"found {path} among the settings, expected {instead}; {HELP}"
    below = [each.removeprefix(f"{path}.") for each in known if each.startswith(f"{path}.")]
    if below:
        return f"found {path} = {_inline(value)}, expected a setting below it: {', '.join(below[:12])}; {HELP}"
    near = get_close_matches(path, list(known), n=3, cutoff=0.5)
    meant = f"one of its kind, perhaps {_either(near)}" if near else "the path of one"
    return f"found no setting {path}, expected {meant}; {HELP}"


def _words(kind: Any) -> str:
    """A type as a person would say it."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _either([str(each) for each in inner])
    if origin in (Union, UnionType):
        return _either([_words(each) for each in inner])
    if origin is tuple and inner[-1] is Ellipsis:
        return f"a list, each {_words(inner[0])}"
    if origin is tuple:
        return f"[{', '.join(_words(each) for each in inner)}]"
    plain = {int: "a whole number", float: "a number", bool: "true or false", str: "text", NoneType: "null"}
    return plain[kind]


def _either(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


# YAML


class _Loader(yaml.SafeLoader):
    """YAML in which no key stands twice, and 3e-4 is a number as in version 1.2."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(problem=f"{twice[0]} twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """YAML that _Loader reads as it was."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789"))
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789"))


def _yaml(text: str, where: str) -> object:
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or str(error)
        line = f" in line {mark.line + 1}" if mark else ""
        raise ProfileError(f"found {problem}{line} of {where}, expected YAML; correct it") from error
    except RecursionError:
        raise _endless(where) from None


def _endless(where: str) -> ProfileError:
    return ProfileError(f"found settings nested without end in {where}, expected a few levels; correct it")


def _inline(value: object) -> str:
    """A value as YAML in one line."""
    return yaml.dump(value, Dumper=_Dumper, default_flow_style=True, width=10**6).removesuffix("...\n").strip()


def _flat(tree: Mapping[Any, object], above: str) -> Iterator[tuple[str, object]]:
    """The leaves of a mapping of mappings by their dotted paths."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
