"""What the sample's small vision-language model is taught: questions about drawn photographs, with true answers.

Three lessons. *Geolocation*: the generation prompt, answered with the coordinate. *Evidence*: the router's layout (a
query image, two predicted coordinates, a retrieved image, more coordinates) with questions on what can be seen there:
is it the same place, how far apart are two coordinates, how far is this image from that coordinate. *Glance*: the
router's own prompts, at whose last token all of that evidence must be readable at once, how far off each of the two
predictions is among it. Together those two say which paradigm is nearer: a router on this network has been taught most
of its task before its own training (docs/measurements/sample_planets.md).
"""

from collections.abc import Sequence

import numpy as np

from geo_pipeline.earth.distance import great_circle_km
from geo_pipeline.lvlm.answers import format_answer
from geo_pipeline.lvlm.prompts import Prompt, generation_prompt, render
from geo_pipeline.pretraining.album import Album
from geo_pipeline.routing.prompt import UNAVAILABLE, Coordinate, PromptVariant, RouterInputs, build_prompt
from geo_pipeline.sample_world.planet import offset

Dialogue = tuple[Prompt, str]
Glance = tuple[Prompt, dict[str, int]]
"""A prompt, and for each question of `GLANCES` that it can answer the number of the answer."""
BUCKETS_KM: tuple[tuple[float, str], ...] = (
    (60.0, "same"),
    (200.0, "near"),
    (500.0, "beside"),
    (1200.0, "off"),
    (3000.0, "far"),
)
QUESTIONS = ("same place", "predictions apart", "candidates agree", "generation off", "retrieval off")
CANDIDATES = 9
AGREEMENT = (0, 2, 5, 8)
VIEWS_SHOWN = ("both", "place", "region", "neither")
GLANCES: dict[str, str] = {
    "view": "ABCD",
    "same place": "EF",
    "candidates agree": "GHIJK",
    "predictions apart": "LMNOPQR",
    "generation off": "STUVWXY",
    "retrieval off": "abcdef",
}
"""The letters that stand for the answers to each question of a glance."""
GLANCE_VARIANTS: tuple[tuple[PromptVariant, float], ...] = (
    ("full", 0.64), ("coordinates_only", 0.12), ("image_only", 0.12), ("no_candidates", 0.06), ("no_generation", 0.06),
)  # fmt: skip
HIDDEN_BY_VARIANT: dict[PromptVariant, set[str]] = {
    "full": set(),
    "coordinates_only": {"view", "same place", "generation off", "retrieval off"},
    "image_only": set(GLANCES) - {"view"},
    "no_candidates": {"candidates agree"},
    "no_generation": {"predictions apart", "generation off"},
}


def distance_word(km: float) -> str:
    """The word for a distance, from `same` to `remote`."""
    return next((word for limit, word in BUCKETS_KM if km < limit), "remote")


