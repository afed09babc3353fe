"""A model's reply as plain text: without thinking, LaTeX, Markdown and the many spellings of a minus or a degree.

Which coordinate it states is `answers`.
"""

import re
import unicodedata
from dataclasses import dataclass

LONGEST = 50_000
"""Characters that are read, from the end: there the answer stands."""

_THINKING = r"think|thinking|thought|reasoning|reflection|scratchpad"
_OPENING = re.compile(rf"<\|?(?:begin_of_)?(?:{_THINKING})\|?>|◁think▷", re.IGNORECASE)
_CLOSING = re.compile(rf"<\|?(?:/|end_of_)(?:{_THINKING})\|?>|◁/think▷", re.IGNORECASE)
_CHARACTERS = str.maketrans(
    dict.fromkeys("‐‑‒–—―−﹣－⁻", "-")
    | dict.fromkeys("º˚⁰∘", "°")
    | dict.fromkeys("‘’′´ʹʼ", "'")
    | dict.fromkeys("“”″‟„ʺ", '"')
    | dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u200e\u200f", None)
)
_LATEX = (
    (re.compile(r"\^\s?\{?\s?\\circ\s?\}?|\\degrees?\b|\\circ\b"), "°"),
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf|operatorname|texttt)\s?\{([^{}]{0,80})\}"), r"\1"),
    (re.compile(r"\^\s?\{?\s?\\prime\s?\\prime\s?\}?"), '"'),
    (re.compile(r"\^\s?\{?\s?\\prime\s?\}?|\\prime\b"), "'"),
    (re.compile(r"\\(?:left|right|quad|qquad|displaystyle)\b|\\[,;:! ()\[\]]|\$"), " "),
    (re.compile(r"\*{1,3}|_{2,3}|(?<!`)`(?!`)"), ""),
    (re.compile(r"\b(?:minus|negative)\s(?=\d)", re.IGNORECASE), "-"),
)


@dataclass(frozen=True)
class ReplyText:
    """What a reply says outside its thinking. `cut_off`: it ends while it still thinks."""

    text: str
    cut_off: bool


def plain_reply(reply: str) -> ReplyText:
    """The last `LONGEST` characters of a reply, after its thinking, in plain spelling."""
    shortened = reply[-LONGEST:]
    closed = list(_CLOSING.finditer(shortened))
    said = shortened[closed[-1].end() :] if closed else shortened
    opened = _OPENING.search(said)
    cut_off = opened is not None
    if opened is not None:
        said = said[: opened.start()]
    if closed and not said.strip():  # the answer stands before or between the thoughts
        said = _between(shortened)
    plain = unicodedata.normalize("NFKC", said.translate(_CHARACTERS)).translate(_CHARACTERS)
    for pattern, replacement in _LATEX:
        plain = pattern.sub(replacement, plain)
    return ReplyText(plain, cut_off)


def _between(text: str) -> str:
    """What stands outside closed thoughts."""
    kept, at = [], 0
    while opened := _OPENING.search(text, at):
        closed = _CLOSING.search(text, opened.end())
        kept.append(text[at : opened.start()])
        at = closed.end() if closed else len(text)
    return " ".join([*kept, _CLOSING.sub(" ", text[at:])])
