"""Which weights an asset reads, compared before they make anything: files outside the home, no asset of Dagster's."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from geo_pipeline.home.home import Home
from geo_pipeline.orchestration.lineage import Lineage
from geo_pipeline.orchestration.recipe import Asset
from geo_pipeline.profiles.requirements import NeededFiles
from geo_pipeline.profiles.weights import check_weights

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def refuse_other_weights(lineage: Lineage, home: Home, assets: Sequence[Asset]) -> None:
    """Raise ProfileError when weights that these assets read are damaged, or not those that the home used before."""

    def renewal(need: NeededFiles) -> str:
        made = [name for name, asset in lineage.assets.items() if reads(asset, need) and _is_begun(asset, home)]
        return f"geo-pipeline run --again '{' or '.join(made)}'" if made else "geo-pipeline run"

    needs = [need for need in lineage.profile.needs if any(reads(asset, need) for asset in assets)]
    if needs:
        check_weights(needs, home.root, renewal)


def reads(asset: Asset, need: NeededFiles) -> bool:
    """Whether a configuration among the settings of an asset names these weights in one of its fields.

    Not anywhere in the settings: a report only tells which networks ran.
    """
    named = need.named or need.repository
    return any(getattr(each, field.name) == named for each in _configurations(asset.settings) for field in fields(each))


def _is_begun(asset: Asset, home: Home) -> bool:
    return any(home.stored(output) is not None for key in asset.keys for output in asset.outputs(key))


def _configurations(value: object) -> Iterator["DataclassInstance"]:
    parts: Iterable[object] = ()
    if is_dataclass(value) and not isinstance(value, type):
        yield value
        parts = (getattr(value, field.name) for field in fields(value))
    elif isinstance(value, tuple | list):
        parts = value
    for part in parts:
        yield from _configurations(part)
