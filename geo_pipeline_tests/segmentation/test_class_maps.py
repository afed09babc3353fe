import io

import numpy as np
import pytest
from PIL import Image

from geo_pipeline.segmentation.class_maps import decode_class_map, encode_class_map


def test_a_class_map_comes_back_exactly():
    class_map = np.random.default_rng(0).integers(0, 150, (37, 53)).astype(np.uint8)
    assert np.array_equal(decode_class_map(encode_class_map(class_map)), class_map)
    assert encode_class_map(class_map) == encode_class_map(class_map.copy())


def test_a_colour_picture_is_no_class_map():
    picture = io.BytesIO()
    Image.new("RGB", (4, 4)).save(picture, "PNG")
    with pytest.raises(ValueError, match="mode RGB; expected 8-bit grey"):
        decode_class_map(picture.getvalue())
