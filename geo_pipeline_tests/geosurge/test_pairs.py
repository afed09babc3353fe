import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from geo_pipeline.geosurge.config import TrainingConfig, VisionConfig
from geo_pipeline.geosurge.pairs import PairError, TrainingPairs, decode_pair
from geo_pipeline.geosurge.row_groups import ColumnFiles, KeptGroups
from geo_pipeline.training.order import parts
from geo_pipeline_tests.geosurge.tiny_geosurge import jpeg, png, write_tables

CPU = torch.device("cpu")
VISION = VisionConfig(model="sample:clip", pretrained=None, input_px=28, resize_px=32)


def marked(height=40, width=60, row=25, column=41):
    """An image with one white block and a class map with the same block in class 7."""
    image, class_map = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    image[row : row + 6, column : column + 6], class_map[row : row + 6, column : column + 6] = 255, 7
    return image, class_map


@pytest.mark.parametrize("training", [TrainingConfig(random_crop=True, horizontal_flip=True), TrainingConfig()])
def test_image_and_map_stay_together_through_crop_and_flip(tmp_path, training):
    paths = write_tables(tmp_path, count=12, holdout=2)
    table = pq.read_table(paths[0])
    image, class_map = marked()
    pq.write_table(table.set_column(5, "jpeg", [[jpeg(image)] * 12]), paths[0])
    maps = pq.read_table(paths[1])
    pq.write_table(maps.set_column(1, "class_map_png", [[png(class_map)] * 12]), paths[1])
    pairs = TrainingPairs([paths[0]], [paths[1]], VISION, training)
    places = set()
    for epoch in range(6):
        pixels_BCHW, maps_BHW = pairs.batch(pairs.train_rows, epoch)
        for picture_HW, classes_HW in zip(pixels_BCHW.float().mean(1), maps_BHW, strict=True):
            inside = classes_HW == 7
            if inside.sum() > 4:
                assert picture_HW[inside].mean() > 150
                assert picture_HW[~inside].mean() < 40
                places.add(tuple(inside.nonzero()[0].tolist()))
    assert (len(places) > 5) == training.random_crop


def test_decoded_once_or_per_batch_gives_the_same_pixels(tmp_path):
    images, segmentations, _ = write_tables(tmp_path)
    roomy = TrainingPairs([images], [segmentations], VISION, TrainingConfig())
    tight = TrainingPairs([images], [segmentations], VISION, TrainingConfig(decoded_budget_mib=0))
    rows = roomy.train_rows[[5, 1, 3]]
    for left, right in zip(roomy.batch(rows, 0), tight.batch(rows, 0), strict=True):
        assert (left == right).all()
    assert roomy.fingerprint == tight.fingerprint


def test_an_image_without_a_map_is_named_and_left_out(tmp_path):
    images, segmentations, _ = write_tables(tmp_path)
    pq.write_table(pq.read_table(segmentations).slice(2), segmentations)
    pairs = TrainingPairs([images], [segmentations], VISION, TrainingConfig())
    assert pairs.without_map == ["image-00", "image-01"]
    assert len(pairs.image_ids) == 38


def test_maps_are_found_by_id_in_whatever_file_and_order(tmp_path):
    images, segmentations, _ = write_tables(tmp_path)
    whole = TrainingPairs([images], [segmentations], VISION, TrainingConfig())
    maps = pq.read_table(segmentations)
    pq.write_table(maps.slice(25).take(list(range(14, -1, -1))), tmp_path / "a.parquet")
    pq.write_table(maps.slice(0, 25), tmp_path / "b.parquet", row_group_size=4)
    parts = TrainingPairs([images], [tmp_path / "a.parquet", tmp_path / "b.parquet"], VISION, TrainingConfig())
    assert parts.image_ids == whole.image_ids
    for left, right in zip(whole.batch(whole.train_rows, 0), parts.batch(parts.train_rows, 0), strict=True):
        assert (left == right).all()


def test_the_fingerprint_changes_with_the_bytes(tmp_path):
    images, segmentations, _ = write_tables(tmp_path)
    before = TrainingPairs([images], [segmentations], VISION, TrainingConfig()).fingerprint
    table = pq.read_table(images)
    moved = table["lat_deg"].to_numpy().copy()
    moved[3] += 1e-9
    pq.write_table(table.set_column(table.column_names.index("lat_deg"), "lat_deg", [moved]), images)
    assert TrainingPairs([images], [segmentations], VISION, TrainingConfig()).fingerprint != before


def test_few_row_groups_are_held_and_each_is_read_once_per_window(tmp_path):
    images, segmentations, _ = write_tables(tmp_path)
    for path in (images, segmentations):
        pq.write_table(pq.read_table(path), path, row_group_size=5)
    kept = KeptGroups(ColumnFiles([images], "jpeg"), budget_mib=0)
    assert len(kept.files.groups) == 8
    jpegs = pq.read_table(images)["jpeg"].to_pylist()
    assert [kept.value(row) for row in range(40)] == jpegs
    assert kept.reads == 8
    kept.value(0)
    assert kept.reads == 9  # without room only the last group stays


def test_batches_made_ahead_come_in_order_and_errors_come_through(tmp_path):
    images, segmentations, _ = write_tables(tmp_path)
    pairs = TrainingPairs([images], [segmentations], VISION, TrainingConfig(prefetch=2, random_crop=True))
    asked = [pairs.train_rows[start : start + 5] for start in range(0, 30, 5)]
    cut = [part for rows in asked for part in parts([rows], 0, None)]
    for rows, (part, (pixels_BCHW, maps_BHW)) in zip(asked, pairs.prefetched(cut, 3, CPU), strict=True):
        expected = pairs.batch(rows, 3)
        assert np.array_equal(part.rows_M, rows)
        assert (pixels_BCHW == expected[0]).all()
        assert (maps_BHW == expected[1]).all()
    with pytest.raises(IndexError):
        list(pairs.prefetched(parts([np.array([999])], 0, None), 0, CPU))


def test_a_map_of_another_size_is_refused_by_name(tmp_path):
    with pytest.raises(PairError, match="expected the same size"):
        decode_pair(jpeg(np.zeros((32, 32, 3), np.uint8)), png(np.zeros((16, 16), np.uint8)), 32)
    images, segmentations, _ = write_tables(tmp_path)
    maps = pq.read_table(segmentations)
    wrong = [png(np.zeros((8, 8), np.uint8)), *maps["class_map_png"].to_pylist()[1:]]
    pq.write_table(maps.set_column(1, "class_map_png", [wrong]), segmentations)
    with pytest.raises(PairError, match=r"image-00.*Segment this image's shard again"):
        TrainingPairs([images], [segmentations], VISION, TrainingConfig())
