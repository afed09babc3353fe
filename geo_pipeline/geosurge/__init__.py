"""GeoSURGE.

Semantic fusion, hierarchy of geographic embeddings, training and inference. Import the module you need: nothing is
loaded here.
"""
