"""The assets, in the order in which data flows: this is the table of contents, each name a function in its module."""

from geo_pipeline.orchestration.assets.ablations import geosurge_ablation_predictions, geosurge_ablations
from geo_pipeline.orchestration.assets.baselines import baseline_checkpoints, baseline_predictions
from geo_pipeline.orchestration.assets.catalogue import catalogue
from geo_pipeline.orchestration.assets.census import census, ingest_manifest
from geo_pipeline.orchestration.assets.comparison import comparison_report, comparison_scores
from geo_pipeline.orchestration.assets.geocells import geocells
from geo_pipeline.orchestration.assets.georouting import georouting_table
from geo_pipeline.orchestration.assets.geosurge import features, geosurge_checkpoint, reference_gallery
from geo_pipeline.orchestration.assets.images import image_manifest, images
from geo_pipeline.orchestration.assets.photographs import photographs
from geo_pipeline.orchestration.assets.predictions import predictions, routed_predictions
from geo_pipeline.orchestration.assets.report import benchmark_report
from geo_pipeline.orchestration.assets.router import router_checkpoints
from geo_pipeline.orchestration.assets.scores import benchmark_scores
from geo_pipeline.orchestration.assets.segmentations import segmentation_manifest, segmentations

ASSETS = (
    photographs,
    catalogue,
    images,
    image_manifest,
    ingest_manifest,
    census,
    segmentations,
    segmentation_manifest,
    geocells,
    geosurge_checkpoint,
    features,
    reference_gallery,
    baseline_checkpoints,
    baseline_predictions,
    predictions,  # one asset for each method: densest_cell, geosurge, retrieval, generation
    georouting_table,
    router_checkpoints,  # one asset for each router
    routed_predictions,  # the same
    benchmark_scores,
    benchmark_report,
    geosurge_ablations,
    geosurge_ablation_predictions,
    comparison_scores,
    comparison_report,
)