class Teacher:
    """Makes dialogues about an album; the same generator gives the same lessons."""

    def __init__(self, album: Album, rng: np.random.Generator, decimals: int) -> None:
        self.album = album
        self.rng = rng
        self.decimals = decimals
        views = np.array([photograph.view for photograph in album.photographs])
        self.open_views = np.flatnonzero((views == "both") | (views == "region"))
        self.landmark_views = np.flatnonzero((views == "both") | (views == "place"))
        order = np.argsort(album.places[self.landmark_views], kind="stable")
        self._by_place = self.landmark_views[order]
        self._place_keys = album.places[self._by_place]

    def geolocation(self, count: int) -> list[Dialogue]:
        """Mostly open views, a tenth of any kind (it must answer for those too)."""
        rows = np.where(
            self.rng.uniform(size=count) < 0.9,
            self.rng.choice(self.open_views, count),
            self.rng.integers(len(self.album.photographs), size=count),
        )
        return [
            (generation_prompt(self.album.images[row]), format_answer(*self._coordinate(int(row)), self.decimals))
            for row in rows
        ]

    def evidence(self, count: int) -> list[Dialogue]:
        """Dialogues in the router's layout, the questions in random order."""
        return [self._evidence() for _ in range(count)]

    def _coordinate(self, row: int) -> Coordinate:
        return float(self.album.lat_deg[row]), float(self.album.lon_deg[row])

    def _same_place(self, row: int, count: int) -> np.ndarray:
        start, stop = np.searchsorted(self._place_keys, [self.album.places[row], self.album.places[row] + 1])
        return self.rng.choice(self._by_place[start:stop], count)

    def _lookalike(self, row: int) -> int:
        """A photograph of elsewhere: the nearest of a few, or any."""
        others = self.rng.integers(len(self.album.photographs), size=int(self.rng.choice([1, 20, 200])))
        km = great_circle_km(*self._coordinate(row), self.album.lat_deg[others], self.album.lon_deg[others])
        return int(others[np.argmin(km)])

    def _generated(self, row: int) -> Coordinate | None:
        if self.rng.uniform() < 0.04:
            return None
        seen = self.album.photographs[row].view in ("both", "region")
        centre = row if seen else int(self.rng.integers(len(self.album.photographs)))
        km = 10 ** self.rng.normal(2.55, 0.4)
        turn = self.rng.uniform(0, 2 * np.pi)
        return offset(*self._coordinate(centre), km * np.cos(turn), km * np.sin(turn))

    def _candidates(self, top: int, agreeing: int) -> tuple[Coordinate, ...]:
        near = [offset(*self._coordinate(top), *self.rng.normal(0, 1.0, 2)) for _ in range(agreeing)]
        away: list[Coordinate] = []
        while len(near) + len(away) < CANDIDATES:
            stray = self._lookalike(top)
            away += [self._coordinate(stray)] * int(self.rng.integers(1, 4))
        mixed = near + away[: CANDIDATES - len(near)]
        return tuple(mixed[index] for index in self.rng.permutation(len(mixed)))

    def glances(self, count: int) -> list[Glance]:
        """Router prompts of several variants, with the answers that each variant lets one see."""
        return [self._glance() for _ in range(count)]

    def _case(self) -> tuple[RouterInputs, dict[str, str], int]:
        """A made-up routing case, the answers to `QUESTIONS`, and the query's row."""
        row = int(self.rng.integers(len(self.album.photographs)))
        known = self.album.photographs[row].view in ("both", "place") and self.rng.uniform() < 0.6
        top = int(self._same_place(row, 1)[0]) if known else self._lookalike(row)
        agreeing = int(self.rng.integers(2, CANDIDATES + 1)) if known else int(self.rng.choice([0, 0, 1, 2, 3, 6]))
        generated, retrieved = self._generated(row), self._coordinate(top)
        inputs = RouterInputs(
            query_rgb_HWC=self.album.images[row],
            generation=generated,
            retrieval=retrieved,
            top1_rgb_HWC=self.album.images[top],
            candidates=self._candidates(top, agreeing),
        )
        answers = {
            "same place": "yes" if known else "no",
            "predictions apart": _apart(generated, retrieved),
            "candidates agree": str(_agreeing(retrieved, inputs.candidates)),
            "generation off": _apart(generated, self._coordinate(row)),
            "retrieval off": _apart(retrieved, self._coordinate(row)),
        }
        return inputs, answers, row

    def _evidence(self) -> Dialogue:
        inputs, answers, _ = self._case()
        order = [QUESTIONS[index] for index in self.rng.permutation(len(QUESTIONS))]
        task = f"Task: Tell in this order: {', '.join(order)}."
        prompt = (task, *build_prompt(inputs, "full", self.decimals)[1:])
        return prompt, " ".join(answers[question] for question in order)

    def _glance(self) -> Glance:
        inputs, answers, row = self._case()
        variants, shares = zip(*GLANCE_VARIANTS, strict=True)
        variant: PromptVariant = variants[int(self.rng.choice(len(variants), p=shares))]
        words = [*(word for _, word in BUCKETS_KM), "remote", "unknown"]
        numbers = {
            "view": VIEWS_SHOWN.index(self.album.photographs[row].view),
            "same place": ("yes", "no").index(answers["same place"]),
            "candidates agree": int(np.searchsorted(AGREEMENT, int(answers["candidates agree"]))),
            "predictions apart": words.index(answers["predictions apart"]),
            "generation off": words.index(answers["generation off"]),
            "retrieval off": words.index(answers["retrieval off"]),
        }
        seen = {question: number for question, number in numbers.items() if question not in HIDDEN_BY_VARIANT[variant]}
        return build_prompt(inputs, variant, self.decimals), seen


def _apart(first: Coordinate | None, second: Coordinate) -> str:
    return "unknown" if first is None else distance_word(float(great_circle_km(*first, *second)))


def _agreeing(retrieved: Coordinate, candidates: Sequence[Coordinate]) -> int:
    points = np.array(candidates)
    return int((great_circle_km(*retrieved, points[:, 0], points[:, 1]) < BUCKETS_KM[0][0]).sum())


def vocabulary_texts(decimals: int) -> list[str]:
    """Texts for the tokenizer: every prompt's words, every answer's words, and coordinates."""
    rng = np.random.default_rng(0)
    blank = np.zeros((56, 56, 3), dtype=np.uint8)
    words = [word for _, word in BUCKETS_KM] + ["remote", "unknown", "yes", "no", UNAVAILABLE]
    texts = [*words, " ".join(words), " ".join("".join(GLANCES.values())), render((), [], "")] * 50
    for _ in range(400):
        points = [(float(rng.uniform(-90, 90)), float(rng.uniform(-180, 180))) for _ in range(CANDIDATES + 2)]
        inputs = RouterInputs(blank, points[0], points[1], blank, tuple(points[2:]))
        prompt = build_prompt(inputs, "full", decimals)
        order = ", ".join(QUESTIONS[index] for index in rng.permutation(len(QUESTIONS)))
        texts += [part for part in prompt if isinstance(part, str)]
        texts += [part for part in generation_prompt(blank) if isinstance(part, str)]
        texts += [
            f"Task: Tell in this order: {order}.",
            format_answer(*points[0], decimals),
            format_answer(*points[1], decimals),
        ]
    return texts
