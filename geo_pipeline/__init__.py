"""From photographs to coordinates to a benchmark report. Import the module you need: nothing is loaded here."""

__version__ = "0.1.0"
