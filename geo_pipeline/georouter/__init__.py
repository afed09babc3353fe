"""GeoRouter: a vision-language model with LoRA and a linear head that routes a query to retrieval or generation."""
