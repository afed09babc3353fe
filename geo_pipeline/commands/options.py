"""The options of commands that are long, or that several share. Imports no more than the help text needs."""

from pathlib import Path
from typing import Annotated

import typer

from geo_pipeline import __version__


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"geo-pipeline {__version__}")
        raise typer.Exit


def folder_of_a_home(home: Path) -> Path:
    """The folder that was given, or that can be made; a file in its place ends the command."""
    if home.exists() and not home.is_dir():
        typer.echo(
            f"geo-pipeline: found that {home} is a file, expected a folder for the home; choose another with --home",
            err=True,
        )
        raise typer.Exit(1)
    return home


VersionOption = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and stop.")
]
DEFAULT_HOME = Path("workspace")
HomeOption = Annotated[
    Path,
    typer.Option(
        "--home",
        envvar="GEO_PIPELINE_HOME",
        callback=folder_of_a_home,
        help="Folder of tables, checkpoints, reports and Dagster's record.",
    ),
]
RehearsalOption = Annotated[Path, typer.Option("--home", callback=folder_of_a_home, help="Folder of the rehearsal.")]
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
ConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE.yaml",
        envvar="GEO_PIPELINE_CONFIG",
        help="Settings as `geo-pipeline settings` prints them, or some of these; the home keeps what the file says.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="A setting, such as geosurge.training.lr=3e-4; goes before --config; may be repeated; PATH= takes it "
        "away (GEO_PIPELINE_SET, separated by ;).",
    ),
]
GpusOption = Annotated[
    int | None,
    typer.Option("--gpus", help="GPUs for the run: so many workers, for shards and for trainings, with one each."),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        help="Workers of a training, a divisor of geosurge.training.lanes; without it those of --gpus or the profile.",
    ),
]
ClipOption = Annotated[
    str | None,
    typer.Option(
        "--clip",
        metavar="FOLDER",
        envvar="GEO_PIPELINE_CLIP",
        help="A local CLIP instead of the profile's: open_clip_config.json and open_clip_model.safetensors.",
    ),
]
OneFormerOption = Annotated[
    str | None,
    typer.Option(
        "--oneformer",
        metavar="FOLDER",
        envvar="GEO_PIPELINE_ONEFORMER",
        help="A local OneFormer for ADE20K instead of the profile's, as `geo-pipeline convert-weights` makes one.",
    ),
]
QwenOption = Annotated[
    str | None,
    typer.Option(
        "--qwen2vl",
        metavar="FOLDER",
        envvar="GEO_PIPELINE_QWEN2VL",
        help="A local Qwen2-VL instead of the profile's, for generation and for the router.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
