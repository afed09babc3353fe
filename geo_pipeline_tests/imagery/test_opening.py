"""The kind of a collection, told from its files' names, or a clear error."""

import pickle
import tarfile

import fsspec
import msgpack
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset

from geo_pipeline.imagery.containers.entries import digest_of
from geo_pipeline.imagery.containers.source import ContainerSource
from geo_pipeline.imagery.folder import FolderSource
from geo_pipeline.imagery.opening import open_source
from geo_pipeline.imagery.source import SourceError, records_of
from geo_pipeline_tests.imagery.containers.test_tar_files import JPEG, tar_of
from geo_pipeline_tests.imagery.drawn_files import with_exif


def files(folder, **contents):
    for name, content in contents.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return str(folder)


def kind_of(*args, **options):
    source = open_source(*args, **options)
    if isinstance(source, FolderSource):
        return "exif" if source.metadata is None else "folder"
    assert isinstance(source, ContainerSource)
    return source.kind


def test_the_kind_is_told_from_the_names(tmp_path):
    folder = files(tmp_path, a_jpg=b"", m_csv=b"", readme_md=b"")
    assert kind_of(folder) == "exif"
    assert kind_of(folder, f"{folder}/m.csv") == "folder"
    (tmp_path / "a.jpg").unlink()
    files(tmp_path, x_tar=tar_of(("a.jpg", JPEG)))
    assert kind_of(folder) == kind_of(f"{folder}/x.tar") == kind_of(f"{folder}/*.tar") == "tar"
    (tmp_path / "x.tar").rename(tmp_path / "x.msg")
    assert kind_of(folder) == "msgpack"
    (tmp_path / "x.msg").rename(tmp_path / "x.parquet")
    assert kind_of(folder) == "parquet"


def test_a_shard_with_sidecars_is_a_webdataset(tmp_path):
    with webdataset.TarWriter(str(tmp_path / "000.tar")) as sink:
        sink.write({"__key__": "1", "jpg": JPEG, "json": {"latitude": 1, "longitude": 2}})
    source = open_source(str(tmp_path))
    assert source.kind == "webdataset"
    (record,) = records_of(source.listing())
    assert (record.lat_deg, record.lon_deg, record.problem) == (1.0, 2.0, None)
    assert open_source(str(tmp_path), kind="tar").kind == "tar"


@pytest.mark.parametrize("kind", [None, "webdataset"])
@pytest.mark.parametrize("beside", [(), ("IMG_1.txt", "020.txt")])
def test_no_photograph_of_an_archive_is_lost_for_the_dots_in_its_name(tmp_path, kind, beside):
    names = [f"IMG_1.{number}.jpg" for number in range(10)]
    names += [f"{number:03d}.{side}.jpg" for number in range(12, 20) for side in ("left", "right")]
    names += ["020.jpg", "020.1.jpg", "020.2.jpg", "x.y/021.jpg"]
    data = {name: JPEG + name.encode() for name in names} | dict.fromkeys(beside, b"A harbour")
    folder = files(tmp_path, x_tar=tar_of(*sorted(data.items())))
    (tmp_path / "m.csv").write_text("id,lat,lon\n" + "".join(f"{name},1,{n}\n" for n, name in enumerate(names)))
    source = open_source(f"{folder}/x.tar", f"{folder}/m.csv", kind)
    found = list(records_of(source.listing()))
    assert [record.image_id for record in found] == names
    assert [source.read(record.locator) for record in found] == [data[name] for name in names]
    aside = {"020.1.jpg", "020.2.jpg"} if kind else set()
    assert {record.image_id: record.problem for record in found} == {
        name: "second_image" if name in aside else None for name in names
    }


def test_photographs_in_an_archive_may_bring_their_position_in_exif(tmp_path):
    files(tmp_path, x_tar=tar_of(("a.jpg", with_exif(48.85, 2.35))))
    (record,) = records_of(open_source(str(tmp_path)).listing())
    assert record.lat_deg == pytest.approx(48.85, abs=1e-5)


