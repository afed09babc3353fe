"""The census counts every record once, knows the set of what was refused, and names duplicates across shards."""

import hashlib
from dataclasses import replace

import pyarrow as pa
import pytest

from geo_pipeline.compute.in_process import InProcessCompute
from geo_pipeline.contracts.contract import load
from geo_pipeline.home.artifact import table
from geo_pipeline.home.home import Home
from geo_pipeline.imagery.census import LostPhotographsError
from geo_pipeline.imagery.shard_plan import ShardPlan
from geo_pipeline.orchestration.assets.census import census_stages
from geo_pipeline.orchestration.display import census_table, group_table, leakage_table
from geo_pipeline.orchestration.shards import Shards
from geo_pipeline.orchestration.stage import Step
from geo_pipeline.profiles.sample import sample

SHARDS = Shards(ShardPlan(2, ("router_queries", "planet_mixed")), ("planet_mixed",))
PROFILE = replace(sample(0), benchmarks=("planet_mixed",))
SHARD_OF = {"train": "reference-000", "holdout": "reference-001"}
HASHES = {"lake": 0x0F0F0F0F33335555, "hill": 0x123456789ABCDEF0, "street": 0x2545454515545612}


def photograph(image_id, set_name, picture, flipped=0, author=None):
    return {"image_id": image_id, "set_name": set_name, "picture": picture, "flipped": flipped, "author": author}


PHOTOGRAPHS = [
    photograph("t1", "train", "lake", author="ann"),
    photograph("t2", "train", "hill", author="ann"),
    photograph("t3", "train", "street", author="bob"),
    photograph("h1", "holdout", "hill", flipped=0b111, author="eve"),
    photograph("r1", "router_queries", "lake", flipped=0b1 << 40, author="zoe"),
    photograph("b1", "planet_mixed", "lake", author=None),
    photograph("b2", "planet_mixed", "broken", author="kim"),
]


def rows(name, given):
    return pa.Table.from_pylist(given, schema=load(name).arrow_schema)


def refused(stage, image_id, reason):
    return {"stage": stage, "image_id": image_id, "locator": "x", "reason": reason, "detail": "found nothing"}


def catalogue_row(each, key):
    return {
        "image_id": each["image_id"], "locator": f"{each['image_id']}.jpg", "author": each["author"], "lat_deg": 1.0,
        "lon_deg": 2.0, "set_name": each["set_name"], "shard": key, "place_token": "478b5c",
    }  # fmt: skip


def image_row(each):
    phash = HASHES[each["picture"]] ^ each["flipped"]
    file = f"{each['picture']} {each['flipped']}".encode()
    return {
        "image_id": each["image_id"], "set_name": each["set_name"], "author": each["author"], "lat_deg": 1.0,
        "lon_deg": 2.0, "jpeg": b"\xff\xd8\xff\xd9", "width": 8, "height": 8, "phash": phash,
        "sha256": hashlib.sha256(file).hexdigest(), "locator": "x", "source_offset": None,
    }  # fmt: skip


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    early = {"reference-001": [refused("catalogue", None, "null_island")]}
    early["planet_mixed"] = [refused("catalogue", "b9", "no_coordinate"), refused("catalogue", "b8", "no_coordinate")]
    for key in SHARDS.all:
        mine = [each for each in PHOTOGRAPHS if SHARD_OF.get(each["set_name"], each["set_name"]) == key]
        broken = [refused("decode", each["image_id"], "truncated") for each in mine if each["picture"] == "broken"]
        images = [image_row(each) for each in mine if each["picture"] != "broken"]
        home.write_table("catalogue", key, rows("catalogue", [catalogue_row(each, key) for each in mine]), "f")
        home.write_table("quarantine", f"catalogue/{key}", rows("quarantine", early.get(key, [])), "f")
        home.write_table("images", key, rows("images", images), "f")
        home.write_table("quarantine", key, rows("quarantine", broken), "f")
    return home


