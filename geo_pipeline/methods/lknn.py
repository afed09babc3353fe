"""[L]kNN (Vo et al., 2017): where the nearest training photographs lie densest."""

from geo_pipeline.methods.baseline_entry import baseline_methods

LKNN, LKNN_WITHOUT_IDEA = baseline_methods(
    "lknn",
    "[L]kNN",
    "retrieval",
    (
        "The place where the training photographs that look most like the query lie densest (kernel density). Unlike "
        "retrieval, it excludes no reference: a query that nearly equals a training photograph can be answered by it."
    ),
    (
        "The place of the one training photograph that looks most like the query, without any density; no reference is "
        "excluded."
    ),
)
