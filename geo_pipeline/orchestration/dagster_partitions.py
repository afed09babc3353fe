"""The partitions of an asset as Dagster's, and its mappings between those of two assets."""

from collections.abc import Mapping

import dagster as dg


def partitions_definition(keys: tuple[str, ...]) -> dg.StaticPartitionsDefinition:
    """Keys as Dagster partitions."""
    return dg.StaticPartitionsDefinition(list(keys))


def partition_mapping(
    parent_keys: tuple[str, ...], keys: tuple[str, ...], reads: Mapping[str, set[str]]
) -> dg.PartitionMapping:
    """The Dagster mapping for "key reads these parent keys", when both sides are partitioned."""
    if all(parents == {key} for key, parents in reads.items()) and set(keys) <= set(parent_keys):
        return dg.IdentityPartitionMapping()
    children: dict[str, set[str]] = {}
    for key, parents in reads.items():
        for parent in parents:
            children.setdefault(parent, set()).add(key)
    return dg.StaticPartitionMapping({parent: sorted(found) for parent, found in children.items()})