def test_a_metadata_file_among_the_images_does_not_count(tmp_path):
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "m.parquet")
    folder = files(tmp_path, a_jpg=JPEG)
    assert kind_of(folder, f"{folder}/m.parquet") == "folder"
    with pytest.raises(SourceError, match=r"1 \.jpg, 1 \.parquet .* kind cannot be told"):
        open_source(folder)
    assert kind_of(folder, kind="exif") == "exif"


def test_nothing_and_mixed_and_unknown_are_errors_that_list_what_was_found(tmp_path):
    with pytest.raises(SourceError, match="found nothing in"):
        open_source(str(tmp_path))
    folder = files(tmp_path, a_txt=b"", b_txt=b"", c_doc=b"")
    with pytest.raises(SourceError, match=r"found 2 \.txt, 1 \.doc in .* expected photographs"):
        open_source(folder)
    files(tmp_path, a_tar=b"", a_msg=b"")
    with pytest.raises(SourceError, match=r"1 \.msg, 1 \.tar.* Say which is meant"):
        open_source(folder)
    with pytest.raises(SourceError, match="found no folder"):
        open_source(str(tmp_path / "absent"))


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tgz", "x.zip"])
def test_compressed_archives_are_refused_with_the_way_out(tmp_path, name):
    with tarfile.open(tmp_path / name, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a.jpg"))
    with pytest.raises(SourceError, match="compressed archives"):
        open_source(str(tmp_path))
    files(tmp_path, a_jpg=JPEG)
    assert kind_of(str(tmp_path)) == "exif"


def test_a_kind_that_contradicts_the_metadata_is_an_error(tmp_path):
    folder = files(tmp_path, a_jpg=JPEG, m_csv=b"id,lat,lon\n")
    with pytest.raises(SourceError, match="folder without a metadata file"):
        open_source(folder, kind="folder")
    with pytest.raises(SourceError, match="exif with the metadata file"):
        open_source(folder, f"{folder}/m.csv", kind="exif")
    with pytest.raises(SourceError, match="expected one of folder"):
        open_source(folder, kind="zip")


def test_photographs_without_endings_are_a_folder_when_a_table_names_them(tmp_path):
    folder = files(tmp_path, m_csv=b"id,lat,lon\n4763,1,2\n")
    (tmp_path / "4763").write_bytes(JPEG)
    (record,) = records_of(open_source(folder, f"{folder}/m.csv").listing())
    assert (record.locator, record.problem) == ("4763", None)


@pytest.mark.parametrize("kind", ["msgpack", "parquet", "tar"])
def test_every_container_is_read_through_one_interface_here_and_in_a_store(tmp_path, kind):
    contents = {f"e1/{number}.jpg": JPEG + bytes([number]) for number in range(5)}
    ids = [name.removesuffix(".jpg") for name in contents]
    if kind == "msgpack":
        packed = [msgpack.packb({"id": i, "image": data}) for i, data in zip(ids, contents.values(), strict=True)]
        (tmp_path / "shard_0.msg").write_bytes(b"".join(packed))
    elif kind == "parquet":
        images = [{"bytes": data, "path": name} for name, data in contents.items()]
        pq.write_table(pa.table({"id": ids, "image": images}), tmp_path / "train-000.parquet", row_group_size=2)
    else:
        (tmp_path / "images.tar").write_bytes(tar_of(*contents.items()))
    rows = "".join(f"{i},{number},7\n" for number, i in enumerate(ids))
    (tmp_path / "table.csv").write_text(f"IMG_ID,LAT,LON\n{rows}missing,1,2\n")
    fs = fsspec.filesystem("memory")
    fs.put(str(tmp_path), f"/{tmp_path.name}", recursive=True)
    for root in (str(tmp_path), f"memory://{tmp_path.name}"):
        source = pickle.loads(pickle.dumps(open_source(root, f"{root}/table.csv", index=tmp_path / "index")))
        assert source.kind == kind
        found = list(records_of(source.listing()))
        assert [record.problem for record in found] == [None] * 5 + ["missing_file"]
        assert [record.lat_deg for record in found[:5]] == [0.0, 1.0, 2.0, 3.0, 4.0]
        locators = [record.locator for record in found[:5]]
        assert list(source.read_many(locators)) == list(contents.values())
        assert [record.stamp for record in found[:5]] == [digest_of(data) for data in contents.values()]
    fs.rm(f"/{tmp_path.name}", recursive=True)
