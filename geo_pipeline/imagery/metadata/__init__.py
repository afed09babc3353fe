"""Metadata of photographs: tables in the formats of the field, joined with the photographs that they name."""
