"""The options of the command line that several commands take, or that the environment can give.

What an option means is decided in `profiles.choices`; options of one command stand with it in `cli`.
"""

from pathlib import Path
from typing import Annotated

import typer

HomeOption = Annotated[
    Path,
    typer.Option(
        "--home", envvar="GEO_PIPELINE_HOME", help="Folder of tables, checkpoints, reports and Dagster's record."
    ),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", envvar="GEO_PIPELINE_SEED", help="Seed of the planet and of training; 0.")
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", envvar="GEO_PIPELINE_PROFILE", help="sample (without it), photos or paper.")
]
ImagesOption = Annotated[
    str | None,
    typer.Option(
        "--images",
        envvar="GEO_PIPELINE_IMAGES",
        help="Photographs of the profiles photos and paper: a folder, a container or a pattern; a path or a URL.",
    ),
]
MetadataOption = Annotated[
    str | None,
    typer.Option(
        "--metadata",
        envvar="GEO_PIPELINE_METADATA",
        help="CSV, Parquet or JSON with coordinates, a path or a URL; without it EXIF, or what containers hold.",
    ),
]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        envvar="GEO_PIPELINE_FORMAT",
        help="folder, exif, tar, webdataset, msgpack or parquet; without it the files' names tell.",
    ),
]
BenchmarkOption = Annotated[
    list[str] | None,
    typer.Option(
        "--benchmark",
        metavar="NAME=IMAGES[,METADATA]",
        help="A benchmark with photographs of its own; may be repeated (GEO_PIPELINE_BENCHMARKS, separated by ;).",
    ),
]
ShardsOption = Annotated[
    int | None,
    typer.Option(
        "--shards", envvar="GEO_PIPELINE_SHARDS", help="Number of reference shards; the home keeps its number."
    ),
]
RejectedOption = Annotated[
    float | None,
    typer.Option(
        "--max-rejected", envvar="GEO_PIPELINE_MAX_REJECTED", help="Share of photographs that may be rejected, 0 to 1."
    ),
]
BaselinesOption = Annotated[
    str | None,
    typer.Option(
        "--baselines",
        envvar="GEO_PIPELINE_BASELINES",
        help="Baselines that a plain run trains and reports: names separated by commas, all, or none.",
    ),
]
LinksOption = Annotated[
    bool | None,
    typer.Option(
        "--follow-links/--no-follow-links",
        envvar="GEO_PIPELINE_FOLLOW_LINKS",
        help="Whether links of loose photographs may lead out of their folder (DVC, git-annex, a hub's cache); no.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
