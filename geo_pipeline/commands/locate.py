"""`geo-pipeline locate`: a user's photographs through the same worker classes that the lineage uses, in this process.

Needs a home with checkpoints and a gallery that are up to date; trains nothing, and writes nothing
but the digests of weights that the home did not know yet.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.compute.compute import set_threads
from geo_pipeline.contracts.contract import load
from geo_pipeline.home.artifact import ALL
from geo_pipeline.home.home import Home
from geo_pipeline.home.reading import HomeReads
from geo_pipeline.imagery.decode import Canonical, ImageRejected, canonical_image
from geo_pipeline.methods.photographs import reference_images
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.methods.router import router_inputs, top_references
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.freshness import Freshness
from geo_pipeline.orchestration.lineage import Lineage, bind
from geo_pipeline.orchestration.recipe import Asset
from geo_pipeline.orchestration.weights import refuse_other_weights
from geo_pipeline.profiles.profile import Profile

SHOWN_REFERENCES = 5
LOCATING = ("retrieval", "generation", "router")


def locate_images(profile: Profile, home: Home, images: Sequence[Path]) -> list[dict[str, Any]]:
    """One dictionary per image, in their order: `image` (the path as given), `retrieval`, `generation`, `router` and
    `references`; `image` and `refused` (the reason and its detail) for one that cannot be read.

    Raises StaleInputError when the home's checkpoints or gallery are missing or stale, and ProfileError when weights
    are not those that they were.
    """
    lineage = bind(ASSETS, profile, METHODS, BENCHMARKS)
    Freshness(lineage, home).refuse("locate", _needed(lineage))
    names = ("segmentations", *(METHODS[method].asset for method in LOCATING))
    refuse_other_weights(lineage, home, [lineage.assets[name] for name in names])
    canonical = [_canonical(profile, path) for path in images]
    refused = {at: words for at, words in enumerate(canonical) if isinstance(words, str)}
    queries = _queries([image for image in canonical if isinstance(image, Canonical)])
    answers = iter(_located(HomeReads(home, profile), queries) if queries.num_rows else ())
    return [
        {"image": str(path), **({"refused": refused[at]} if at in refused else next(answers))}
        for at, path in enumerate(images)
    ]


def _canonical(profile: Profile, path: Path) -> Canonical | str:
    """The image, or why it cannot be read."""
    try:
        return canonical_image(path.read_bytes(), profile.canonical_px, profile.canonical_quality)
    except ImageRejected as error:
        return str(error)
    except OSError as error:
        return f"missing_file: {error.strerror or error}"


def _located(reads: HomeReads[Profile], queries: pa.Table) -> list[dict[str, Any]]:
    """The answers to the queries, in their order."""
    from geo_pipeline.geosurge.worker import FeatureWorker
    from geo_pipeline.segmentation.worker import SegmentationWorker

    profile, photographs = reads.profile, queries.select(["image_id", "jpeg"])
    set_threads(profile.compute.torch_threads)
    maps = SegmentationWorker(config=profile.segmentation)(photographs)
    pairs = photographs.append_column("class_map_png", maps["class_map_png"])
    features = FeatureWorker(reads.checkpoint("geosurge_checkpoint"), profile.inference)(pairs)
    retrieval = _answers_of("retrieval", reads, queries.append_column("feature", features["feature"]))
    generation = _answers_of("generation", reads, photographs)
    asked = router_inputs(photographs, retrieval, generation, reference_images(reads, top_references(retrieval)))
    routed = _answers_of("router", reads, asked)
    return _answers(reads, queries["image_id"].to_pylist(), retrieval, generation, routed)


def _answers_of(method: str, reads: HomeReads[Profile], queries: pa.Table) -> pa.Table:
    """A method's answers to queries, by the class that answers in the lineage too."""
    entry = METHODS[method]
    answers: pa.Table = entry.worker()(**entry.arguments(reads))(queries)
    return answers


