"""Seconds that dagster-webserver needs for what the pages of the UI ask of it; used by code_location.py.

The questions have the fields that the lineage graph and an asset's pages ask for. Each is asked twice; the second, warm
answer counts, as it does for who has the page open (the pages ask again every few seconds).
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STARTS_WITHIN_S = 120
EVENT = "timestamp runId partition tags { key value } metadataEntries { __typename label description }"
CAUSES = "{ key { path } partitionKey category reason dependency { path } }"
STATUSES = """assetPartitionStatuses { __typename ... on DefaultPartitionStatuses { materializedPartitions
  materializingPartitions failedPartitions unmaterializedPartitions } }"""
QUESTIONS = {
    "graph": """{ assetNodes { id assetKey { path } opNames groupName kinds description isPartitioned isMaterializable
        computeKind owners { __typename } dependencyKeys { path } dependedByKeys { path } hasAssetChecks
        partitionDefinition { name description type } metadataEntries { __typename label } } }""",
    "marks in the graph": """query($keys: [AssetKeyInput!]!) {
        assetNodes(assetKeys: $keys, loadMaterializations: true) { id assetKey { path }
          assetMaterializations(limit: 1) { timestamp runId } freshnessInfo { currentLagMinutes }
          partitionStats { numMaterialized numMaterializing numPartitions numFailed } }
        assetsLatestInfo(assetKeys: $keys) { assetKey { path } unstartedRunIds inProgressRunIds
          latestMaterialization { timestamp runId } latestRun { id status endTime } } }""",
    "stale marks": "query($keys: [AssetKeyInput!]!) { assetNodes(assetKeys: $keys) { id staleStatus staleCauses "
    + CAUSES
    + " } }",
    "asset page": """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode { id description
        jobNames owners { __typename } metadataEntries { __typename label } partitionDefinition { description }
        assetMaterializations(limit: 50) { """
    + EVENT
    + " } } } }",
    "partitions": "query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode { id "
    "partitionKeysByDimension { name type partitionKeys } " + STATUSES + " } } }",
    "stale shards": """query($key: AssetKeyInput!, $shards: [String!]!) { assetNodeOrError(assetKey: $key) {
        ... on AssetNode { id staleStatusByPartition(partitions: $shards) } } }""",
}


def asked(shards: int, folder: Path, asset: str = "images") -> dict[str, float]:
    """Start the webserver on a home with so many shards; seconds of its start and of each question."""
    with served(shards, folder) as (address, started_s):
        nodes = _ask(address, "{ assetNodes { assetKey { path } partitionKeys } }", {})["assetNodes"]
        keys = [{"path": node["assetKey"]["path"]} for node in nodes]
        mine = next(node["partitionKeys"] for node in nodes if node["assetKey"]["path"] == [asset])
        given = {"keys": keys, "key": {"path": [asset]}, "shards": mine}
        found = {"start": started_s}
        for name, question in QUESTIONS.items():
            wanted = {word: value for word, value in given.items() if f"${word}:" in question}
            took = []
            for _ in range(2):
                started = time.perf_counter()
                _ask(address, question, wanted)
                took.append(time.perf_counter() - started)
            found[name] = took[-1]
    return found


@contextmanager
def served(shards: int, folder: Path) -> Iterator[tuple[str, float]]:
    """A running webserver on the code location; its address, and the seconds until it knew the assets."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(folder / "dagster"),
        "GEO_PIPELINE_PROFILE": "sample",
        "GEO_PIPELINE_HOME": str(folder),
        "GEO_PIPELINE_SHARDS": str(shards),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    command = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port)]
    command += ["-m", "geo_pipeline.definitions"]
    started = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while time.perf_counter() - started < STARTS_WITHIN_S and server.poll() is None:
                try:
                    if _ask(address, "{ assetNodes { id } }", {})["assetNodes"]:
                        break
                except (urllib.error.URLError, ConnectionError):
                    pass
                time.sleep(0.2)
            else:
                raise RuntimeError(f"found no webserver at {address} within {STARTS_WITHIN_S} s")
            yield address, time.perf_counter() - started
        finally:
            server.terminate()


def _ask(address: str, question: str, variables: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps({"query": question, "variables": variables}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        told = json.loads(answer.read())
    if told.get("errors"):
        raise RuntimeError(f"the webserver answered {told['errors'][0]['message']}")
    found: dict[str, Any] = told["data"]
    return found
