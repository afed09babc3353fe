"""Retrieval over a large gallery against the straightforward way: `python -m geo_pipeline_tests.speed.retrieval`.

Random features of 200,000 references and 64 queries over cells about as many as MP-16 gives. The straightforward way
scores the whole gallery at once, gathers every partition for every reference and brings the embeddings to unit length
for every batch. Each way runs in a process of its own for its memory, in turn; both must name the same candidates.
`--save` writes docs/measurements/retrieval.{json,md}.

Shapes: B queries, N references, D width, P partitions.
"""

import argparse
import ctypes
import gc
import json
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch.nn import functional

from geo_pipeline.earth.partition import PartitionConfig, build_hierarchy
from geo_pipeline.geosurge import checkpoint
from geo_pipeline.geosurge.config import GeoSurgeConfig, InferenceConfig
from geo_pipeline.geosurge.gallery import Gallery
from geo_pipeline.geosurge.geography import GeographicEmbeddings
from geo_pipeline.geosurge.retrieval import RetrievalPredictor
from geo_pipeline.geosurge.vision import TowerArchitecture
from geo_pipeline_tests.speed.measuring import fresh_process, peak_mib, save
from geo_pipeline_tests.speed.taking_turns import shortest

DIM = 768
INFERENCE = InferenceConfig()
TOWER = TowerArchitecture(8, False, {}, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""A checkpoint names its tower; none is needed here."""


class WholeGallery:
    """The same scores as one would write them first; exclusions, which cost little, are left out."""

    def __init__(self, folder: Path, gallery: pa.Table) -> None:
        stored = checkpoint.read(folder, prefix="geography.")
        cells = [len(partition.cell_ids) for partition in stored.hierarchy.partitions]
        self.geography = GeographicEmbeddings(cells, DIM, 0.07, 100.0).requires_grad_(False)
        named = {name.removeprefix("geography."): tensor for name, tensor in stored.tensors.items()}
        self.geography.load_state_dict(named)
        self.ids = np.asarray(gallery["image_id"].to_pylist())
        rows_NP = stored.hierarchy.assign(gallery["lat_deg"].to_numpy(), gallery["lon_deg"].to_numpy())
        self.rows_NP = torch.from_numpy(rows_NP).long()
        self.unit_ND = functional.normalize(vectors(gallery), dim=1)

    @torch.inference_mode()
    def __call__(self, queries: pa.Table) -> list[list[str]]:
        """Ids of the best references of each query, best first."""
        features_BD = vectors(queries)
        total_BN = functional.normalize(features_BD, dim=1) @ self.unit_ND.T / INFERENCE.similarity_temperature
        for logits_BC, rows_N in zip(self.geography.logits(features_BD), self.rows_NP.unbind(1), strict=True):
            part_BC = functional.log_softmax(logits_BC, dim=1)
            lowest_B1 = part_BC.min(dim=1, keepdim=True).values
            total_BN = total_BN + torch.where(rows_N >= 0, part_BC[:, rows_N.clamp_min(0)], lowest_B1)
        best_BK = total_BN.topk(INFERENCE.candidates, dim=1).indices.numpy()
        named: list[list[str]] = self.ids[best_BK].tolist()
        return named


def vectors(table: pa.Table) -> torch.Tensor:
    """The feature column (B, D)."""
    flat = table["feature"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return torch.from_numpy(flat.reshape(len(table), DIM).copy())


def drawn(prefix: str, rows: slice, photographs: int) -> pa.Table:
    """Rows of a large set of random photographs: places, features, and fingerprints that exclude nothing."""
    rng = np.random.default_rng([len(prefix), ord(prefix[0])])
    lat_deg, lon_deg = places(photographs)
    count = len(lat_deg[rows])
    halves = rng.standard_normal(count * DIM, dtype=np.float32).astype(np.float16)  # as a gallery keeps them
    features = halves.astype(np.float32)
    return pa.table(
        {
            "image_id": pa.array([f"{prefix}-{row}" for row in range(count)]),
            "author": pa.array([f"{prefix}-author-{row}" for row in range(count)]),
            "lat_deg": lat_deg[rows],
            "lon_deg": lon_deg[rows],
            "sha256": pa.array([f"{prefix}-{row}" for row in range(count)]),
            "phash": pa.array(rng.integers(-(2**62), 2**62, count)),
            "feature": pa.ListArray.from_arrays(
                pa.array(np.arange(count + 1, dtype=np.int32) * DIM), pa.array(features)
            ),
        }
    )


def places(photographs: int) -> tuple[np.ndarray, np.ndarray]:
    """Latitudes and longitudes of so many photographs, all over the Earth."""
    rng = np.random.default_rng(0)
    return np.degrees(np.arcsin(rng.uniform(-1, 1, photographs))), rng.uniform(-180, 180, photographs)


def one(kind: str, references: int, queries: int, rounds: int, photographs: int = 400_000) -> dict[str, object]:
    """Seconds, memory beyond the loaded gallery, and the candidates of one way, `ours` or `plain`."""
    config = PartitionConfig(tau_min=2, tau_max=(2000, 800, 400, 200, 100, 60, 40))
    hierarchy = build_hierarchy(*places(photographs), config)
    torch.manual_seed(0)
    cells = [len(partition) for partition in hierarchy.partitions]
    geography = GeographicEmbeddings(cells, DIM, 0.07, 100.0)
    with tempfile.TemporaryDirectory() as written:
        tensors = {f"geography.{name}": tensor for name, tensor in geography.state_dict().items()}
        checkpoint.save(Path(written), tensors, GeoSurgeConfig(), TOWER.to_json(), hierarchy, {})
        gallery = drawn("reference", slice(0, references), photographs)
        asked = drawn("query", slice(-queries, None), photographs)
        if kind == "ours":
            predictor = RetrievalPredictor(written, INFERENCE, Gallery.of(gallery), "cpu")
            answer = lambda: predictor(asked)["candidate_ids"].to_pylist()  # noqa: E731
        else:
            whole = WholeGallery(Path(written), gallery)
            answer = lambda: whole(asked)  # noqa: E731
    forget()
    before = peak_mib()
    named = answer()
    mib = peak_mib() - before
    return {"seconds": shortest({"answer": answer}, rounds)["answer"], "mib": mib, "cells": sum(cells), "named": named}


def forget() -> None:
    """Give back what building the gallery left free, and let the kernel's high-water mark begin anew."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    """Measure, print Markdown, and keep the figures with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write docs/measurements/retrieval.{json,md}")
    parser.add_argument("--references", type=int, default=200_000)
    parser.add_argument("--queries", type=int, nargs="*", default=[64, 256])
    parser.add_argument("--one", nargs=3, metavar=("KIND", "REFERENCES", "QUERIES"), help="one figure (used inside)")
    chosen = parser.parse_args()
    if chosen.one:
        kind, *counts = chosen.one
        print(json.dumps(one(kind, *map(int, counts), rounds=4)))  # noqa: T201
        return
    figures, lines = (
        [],
        [
            "# Retrieval over a large gallery",
            "",
            f"`python -m geo_pipeline_tests.speed.retrieval`, {torch.get_num_threads()} CPU threads, float32, "
            f"{chosen.references:,} references. `Straightforward` scores the whole gallery at once. Memory is what a "
            "call adds to the loaded gallery.",
            "",
            "| queries at once | ours | straightforward | ratio | memory ours | memory straightforward |",
            "|---:|---:|---:|---:|---:|---:|",
        ],
    )
    for queries in chosen.queries:
        runs: dict[str, list[dict[str, object]]] = {"ours": [], "plain": []}
        for _ in range(2):
            for kind, found in runs.items():
                counts = (str(chosen.references), str(queries))
                found.append(fresh_process("geo_pipeline_tests.speed.retrieval", "--one", kind, *counts))
        if runs["ours"][0]["named"] != runs["plain"][0]["named"]:
            raise SystemExit("found other candidates in the two ways; expected the same")
        ours, plain = (min(float(str(run["seconds"])) for run in found) for found in runs.values())
        ours_mib, plain_mib = (min(float(str(run["mib"])) for run in found) for found in runs.values())
        known = {"ours_seconds": ours, "plain_seconds": plain, "ours_mib": ours_mib, "plain_mib": plain_mib}
        figures.append({"references": chosen.references, "queries": queries, **known})
        lines.append(
            f"| {queries} | {ours:.3f} s | {plain:.3f} s | {plain / ours:.1f}x | {ours_mib:,.0f} MiB "
            f"| {plain_mib:,.0f} MiB |"
        )
    print("\n".join(lines))  # noqa: T201
    if chosen.save:
        save("retrieval", {"sizes": figures}, "\n".join(lines))


if __name__ == "__main__":
    main()
