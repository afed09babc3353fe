"""Every way from an image to coordinates, one torch-free entry each, in one ordered registry (registry.py)."""
