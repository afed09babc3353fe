"""The assets of predictions, one for each entry of METHODS that trains nothing of its own, and one for each router.

What a method reads and computes stands in its entry in methods/; baselines have assets of their own (baselines.py).
"""

from collections.abc import Iterator

from geo_pipeline.home.artifact import table
from geo_pipeline.methods.method import Method
from geo_pipeline.orchestration.partitions import Scope, benchmark_shards, query_shards, same_shard
from geo_pipeline.orchestration.recipe import GPU, Declaration, asset_for_each
from geo_pipeline.orchestration.work import Work


def plain_methods(scope: Scope) -> Iterator[Method]:
    """The methods that answer with what other assets have trained."""
    return (each for each in scope.methods.values() if each.kind != "router" and each.baseline is None)


def routers(scope: Scope) -> Iterator[Method]:
    """The routers."""
    return (each for each in scope.methods.values() if each.kind == "router")


def answers_of(scope: Scope, method: Method) -> Declaration:
    """The asset of a method's answers: what its entry says."""
    return Declaration(
        name=method.asset,
        title=f"Predictions: {method.title}",
        description=method.description,
        group_name="routing" if method.kind == "router" else "predictions",
        kinds=frozenset({"parquet", "pytorch", "ray"} if method.remote else {"parquet"}),
        partitions=benchmark_shards if method.query_sets == "benchmarks" else query_shards,
        reads=dict.fromkeys(method.upstream, same_shard),
        writes=lambda key: (table("predictions", f"{method.name}/{key}"),),
        settings=lambda scope: (method.settings(scope.profile), scope.profile.compute.byte_settings()),
        counted=lambda scope: (method.worker, method.queries, method.arguments),
        pool=GPU if method.remote else None,
        weekly=True,
    )


@asset_for_each(plain_methods, answers_of)
def predictions(work: Work, method: Method) -> None:
    """A method's answer to every query photograph, one row each."""
    work.map_shards(method.worker(), method.queries, method.arguments, in_this_process=not method.remote)


@asset_for_each(routers, answers_of)
def routed_predictions(work: Work, method: Method) -> None:
    """For every query photograph the answer of the paradigm that a router chooses."""
    work.map_shards(method.worker(), method.queries, method.arguments)
