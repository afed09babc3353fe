"""The order and the words of the main report, as blocks that know nothing of Markdown or HTML.

Holds the words and when they stand. Rows belong in `tables`, drawings in `figures`, spelling in `markdown` and
`html`; published rows, protocol and examples have modules of their own.
"""

from functools import partial

from geo_pipeline.scoring.report.blocks import Block, FigureBlock, Heading, PageLink, Paragraph, TableBlock
from geo_pipeline.scoring.report.context import BenchmarkLine
from geo_pipeline.scoring.report.example_page import PAGE, PAGE_TITLE
from geo_pipeline.scoring.report.figures import accuracy_figure, curves_figure, routing_figure, winner_map
from geo_pipeline.scoring.report.inputs import ReportError, ReportInputs
from geo_pipeline.scoring.report.numbers import method_scores, scored_benchmarks, thresholds, winners
from geo_pipeline.scoring.report.photographs import leaks, rejections, set_sizes
from geo_pipeline.scoring.report.protocol import protocol_blocks
from geo_pipeline.scoring.report.published_tables import published_blocks
from geo_pipeline.scoring.report.tables import (
    accuracy_table,
    broken_runs_table,
    cell_hits_table,
    coverage_table,
    gain_table,
    georouting_table,
    leakage_table,
    overview_table,
    quarantine_table,
    routing_table,
    set_title,
    split_table,
)

TITLE = "Geolocalization benchmark report"
SOUND = (
    "No sign of a broken run: no method is at chance level, leaves many images without a coordinate, gives one wrong "
    "coordinate again and again, answers with the truth itself or, where the benchmark has none, in the sea."
)


def report_blocks(inputs: ReportInputs) -> list[Block]:
    """All blocks in order. Raises ReportError when nothing was scored."""
    names = scored_benchmarks(inputs)
    if not names:
        raise ReportError(
            "found an empty table of scores; expected at least one scored benchmark; materialize the predictions first"
        )
    lines = {line.name: line for line in inputs.context.benchmarks}
    blocks: list[Block] = [Paragraph(inputs.context.statement, lead=True), Paragraph(_counts(inputs))]
    blocks += _overview(inputs)
    for name in names:
        blocks += _benchmark(inputs, lines[name])
    blocks += [*_routing(inputs, names), *_examples(inputs), *published_blocks(inputs, [lines[name] for name in names])]
    return [*blocks, *_data(inputs), *_training(inputs), *protocol_blocks(inputs.context, thresholds(inputs))]


def _examples(inputs: ReportInputs) -> list[Block]:
    if not inputs.examples:
        return []
    good = sum(example.success for example in inputs.examples)
    text = (
        f"{good} answers near the true place and {len(inputs.examples) - good} far from it, each with its segmentation "
        f"and the nearest reference image of the geocell. {inputs.context.statement}"
    )
    return [PageLink(PAGE_TITLE, text, PAGE)]


def _counts(inputs: ReportInputs) -> str:
    """How many photographs there were, in one sentence."""
    sizes = set_sizes(inputs)
    rejected = rejections(inputs)
    refused = sum(count for stage, _, count in rejected if stage == "catalogue")
    undecoded = sum(count for stage, _, count in rejected if stage == "decode")
    parts = "; ".join(f"{set_title(inputs, size.set_name)} {size.photographs:,}" for size in sizes)
    total = sum(size.photographs for size in sizes)
    return (
        f"{total:,} photographs in the catalogue ({parts}). Refused records: {refused:,}; photographs "
        f"that could not be decoded: {undecoded:,}. {_leaked(inputs)}"
    )


def _leaked(inputs: ReportInputs) -> str:
    """Whether benchmarks hold images of the training data, in one sentence."""
    benchmarks = {line.name for line in inputs.context.benchmarks}
    lines = [line for line in leaks(inputs) if line.set_name in benchmarks]
    shared = sum(line.train_byte + line.train_near for line in lines)
    images = sum(line.images for line in lines)
    if not shared:
        return "No benchmark image was found in the training data."
    return (
        f"{shared:,} of {images:,} benchmark images are also in the training data, exactly or nearly (see Leakage "
        "between sets)."
    )


def _overview(inputs: ReportInputs) -> list[Block]:
    limits = ", ".join(f"{limit:g}" for limit in thresholds(inputs))
    blocks: list[Block] = [
        Heading(2, "At a glance", "overview"),
        TableBlock(
            f"Mean accuracy in percent: the plain mean over {limits} km. The oracle takes the nearer of retrieval and "
            "generation for every image; it is a bound, not a method. The best method stands bold.",
            overview_table(inputs),
        ),
    ]
    gains = gain_table(inputs)
    if gains.rows:
        caption = (
            "What routing brings: every router against the better of retrieval and generation on the same images, with "
            "a 95 % interval of the paired difference. The share of the gap is left out where the gap is below one "
            "point."
        )
        blocks.append(TableBlock(caption, gains))
    return blocks


