"""GeoCLIP (Vivanco Cepeda et al., 2023): coordinates as vectors, through random Fourier features."""

from geo_pipeline.methods.baseline_entry import baseline_methods

GEOCLIP, GEOCLIP_WITHOUT_IDEA = baseline_methods(
    "geoclip",
    "GeoCLIP",
    "retrieval",
    "The training coordinate that fits the photograph best, coordinates being encoded at several scales.",
    "The training coordinate that fits the photograph best, coordinates being read as they are.",
)
