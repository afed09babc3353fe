"""What the tests of hostile files share: a good photograph, tar files of any members, a source as a user opens it."""

import io
import tarfile

from geo_pipeline.imagery.opening import open_source
from geo_pipeline.imagery.source import records_of
from geo_pipeline_tests.imagery.drawn_files import quartered, with_exif

GOOD = with_exif(10.5, 20.25, image=quartered(20, 16))


def listed(folder, images, metadata=None, kind=None):
    source = open_source(str(folder / images), None if metadata is None else str(folder / metadata), kind)
    return list(records_of(source.listing()))


def member(name, data=GOOD, **fields):
    header = tarfile.TarInfo(name)
    header.size = len(data)
    for field, value in fields.items():
        setattr(header, field, value)
    return header, data


def write_tar(path, *members, form=tarfile.GNU_FORMAT):
    with tarfile.open(path, "w", format=form) as archive:
        for header, data in members:
            archive.addfile(header, io.BytesIO(data))