def _benchmark(inputs: ReportInputs, line: BenchmarkLine) -> list[Block]:
    scores = method_scores(inputs, line.name)
    count = next(iter(scores.values())).count
    blocks: list[Block] = [Heading(2, line.title, line.name)]
    blocks += [Paragraph(note) for note in line.notes]
    left_out = any(method.baseline and method.name in scores for method in inputs.context.methods)
    blocks.append(
        FigureBlock(
            f"accuracy_{line.name}",
            f"Accuracy on {line.title} with 95 % intervals."
            + (" The baselines stand in the table alone." if left_out else ""),
            f"Accuracy of every method on {line.title} at every threshold; the table below holds the same numbers.",
            partial(accuracy_figure, inputs, line.name),
        )
    )
    blocks.append(
        TableBlock(
            f"Accuracy in percent on {count:,} images, with the 95 % interval. A failed image counts as wrong at every "
            "threshold.",
            accuracy_table(inputs, line.name),
        )
    )
    hits = cell_hits_table(inputs, line.name)
    if hits.rows:
        caption = (
            "Where the methods that name cells put the images, in percent of all: in the true cell of the finest "
            "partition, in one that shares a side or a corner with it, or in neither, failures included."
        )
        blocks.append(TableBlock(caption, hits))
    broken = broken_runs_table(inputs, line.name)
    if broken.rows:
        blocks.append(TableBlock("Signs of a broken run. They change no score.", broken))
    else:
        blocks.append(Paragraph(SOUND))
    if winners(inputs, line.name).height:
        blocks.append(
            FigureBlock(
                f"winners_{line.name}",
                f"Who is nearer, at the true place of every image of {line.title}.",
                "World map in an equirectangular frame; each point is an image, coloured by the nearer paradigm.",
                partial(winner_map, inputs, line.name),
            )
        )
    return blocks


def _routing(inputs: ReportInputs, names: list[str]) -> list[Block]:
    routed = [name for name in names if routing_table(inputs, name).rows]
    if not routed:
        return []
    titles = {line.name: line.title for line in inputs.context.benchmarks}
    blocks: list[Block] = [
        Heading(2, "Routing accuracy", "routing"),
        Paragraph(
            "Among the images whose better paradigm lies within the threshold: the share that a router sent to the "
            "better one. The dashed line is a coin."
        ),
        FigureBlock(
            "routing_accuracy",
            "Routing accuracy by threshold.",
            "Routing accuracy of every router at every threshold; the tables below hold the same numbers.",
            partial(routing_figure, inputs, routed),
        ),
    ]
    for name in routed:
        caption = f"{titles[name]}: routing accuracy in percent (right / eligible)."
        blocks.append(TableBlock(caption, routing_table(inputs, name)))
    return blocks


def _data(inputs: ReportInputs) -> list[Block]:
    blocks: list[Block] = [
        Heading(2, "Data", "data"),
        TableBlock(
            "Photographs per set. One that cannot be decoded stays in the denominator of its benchmark, as a failure.",
            split_table(inputs),
        ),
        TableBlock("The partition of the Earth into geocells, coarsest first.", coverage_table(inputs)),
    ]
    rejected = quarantine_table(inputs)
    if rejected.rows:
        blocks.append(TableBlock("Rejected rows, kept in the table quarantine with their reasons.", rejected))
    else:
        blocks.append(Paragraph("No row was rejected."))
    return [*blocks, *_leakage(inputs)]


def _leakage(inputs: ReportInputs) -> list[Block]:
    """What the query sets share with the training data and with each other, and what that means."""
    found = leaks(inputs)
    bits = inputs.context.near_bits
    blocks: list[Block] = [
        Heading(2, "Leakage between sets", "leakage"),
        Paragraph(
            "A benchmark image that is also in the training data (training and hold-out together) can be recognised "
            "instead of located. So every image was compared with every other one: by its bytes, and by a perceptual "
            f"hash of 64 bits, which calls two images near-equal when at most {bits} bits differ. Retrieval never "
            "answers with a reference that is byte-equal or near-equal to the query. What a network learned from such "
            "an image in training stays learned, so take the scores of a set with many of them with care."
        ),
    ]
    if not any(line.outside for line in found):
        blocks.append(
            Paragraph(
                "None was found: no image of a benchmark, of the router queries or of the hold-out is byte-equal or "
                "near-equal to an image of the training data or of another benchmark."
            )
        )
    if any(line.outside or line.within for line in found):
        caption = (
            "Images of each query set that have a duplicate, with their share of the set in percent. An image that "
            "has the same file and a near-equal one in one place counts as the same file. For the hold-out, the "
            "training data is the training set alone."
        )
        blocks.append(TableBlock(caption, leakage_table(inputs)))
    return blocks


def _training(inputs: ReportInputs) -> list[Block]:
    blocks: list[Block] = []
    if inputs.georouting is not None:
        blocks.append(TableBlock("What the routers learned from.", georouting_table(inputs.georouting)))
    curves = {name: table for name, table in inputs.training_curves.items() if table.height}
    if curves:
        alt = f"Loss curves of {', '.join(sorted(curves))}."
        blocks.append(FigureBlock("loss_curves", "Loss over training steps.", alt, partial(curves_figure, curves)))
    return [Heading(2, "Training", "training"), *blocks] if blocks else []
