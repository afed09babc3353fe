"""The names in a checkpoint folder that every training writes, and which of them are no part of the checkpoint.

The weights and the card are written by the checkpoint modules of each network; folders as a whole belong to `home`.
"""

CARD = "card.json"
"""Configuration, facts and metrics. Written last: a folder with a card is whole."""
LAST = "last"
"""The state of an unfinished training; dropped when the folder is put in its place in the home."""
LOGS = "tensorboard"
"""Event files. They hold times and host names."""
CURVES_PAGE = "curves.html"
DIVERGED = "diverged_batch.json"
"""The ids of the batch that made the loss infinite."""
NO_CONTENT = frozenset({LOGS, CURVES_PAGE})
"""What is there to be looked at: it has no part in the content hash, so another colour makes nothing stale."""
