"""Coordinates, distances, S2 cells and the partition of the Earth. Import the module you need; nothing is loaded."""
