"""What is read of real replies of language models: `python -m geo_pipeline_tests.speed.replies --replies FOLDER ...`.

Each folder holds files of JSON lines with the reply in `raw_response` or `solution_str`, and the truth in the line
(`ground_truth` with lat and lon) or in the folder's ground_truth.csv. Every line with a truth is in the denominator.
`--show N` prints N random replies of each file beside their reading, for the eye. `--save` writes
docs/measurements/replies.{json,md}; no reply is kept there.
"""

import argparse
import csv
import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from geo_pipeline.earth.distance import errors_km
from geo_pipeline.earth.thresholds import THRESHOLDS_KM
from geo_pipeline.lvlm.answers import DECLINED, ParsedAnswer, parse_coordinate
from geo_pipeline_tests.speed.measuring import save

TAIL = 160


def replies_of(file: Path) -> list[tuple[str | None, tuple[float, float] | None]]:
    """Each reply of a file with the true coordinate in degrees, None where nobody knows it."""
    listed = file.parent / "ground_truth.csv"
    truth: dict[str, tuple[float, float]] = {}
    if listed.is_file():
        with listed.open(encoding="utf-8") as rows:
            truth = {row["image_id"]: (float(row["latitude"]), float(row["longitude"])) for row in csv.DictReader(rows)}
    found: list[tuple[str | None, tuple[float, float] | None]] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        record: dict[str, Any] = json.loads(line)
        said = record.get("ground_truth")
        name = str(record.get("image_file", "")).removesuffix(".jpg").removesuffix(".jpg")
        place = (float(said["lat"]), float(said["lon"])) if said else truth.get(name, truth.get(f"{name}.jpg"))
        found.append((record["raw_response"] if "raw_response" in record else record["solution_str"], place))
    return found


def measured(file: Path) -> dict[str, Any]:
    """Counts, accuracies in percent with the full denominator, and microseconds a reply."""
    replies = replies_of(file)
    began = time.perf_counter()
    answers = [parse_coordinate(text) for text, _ in replies]
    seconds = time.perf_counter() - began
    reasons = Counter(answer.failure for answer in answers if answer.failure)
    judged = [(answer, place) for answer, (_, place) in zip(answers, replies, strict=True) if place is not None]
    columns = np.array([(answer.lat_deg, answer.lon_deg, *place) for answer, place in judged], np.float64)
    errors = errors_km(*columns.T)
    declined = sum(count for reason, count in reasons.items() if reason in DECLINED)
    return {
        "file": file.stem,
        "replies": len(replies),
        "read": len(replies) - reasons.total(),
        "declined": declined,
        "unreadable": reasons.total() - declined,
        "reasons": dict(reasons.most_common()),
        "with_truth": len(judged),
        "accuracy": {f"{limit:g}": 100 * float((errors <= limit).mean()) for limit in THRESHOLDS_KM},
        "microseconds": 1e6 * seconds / len(replies),
    }


def show(file: Path, count: int, seed: int) -> None:
    """Print random replies' ends beside their readings."""
    replies = replies_of(file)
    for number in sorted(random.Random(seed).sample(range(len(replies)), min(count, len(replies)))):
        text = replies[number][0] or ""
        print(f"{file.stem} {number}: {_words(parse_coordinate(text))} <- {' '.join(text[-TAIL:].split())}")  # noqa: T201


def _words(answer: ParsedAnswer) -> str:
    return answer.failure or f"{answer.lat_deg:.5g}, {answer.lon_deg:.6g}"


def main() -> None:
    """Measure, print Markdown, and keep the figures with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replies", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print N random replies of each file instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="write docs/measurements/replies.{json,md}")
    chosen = parser.parse_args()
    files = [file for folder in chosen.replies for file in sorted(folder.glob("*.jsonl"))]
    if chosen.show:
        for file in files:
            show(file, chosen.show, chosen.seed)
        return
    found = [measured(file) for file in files]
    lines = [
        "# Real replies, read",
        "",
        "`python -m geo_pipeline_tests.speed.replies --replies FOLDER ...`: replies of language models that were asked "
        "where a photograph was taken, recorded by others. Accuracy in percent of **all** replies whose truth is "
        "known, read or not.",
        "",
        "| file | replies | read | declined | unreadable | 1 km | 25 km | 200 km | 750 km | 2500 km | µs each |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {row['file']} | {row['replies']} | {row['read']} | {row['declined']} | {row['unreadable']} | "
            + " | ".join(f"{value:.1f}" for value in row["accuracy"].values())
            + f" | {row['microseconds']:.0f} |"
            for row in found
        ),
        "",
        "Reasons: "
        + "; ".join(
            f"{row['file']}: " + ", ".join(f"{reason} {count}" for reason, count in row["reasons"].items())
            for row in found
            if row["reasons"]
        )
        + ".",
    ]
    print("\n".join(lines))  # noqa: T201
    if chosen.save:
        save("replies", {"files": found}, "\n".join(lines))


if __name__ == "__main__":
    main()
