"""A drawn planet: photographs rendered from a seed, with the truth about them, and the small shipped weights.

Everything here is numpy and Pillow; networks and training belong in `pretraining` and in the packages of the networks.
"""
