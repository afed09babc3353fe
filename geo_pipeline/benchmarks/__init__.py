"""The query sets and their protocol, one file each, in one registry (registry.py)."""
