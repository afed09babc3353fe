"""Semantic segmentation of photographs with OneFormer. Import the module you need: nothing is loaded here."""