def made(home):
    """Run both stages; the census's tables and notes."""
    listing, census = census_stages(PROFILE, SHARDS)
    for stage in (listing, census):
        step = Step(stage, PROFILE, home, InProcessCompute(PROFILE.compute), {"all": "f"}, lambda line: None)
        (result,) = stage.make(step, stage.keys)
        if result.shards is not None:
            home.write_manifest(listing.name, result.shards, "f")
        for name, each in result.tables.items():
            home.write_table(name, "all", each, "f")
    return {name: home.read_table(name, "all").to_pylist() for name in result.tables}, result.notes


def test_every_record_is_counted_with_its_set_and_reason(home):
    tables, notes = made(home)
    counted = {(row["set_name"], row["stage"], row["reason"]): row["count"] for row in tables["census"]}
    assert counted == {
        ("train", "catalogue", None): 3,
        ("train", "decode", None): 3,
        ("holdout", "catalogue", None): 1,
        ("holdout", "decode", None): 1,
        ("router_queries", "catalogue", None): 1,
        ("router_queries", "decode", None): 1,
        ("planet_mixed", "catalogue", None): 2,
        ("planet_mixed", "catalogue", "no_coordinate"): 2,
        ("planet_mixed", "decode", None): 1,
        ("planet_mixed", "decode", "truncated"): 1,
        (None, "catalogue", "null_island"): 1,
    }
    authors = {row["set_name"]: row["authors"] for row in tables["census"] if row["authors"] is not None}
    assert authors == {"train": 2, "holdout": 1, "router_queries": 1, "planet_mixed": 1}
    assert notes["rejected"] == 4
    assert notes["rejected: no_coordinate"] == 2
    assert notes["set train"] == 3


def test_duplicates_are_found_across_shards_and_leakage_is_counted(home):
    tables, notes = made(home)
    assert tables["duplicates"] == [
        {"image_id": "b1", "set_name": "planet_mixed", "group": "b1", "kind": "byte", "distance": 0},
        {"image_id": "r1", "set_name": "router_queries", "group": "b1", "kind": "near", "distance": 1},
        {"image_id": "t1", "set_name": "train", "group": "b1", "kind": "byte", "distance": 0},
        {"image_id": "h1", "set_name": "holdout", "group": "h1", "kind": "near", "distance": 3},
        {"image_id": "t2", "set_name": "train", "group": "h1", "kind": "near", "distance": 3},
    ]
    leaked = {(row["set_name"], row["other_set"], row["kind"]): row["images"] for row in tables["leakage"]}
    assert leaked["planet_mixed", "train+holdout", "byte"] == 1
    assert leaked["planet_mixed", "benchmarks", "byte"] == 0
    assert leaked["router_queries", "benchmarks", "near"] == 1
    assert leaked["holdout", "train+holdout", "near"] == 1
    assert leaked["train", "train", "byte"] == 0
    assert (notes["byte-equal images"], notes["near-equal images"], notes["groups of duplicates"]) == (2, 3, 2)
    assert notes["every near pair was looked for"] is True


def test_a_lost_photograph_is_refused_by_name(home):
    lost = home.read_table("images", "reference-000").slice(0, 2)
    home.write_table("images", "reference-000", lost, "f")
    with pytest.raises(LostPhotographsError, match="2 of 3 in train"):
        made(home)


def test_the_preview_shows_sets_reasons_leakage_and_groups(home):
    made(home)
    shown = "\n".join(
        draw(home.examined(table(name)))
        for name, draw in {"census": census_table, "leakage": leakage_table, "duplicates": group_table}.items()
    )
    assert "| planet_mixed | 2 | 1 | 3 |" in shown
    assert "| catalogue | no_coordinate | 2 |" in shown
    assert "| planet_mixed | train+holdout | 1 | 0 |" in shown
    assert "| planet_mixed | train |" in shown
    assert "| b1 | 3 | planet_mixed, router_queries, train |" in shown


def test_the_preview_of_a_home_without_duplicates_says_so():
    nothing = load("duplicates").empty()
    assert group_table(nothing) == "No image is there twice."
    assert leakage_table(load("leakage").empty()) == "No set shares an image with another."
