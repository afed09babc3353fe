"""Makes the small networks that the sample ships (`geo-pipeline sample pretrain`), on planets of other seeds."""
