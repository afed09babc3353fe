"""[L]kNN (Vo et al., 2017): where the nearest training photographs lie densest, to a network trained on cells."""

from geo_pipeline.methods.baseline_entry import baseline_methods

LKNN, LKNN_WITHOUT_IDEA = baseline_methods(
    "lknn",
    "[L]kNN",
    "retrieval",
    (
        "The place where the training photographs that look most like the query, to a network that has learnt to tell "
        "geocells apart, lie densest (kernel density). Unlike retrieval, it excludes no reference: a query that nearly "
        "equals a training photograph can be answered by it."
    ),
    (
        "The same density over the training photographs that look most like the query to the tower as it comes, with "
        "nothing learnt; no reference is excluded."
    ),
)
