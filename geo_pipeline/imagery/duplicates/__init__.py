"""Byte-equal and near-equal photographs across all sets."""
