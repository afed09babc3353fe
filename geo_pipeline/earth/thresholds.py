"""The distances within which a coordinate counts as found. How often it is belongs to `scoring.accuracy`."""

THRESHOLDS_KM: tuple[float, ...] = (1.0, 25.0, 200.0, 750.0, 2500.0)
"""Street, city, region, country, continent: those of all tables of both papers (the text of GeoSURGE has a slip)."""
