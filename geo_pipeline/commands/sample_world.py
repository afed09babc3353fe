"""`geo-pipeline sample`: the commands of the embedded sample world.

Each imports what it needs when it runs, as those of `cli` do.
"""

from pathlib import Path
from typing import Annotated

import typer

from geo_pipeline.commands.options import DEFAULT_HOME, HomeOption
from geo_pipeline.commands.plain_errors import plain_errors

sample_app = typer.Typer(help="The embedded sample world: its networks and its fairness.", no_args_is_help=True)


@sample_app.command()
def pretrain(
    only: Annotated[
        list[str] | None, typer.Option("--only", help="oneformer, clip or qwen2vl; all without it.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Wall-clock minutes per network; 20 to 60 without it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the weights; the package's own without it.")
    ] = None,
) -> None:
    """Make the sample's small networks again, on planets of other seeds."""
    with plain_errors():
        from geo_pipeline.pretraining.command import main
        from geo_pipeline.sample_world.weights import WEIGHTS

        main(only=list(only or ()), minutes=minutes, out=out or WEIGHTS)


@sample_app.command()
def measure(
    seeds: Annotated[str, typer.Option("--seeds", help="Unseen seeds, separated by commas.")] = "1,2,3,4,5",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Measure on planets of several seeds whether the sample is fair and routing pays."""
    with plain_errors():
        from geo_pipeline.commands.measure_sample import measure as measure_seeds

        if not all(part.strip().lstrip("-").isdigit() for part in seeds.split(",")):
            raise ValueError(f"found --seeds {seeds!r}, expected whole numbers separated by commas, such as 1,2,3")
        measure_seeds([int(part) for part in seeds.split(",")], home)