def _needed(lineage: Lineage) -> Iterator[tuple[Asset, str]]:
    """What stands for all queries alike: checkpoints and galleries, but no benchmark's photographs or predictions."""
    for method in LOCATING:
        asset = lineage.assets[METHODS[method].asset]
        for read in asset.inputs(asset.keys[0]):
            parent = lineage.assets[read.asset]
            if not parent.partitioned:
                yield parent, read.key
    yield lineage.assets["image_manifest"], ALL


def _queries(images: Sequence[Canonical]) -> pa.Table:
    rows = []
    for number, image in enumerate(images):
        rows.append(
            {
                "image_id": f"query-{number:06d}",
                "set_name": "query",
                "author": None,
                "lat_deg": 0.0,
                "lon_deg": 0.0,
                "jpeg": image.jpeg,
                "width": image.width,
                "height": image.height,
                "sha256": image.sha256,
                "phash": image.phash,
                "credit": None,
            }
        )
    return pa.Table.from_pylist(rows, schema=load("images").arrow_schema)


def _answers(
    reads: HomeReads[Profile], query_ids: Sequence[str], retrieval: pa.Table, generation: pa.Table, routed: pa.Table
) -> list[dict[str, Any]]:
    by_id: list[dict[str, dict[str, Any]]] = [
        {row["image_id"]: row for row in rows.to_pylist()} for rows in (retrieval, generation, routed)
    ]
    wanted = {each for ids in retrieval["candidate_ids"].to_pylist() for each in (ids or [])[:SHOWN_REFERENCES]}
    credits = dict(
        pair
        for key in reads.listed("image_manifest", "images")
        for pair in _pairs(reads.table("images", key, ["image_id", "credit"], sorted(wanted)))
    )
    answers = []
    for query_id in query_ids:
        found, said, choice = (rows[query_id] for rows in by_id)
        candidates = zip(
            found["candidate_ids"] or [],
            found["candidate_lats_deg"] or [],
            found["candidate_lons_deg"] or [],
            strict=True,
        )
        answers.append(
            {
                "retrieval": _coordinate(found),
                "generation": _coordinate(said) | {"raw_answer": said["raw_answer"]},
                "router": _coordinate(choice) | {"chosen": choice["chosen"], "score": choice["score"]},
                "references": [
                    {"image_id": image_id, "lat_deg": lat_deg, "lon_deg": lon_deg, "credit": credits.get(image_id)}
                    for image_id, lat_deg, lon_deg in list(candidates)[:SHOWN_REFERENCES]
                ],
            }
        )
    return answers


def _pairs(rows: pa.Table) -> list[tuple[str, str | None]]:
    return list(zip(rows["image_id"].to_pylist(), rows["credit"].to_pylist(), strict=True))


def _coordinate(row: dict[str, Any]) -> dict[str, Any]:
    return {"lat_deg": row["lat_deg"], "lon_deg": row["lon_deg"], "failure": row["failure"]}


def location_text(answer: dict[str, Any]) -> str:
    """One answer for a terminal."""

    def place(found: dict[str, Any]) -> str:
        return "no answer" if found["lat_deg"] is None else f"{found['lat_deg']:.4f}, {found['lon_deg']:.4f}"

    if "refused" in answer:
        return f"{answer['image']}\n  not located: {answer['refused']}"
    router = answer["router"]
    strength = "" if router["score"] is None else f" (score {router['score']:+.2f})"
    lines = [
        answer["image"],
        f"  answer      {place(router)}  by {router['chosen']}{strength}",
        f"  retrieval   {place(answer['retrieval'])}",
        f"  generation  {place(answer['generation'])}",
    ]
    lines += [
        f"  reference   {place(each)}  {each['image_id']}" + (f"  {each['credit']}" if each["credit"] else "")
        for each in answer["references"]
    ]
    return "\n".join(lines)
