"""The section on protocol and networks that every report ends with: all options of the run by name."""

from collections.abc import Sequence

from geo_pipeline.scoring.report.blocks import Block, Facts, Heading, Paragraph
from geo_pipeline.scoring.report.context import ReportContext
from geo_pipeline.scoring.report.run_options import CROPS, SCORE_RULES
from geo_pipeline.scoring.report.text_table import threshold_titles

SETTINGS = "settings.yaml"
"""The file of all settings in the folder of a report."""
DISTANCES = {
    "great_circle": "great circle on a sphere of radius 6371 km",
    "wgs84": "geodesic on the WGS84 ellipsoid",
}


def protocol_blocks(context: ReportContext, limits_km: Sequence[float]) -> list[Block]:
    """How scores were made: the protocol, every option of inference and training, the networks."""
    limits = ", ".join(threshold_titles(limits_km))
    pairs = (
        ("Profile", context.profile),
        ("Seed", str(context.seed)),
        ("Distance", DISTANCES.get(context.distance, context.distance)),
        ("Thresholds", f"{limits}; an error equal to the threshold is within it"),
        ("Denominator", "every image of the benchmark; a failure counts as wrong, with an infinite error"),
        ("Intervals", "95 % bootstrap over authors where they are known, else over images"),
    )
    options = (
        ("Crops", CROPS.get(context.crops, context.crops)),
        ("Cell score", SCORE_RULES.get(context.score_rule, context.score_rule)),
        *(context.options.pairs(context.near_bits) if context.options else ()),
    )
    blocks: list[Block] = [
        Heading(2, "Protocol and networks", "protocol"),
        Facts(pairs),
        Paragraph("Options of GeoSURGE and of retrieval:"),
        Facts(options),
        Paragraph("Networks:"),
        Facts(tuple(context.models)),
    ]
    if context.chosen:
        blocks.append(Paragraph("Settings of this run that are not the profile's own:"))
        blocks.append(Facts(tuple((path, f"{value} (the profile has {own})") for path, value, own in context.chosen)))
    if context.settings:
        blocks.append(Paragraph(f"All settings stand in {SETTINGS}, beside this page; `run --config` reads them."))
    return blocks + [Paragraph(remark) for remark in context.remarks]
