"""The page of successes and failures (GeoSURGE, Figures 3 and 4): its order and its words, as blocks.

Which queries and references are shown is decided in `examples`; the pictures are drawn in `example_figures`.
"""

from functools import partial

from geo_pipeline.scoring.examples import FAILURE_KM, SUCCESS_KM, Example
from geo_pipeline.scoring.report.blocks import Block, FigureBlock, Heading, Paragraph
from geo_pipeline.scoring.report.context import ReportContext
from geo_pipeline.scoring.report.example_figures import class_words, example_figure
from geo_pipeline.scoring.report.inputs import ReportError, ReportInputs
from geo_pipeline.scoring.report.text_table import kilometres

PAGE = "examples"
PAGE_TITLE = "Successes and failures of GeoSURGE"
ABOUT = (
    "Each row shows a query with its segmentation, and a reference image with its own: of the reference images in the "
    "geocell of the finest partition that holds the true place, the one nearest to the predicted place (GeoSURGE, "
    "Figures 3 and 4). Where that cell holds none, it is the reference image nearest to the true place, and the row "
    "says so."
)


def example_blocks(inputs: ReportInputs) -> list[Block]:
    """The blocks of the page. Raises ReportError when an example is of a benchmark that the context does not name."""
    context, titles = inputs.context, {line.name: line.title for line in inputs.context.benchmarks}
    unnamed = sorted({each.benchmark for each in inputs.examples} - set(titles))
    if unnamed:
        raise ReportError(
            f"found examples of benchmark {', '.join(unnamed)}; expected only benchmarks named in the context; give "
            "each a BenchmarkLine"
        )
    blocks: list[Block] = [
        Paragraph(context.statement, lead=True),
        Paragraph(_what(context)),
        Paragraph(ABOUT),
        Paragraph(
            f"A success lies within {SUCCESS_KM:g} km; successes are the smallest errors, of different authors and "
            f"places as far as there are enough. A failure lies beyond {FAILURE_KM:g} km; failures are spread over the "
            "whole range of such errors, they are not the worst alone."
        ),
    ]
    for success, title, anchor in ((True, "Successes", "successes"), (False, "Failures", "failures")):
        of_kind = [each for each in inputs.examples if each.success is success]
        blocks.append(Heading(2, title, anchor))
        if not of_kind:
            bound = f"within {SUCCESS_KM:g}" if success else f"beyond {FAILURE_KM:g}"
            blocks.append(Paragraph(f"None: no answer lies {bound} km."))
        for name in titles:
            mine = [each for each in of_kind if each.benchmark == name]
            if mine:
                blocks.append(Heading(3, titles[name], f"{anchor}_{name}"))
            for number, each in enumerate(mine, start=1):
                blocks.append(_row(each, number, anchor, titles[name]))
    return blocks


def _what(context: ReportContext) -> str:
    networks = "; ".join(f"{role}: {name}" for role, name in context.models)
    return f"Profile {context.profile}, seed {context.seed}. Networks: {networks}."


def _row(example: Example, number: int, anchor: str, title: str) -> FigureBlock:
    kind = "success" if example.success else "failure"
    alt = f"{title}, {kind} {number}. Query: {class_words(example.query.class_map_png)}."
    if example.reference is not None:
        alt += f" Reference: {class_words(example.reference.class_map_png)}."
    name = f"example_{anchor}_{example.benchmark}_{number}"
    return FigureBlock(name, caption(example), alt, partial(example_figure, example))


def caption(example: Example) -> str:
    """Places, error, score, distances of the reference image and credits, in plain sentences."""
    said = [
        f"{example.query.image_id}: {kilometres(example.error_km)} km off.",
        f"Predicted {_place(example.lat_deg, example.lon_deg)}, true "
        f"{_place(example.truth_lat_deg, example.truth_lon_deg)}.",
    ]
    if example.score is not None:
        said.append(f"Cell score {round(example.score, 2) + 0.0:.2f}.")  # never -0.00
    said += [_reference(example), *_credits(example)]
    return " ".join(said)


def _reference(example: Example) -> str:
    nearest = f"{kilometres(example.nearest_to_truth_km)} km"
    if example.reference is None:
        return "There is no reference image."
    place = _place(example.reference_lat_deg, example.reference_lon_deg)
    if not example.reference_in_cell:
        return (
            "The geocell of the true place holds no reference image; shown is the one nearest to the true place, "
            f"{example.reference.image_id} at {place}, {nearest} from it and "
            f"{kilometres(example.reference_to_prediction_km)} km from the predicted place."
        )
    return (
        f"Reference {example.reference.image_id} at {place}, in the geocell of the true place, "
        f"{kilometres(example.reference_to_prediction_km)} km from the predicted and "
        f"{kilometres(example.reference_to_truth_km)} km from the true place; the nearest of all reference images is "
        f"{nearest} from the true place."
    )


def _credits(example: Example) -> list[str]:
    given = [("Query", example.query.credit)]
    if example.reference is not None:
        given.append(("reference", example.reference.credit))
    words = "; ".join(f"{of}: {credit}" for of, credit in given if credit)
    return [f"Credits: {words}."] if words else []


def _place(lat_deg: float, lon_deg: float) -> str:
    """`48.8584° N, 2.2945° E`."""
    north, east = "N" if lat_deg >= 0 else "S", "E" if lon_deg >= 0 else "W"
    return f"{abs(lat_deg):.4f}° {north}, {abs(lon_deg):.4f}° {east}"
