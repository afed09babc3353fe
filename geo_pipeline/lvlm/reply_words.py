"""What the words around a coordinate say of it: that it is the answer, an example, ruled out, one of two.

Which coordinates there are belongs to `json_pairs` and `prose_pairs`, which of them is read to `answers`.
"""

import re

WINDOW = 120
"""Characters before a coordinate in which words speak of it."""

_MARK = re.compile(
    r"(?<![a-z])(?:final(?:ly)?|answers?|coordinates?|coords?|gps|guess|estimates?|estimated|prediction|predicted"
    r"|conclusion|conclude|most likely|best)(?![a-z])",
    re.IGNORECASE,
)
_MARK_BEHIND = re.compile(r"[\s)\]*,.-]*\(?\s*(?:most likely|final answer|best guess|my answer)", re.IGNORECASE)
_BOXED = re.compile(r"(?:\\?boxed\s?\{|<\|begin_of_box\|>|<answer>)[^\n]{0,20}\Z", re.IGNORECASE)
_NO_MARK = re.compile(
    r"\b(?:initial(?:ly)?|first(?: idea| guess| thought)?|alternative(?:ly)?|other candidates?|e\.g\.|example)\b",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(
    r"\b(?:for example|for instance|e\.g\.|examples?|such as|in the form(?:at)? of|format(?: is| like)?\s?:)"
    r"[^.!?{}]{0,30}$",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"\b(?:not|isn't|is not|wasn't|never|neither|nor|rather than|instead of|unlike|rul(?:ed?|es|ing) out"
    r"|reject(?:ed|ing)?|exclud(?:ed?|ing)|eliminat(?:ed?|ing)|wrong(?:ly)?)\b(?P<between>[^.!?;:\n\"{}]{0,60})$",
    re.IGNORECASE,
)
_STILL_MEANT = re.compile(
    r"\b(?:but|however|though|guess|estimat\w*|likely|probabl[ey]|best|sure|certain\w*|clear\w*|possible|exact\w*"
    r"|precise\w*|definit\w*|far|only|just|known|visible|enough|able|specif\w*|confiden\w*|coordinates?|answer"
    r"|latitude)\b",
    re.IGNORECASE,
)
_NEGATED_BEHIND = re.compile(
    r"[\s)\]*,-]*(?:(?:is|was|can be|has been)\s+)?"
    r"(?:ruled out|rejected|wrong|incorrect|unlikely|not (?:it|right|correct|the))\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.!?]\s+(?=[A-Z])|\n\s*\n(?=\s*\S[^\n]{30})|\n\s*(?=\d{1,2}[.)]\s)")
_DECLINES = re.compile(
    r"\b(?:can(?:no|')t|can not|could(?: not|n't)|unable|impossible|not possible|insufficient|not enough"
    r"|do(?: not|n't) know|unknown|unclear|undetermined|indeterminate|uncertain|sorry|won't|refuse|n/?a"
    r"|not (?:available|applicable|provided|specified|determin\w+|identif\w+)"
    r"|no (?:clear|specific|exact|coordinates?|location|identif\w+|way)|none|null)\b",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(
    r"\b[xX]{1,3}\.[xX]{2,}|<(?:float|number|lat|lon|value|decimal)\w*>|\[(?:lat|lon)\w*\]", re.IGNORECASE
)
_EITHER = re.compile(
    r"\W*\b(?:or|oder|ou|maybe|possibly|perhaps|alternatively)\b(?:\W|or|maybe|possibly|perhaps){0,9}|[\s,]*",
    re.IGNORECASE,
)
_END = re.compile(r"[\s`\"'.)\]}*]*(?:<[|/][^<>]{0,40}>[\s`]*){0,3}\Z")


def words_before(text: str, start: int, end: int) -> str:
    """The words before a coordinate at `start` that speak of it: of its sentence, behind the one that ends at `end`."""
    window = text[max(end, start - WINDOW) : start]
    cuts = list(_SENTENCE.finditer(window))
    return window[cuts[-1].end() :] if cuts else window


def is_marked(before: str, behind: str) -> bool:
    """Whether the words before or right behind a coordinate say that it is the answer."""
    if _BOXED.search(before) or _MARK_BEHIND.match(behind):
        return True
    return _MARK.search(before) is not None and not _NO_MARK.search(before)


def is_example(before: str) -> bool:
    """Whether the words before a coordinate give it as an example."""
    return _EXAMPLE.search(before) is not None


def is_rejected(before: str, behind: str) -> bool:
    """Whether the words around a coordinate say that it is not the place; "not sure, but" does not."""
    negated = _NEGATED.search(before)
    if negated is not None and not _STILL_MEANT.search(negated["between"]):
        return True
    return _NEGATED_BEHIND.match(behind) is not None


def are_alternatives(text: str, end: int, start: int) -> bool:
    """Whether nothing but "or" stands between two coordinates, or nothing between two objects."""
    return _EITHER.fullmatch(text, end, start) is not None and (text[end - 1] == "}") == (text[start] == "{")


def ends_the_reply(text: str, end: int) -> bool:
    """Whether nothing but a fence, brackets and closing tags follow."""
    return _END.match(text, end) is not None


def declines(text: str, start: int = 0) -> bool:
    """Whether a text from `start` on says that its writer does not know, or will not say."""
    return _DECLINES.search(text, start) is not None


def is_template(text: str) -> bool:
    """Whether a text has the holes of an answer's format."""
    return _TEMPLATE.search(text) is not None
