import json
import pickle
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.geosurge.ablations import ablated
from geo_pipeline.imagery.source import records_of
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.profiles.choices import BenchmarkFiles, Choices, remembered_choices
from geo_pipeline.profiles.named import named_profile, profile_of_environment, remembered_profile, settled
from geo_pipeline.profiles.paper import paper
from geo_pipeline.profiles.photos import photos
from geo_pipeline.profiles.profile import ProfileError
from geo_pipeline.profiles.requirements import WEIGHTS, NeededFiles
from geo_pipeline.profiles.sample import sample
from geo_pipeline.profiles.sources import CombinedSpec, FilesSpec, PlanetSpec, files_spec
from geo_pipeline_tests.imagery.drawn_files import with_exif


def test_the_papers_constants():
    profile = paper(files_spec("images", "metadata.csv"))
    assert (profile.partition.tau_min, profile.partition.tau_max) == (50, (25000, 10000, 5000, 2000, 1000, 750, 500))
    assert (profile.geosurge.vision.model, profile.geosurge.vision.pretrained) == ("ViT-L-14-336-quickgelu", "openai")
    assert (profile.geosurge.training.batch, profile.geosurge.training.lr) == (1024, 1e-4)
    assert (profile.router.lora_r, profile.router.lora_alpha, profile.router.batch, profile.router.epochs) == (
        16,
        32,
        24,
        3,
    )
    assert profile.lvlm.model == "Qwen/Qwen2-VL-7B-Instruct"
    assert len(profile.lvlm.revision) == 40
    assert profile.segmentation.model == "shi-labs/oneformer_ade20k_swin_large"
    vision = profile.geosurge.vision
    assert (profile.canonical_px, vision.resize_px, vision.input_px) == (384, 384, 336)


def test_the_papers_baselines_have_the_budget_of_geosurge():
    profile = paper(files_spec("images", "metadata.csv"))
    budgets = [replace(config.training, micro_batch=None) for config in profile.baselines]
    assert budgets == [profile.geosurge.training] * 16


def test_the_papers_networks_are_trained_on_random_crops_and_mirrored_images_alike():
    profile = paper(files_spec("images", "metadata.csv"))
    trainings = [config.training for config in (profile.geosurge, *profile.baselines)]
    assert {(training.random_crop, training.horizontal_flip) for training in trainings} == {(True, True)}


@pytest.mark.parametrize("name", ["sample", "photos", "paper"])
def test_the_trainings_of_a_profile_accept_its_own_workers(tmp_path, name):
    draw(tmp_path, [1])
    made = {"sample": sample, "photos": lambda: photos(tmp_path), "paper": lambda: paper(files_spec("i", "m"))}
    profile = made[name]()
    trained = [profile.geosurge, *(ablated(profile.geosurge, variant) for variant in profile.ablations)]
    assert [config.training.lanes % profile.compute.train_workers for config in trained] == [0] * len(trained)
    assert [line for line in profile.wrong() if "lanes" in line] == []


@pytest.mark.parametrize(
    ("workers", "refused"), [(1, False), (2, False), (3, True), (4, False), (8, False), (16, True)]
)
def test_the_papers_eight_lanes_are_shared_by_their_divisors_alone(workers, refused):
    profile = paper(files_spec("i", "m"))
    profile = replace(profile, compute=replace(profile.compute, train_workers=workers))
    assert any(f"found {workers} training workers" in line for line in profile.wrong()) is refused


def test_a_baseline_of_a_plain_run_is_divided_among_the_workers_too():
    profile = replace(paper(files_spec("i", "m")), everyday_baselines=("lknn",))
    config = replace(profile.geosurge, training=replace(profile.geosurge.training, lanes=16))
    profile = replace(profile, geosurge=config, compute=replace(profile.compute, train_workers=16))
    (line,) = [line for line in profile.wrong() if "lanes" in line]
    assert line.startswith("found 16 training workers for baselines.lknn.training.lanes 8, expected a divisor")


def test_a_checkpoint_knows_how_many_workers_trained_it():
    scope = {}
    for workers in (4, 8):
        profile = paper(files_spec("i", "m"))
        profile = replace(profile, compute=replace(profile.compute, train_workers=workers))
        scope[workers] = bind(ASSETS, profile, METHODS, BENCHMARKS).assets
    trained = [name for name, asset in scope[8].items() if asset.outputs(asset.keys[0])[0].kind == "checkpoint"]
    assert "baseline_checkpoints" in trained
    for name in trained:
        key = scope[8][name].keys[0]
        assert scope[4][name].version_of(key) != scope[8][name].version_of(key), name


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"query_shards": (("yfcc4k", 0),)}, "found query_shards [yfcc4k, 0], expected 1 or more"),
        ({"expected_counts": (("yfcc4k", -1),)}, "found expected_counts [yfcc4k, -1], expected 0 or more"),
    ],
)
def test_numbers_of_a_set_are_refused_with_their_field(changed, words):
    with pytest.raises(ProfileError, match=re.escape(words)):
        replace(paper(files_spec("i", "m")), **changed)


def test_what_does_not_fit_together_is_said_at_the_start():
    profile = paper(files_spec("i", "m"))
    assert [line for line in profile.wrong() if "query_shards" in line or "shifted" in line] == []
    profile = replace(
        profile,
        query_shards=(("nowhere", 2),),
        inference=replace(profile.inference, score="shifted"),
        geosurge=replace(profile.geosurge, geography="classifier"),
    )
    shards, score = (next(line for line in profile.wrong() if word in line) for word in ("query_shards", "shifted"))
    assert "nowhere" in shards
    assert "log_softmax" in score


def test_paper_says_everything_that_is_missing_in_one_message(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    profile = paper(files_spec(tmp_path / "images", tmp_path / "metadata.csv"))
    with pytest.raises(ProfileError) as refused:
        profile.check_start()
    message = str(refused.value)
    for part in ("images", "metadata.csv", "Qwen2-VL", "OneFormer", "class list", "CLIP", "hf download"):
        assert part in message


def test_a_local_folder_serves_in_the_place_of_an_id(tmp_path):
    need = NeededFiles("Qwen2-VL", str(tmp_path), ("config.json", WEIGHTS, "tokenizer.json|vocab.json"))
    assert need.missing() == [
        "Qwen2-VL: config.json, model.safetensors (or model.safetensors.index.json with what it names), "
        f"tokenizer.json or vocab.json in the folder {tmp_path}"
    ]
    for name in ("config.json", "model.safetensors", "vocab.json"):
        (tmp_path / name).touch()
    assert need.missing() == []


def test_every_file_that_an_index_names_is_looked_for(tmp_path):
    """One of five was enough once, and the run ended where the weights were read."""
    need = NeededFiles("Qwen2-VL", str(tmp_path), (WEIGHTS,))
    shards = [f"model-{number:05d}-of-00003.safetensors" for number in (1, 2, 3)]
    (tmp_path / shards[0]).touch()
    assert "model.safetensors (or model.safetensors.index.json" in need.missing()[0]
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": shards[0], "b": shards[1], "c": shards[2], "d": shards[1]}}))
    assert need.missing() == [f"Qwen2-VL: {shards[1]}, {shards[2]} in the folder {tmp_path}"]
    (tmp_path / shards[1]).touch()
    (tmp_path / shards[2]).symlink_to(tmp_path / "nowhere")
    assert need.missing() == [f"Qwen2-VL: {shards[2]} in the folder {tmp_path}"]
    index.write_text('{"weight_map": {}}')
    assert "model.safetensors.index.json (found one that names no file)" in need.missing()[0]
    index.write_text("{")
    assert "model.safetensors.index.json (found damaged)" in need.missing()[0]


def test_a_folder_of_another_network_is_refused_before_anything_is_made(tmp_path):
    needs = paper(files_spec("i", "m")).needs
    assert [need.model_type for need in needs] == ["qwen2_vl", "oneformer", None, None]
    need = NeededFiles("Qwen2-VL", str(tmp_path), ("config.json",), model_type="qwen2_vl")
    for text, words in (
        ('{"model_type": "oneformer"}', "config.json of a qwen2_vl (found one of a oneformer)"),
        ("{", "config.json (found damaged; expected one with model_type qwen2_vl)"),
        ("{}", "config.json (found damaged; expected one with model_type qwen2_vl)"),
    ):
        (tmp_path / "config.json").write_text(text)
        assert need.missing() == [f"Qwen2-VL: {words} in the folder {tmp_path}"]
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_vl"}')
    assert need.missing() == []


def test_a_pull_request_of_the_hub_is_found_in_its_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    need = NeededFiles("OneFormer", "owner/net", ("config.json",), revision="refs/pr/1")
    repository = tmp_path / "models--owner--net"
    (repository / "refs" / "refs" / "pr").mkdir(parents=True)
    (repository / "refs" / "refs" / "pr" / "1").write_text("e" * 40)
    (repository / "snapshots" / ("e" * 40)).mkdir(parents=True)
    assert "hf download owner/net --revision refs/pr/1" in need.missing()[0]
    (repository / "snapshots" / ("e" * 40) / "config.json").touch()
    assert need.missing() == []


def test_folders_of_the_command_line_stand_in_the_place_of_the_papers_networks(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "i").mkdir()
    (tmp_path / "m.csv").write_text("IMG_ID,LAT,LON\n")
    folders = {name: str(tmp_path / name) for name in ("clip", "oneformer", "qwen2vl")}
    chosen = Choices("paper", images=str(tmp_path / "i"), metadata=str(tmp_path / "m.csv"), **folders)
    profile = named_profile(chosen)
    assert profile.geosurge.vision.model == f"local-dir:{folders['clip']}"
    assert {each.vision.model for each in profile.baselines} == {f"local-dir:{folders['clip']}"}
    assert profile.lvlm.model == profile.router.lvlm.model == folders["qwen2vl"]
    lines = {line.partition(":")[0]: line for line in profile.missing()}
    assert sorted(lines) == [
        "CLIP tower", "OneFormer (segmentation)", "Qwen2-VL (generation and router)", "class list of OneFormer"
    ]  # fmt: skip
    assert "hf download" not in lines["OneFormer (segmentation)"]
    (tmp_path / "oneformer").mkdir()
    (tmp_path / "oneformer" / "ade20k_panoptic.json").touch()
    assert named_profile(chosen).segmentation.class_info == "ade20k_panoptic.json"
    chosen.remember(tmp_path / "home")
    assert remembered_choices(tmp_path / "home").qwen2vl == folders["qwen2vl"]
    without = Choices(qwen2vl="").after(chosen)
    assert named_profile(without).lvlm.model == "Qwen/Qwen2-VL-7B-Instruct"


def test_a_fetched_revision_is_found_in_the_hub_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    need = NeededFiles("a class list", "owner/lists", ("classes.json",), revision="abc", kind="dataset")
    assert "owner/lists" in need.missing()[0]
    snapshot = tmp_path / "datasets--owner--lists" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "classes.json").touch()
    assert need.missing() == []


def test_the_sample_and_photos_differ_in_values_only(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    ours, real = sample(3), photos(tmp_path, seed=3)
    assert type(ours) is type(real)
    assert ours.geosurge == real.geosurge
    assert (ours.inference.crops, real.inference.crops) == ("centre", "ten")
    assert ours.split != real.split
    assert sample(3) == sample(3)
    assert sample(3).router != sample(4).router


def test_few_may_be_rejected_unless_a_profile_has_a_reason(tmp_path):
    draw(tmp_path, [1])
    assert photos(tmp_path).max_rejected_share == 0.05
    assert paper(files_spec("i", "m")).max_rejected_share == 0.2
    assert named_profile(Choices("sample", max_rejected=0.5)).max_rejected_share == 0.5


def test_the_papers_shards_are_fixed_and_can_be_chosen():
    chosen = Choices("paper", images="i", metadata="m")
    assert named_profile(chosen).reference_shards == 1024
    assert named_profile(Choices("paper", images="i", metadata="m", shards=64)).reference_shards == 64


def draw(folder, numbers):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        (folder / f"{number}.jpg").write_bytes(with_exif(number / 10, number / 5))


def test_the_number_of_shards_is_counted_once_and_kept(tmp_path):
    home, folder = tmp_path / "home", tmp_path / "folder"
    folder.mkdir()
    for number in range(151):
        (folder / f"{number}.jpg").write_bytes(b"x")
    first = settled(Choices("photos", images=str(folder)), home)
    assert first.shards == 2
    assert not home.exists()
    first.remember(home)
    for number in range(151, 400):
        (folder / f"{number}.jpg").write_bytes(b"x")
    again = settled(Choices("photos", images=str(folder)), home)
    assert again.shards == 2
    assert settled(Choices("photos", images=str(folder), shards=7), home).shards == 7
    assert remembered_profile(home).reference_shards == 2
    draw(tmp_path / "other", [1])
    assert settled(Choices("photos", images=str(tmp_path / "other")), home).shards == 1


def test_shards_are_counted_from_metadata_and_inside_containers(tmp_path):
    rows = "".join(f"a{n}.jpg,1,{n / 10}\n" for n in range(301))
    (tmp_path / "list.csv").write_text("IMG_ID,LAT,LON\n" + rows)
    draw(tmp_path / "few", [1])
    chosen = Choices("photos", images=str(tmp_path / "few"), metadata=str(tmp_path / "list.csv"))
    assert settled(chosen, tmp_path / "home").shards == 3
    with tarfile.open(tmp_path / "some.tar", "w") as archive:
        for number in range(160):
            archive.add(tmp_path / "few" / "1.jpg", f"{number}.jpg")
    assert settled(Choices("photos", images=str(tmp_path / "some.tar")), tmp_path / "home").shards == 2


def test_the_environment_names_profile_seed_and_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    profile, home = profile_of_environment({})
    assert (profile.name, profile.seed, home) == ("sample", 0, Path("workspace"))
    assert not home.exists()
    named = {"GEO_PIPELINE_PROFILE": "photos", "GEO_PIPELINE_SEED": "7", "GEO_PIPELINE_IMAGES": str(tmp_path / "none")}
    profile, _ = profile_of_environment(named)
    assert (profile.name, profile.seed, profile.source.images) == ("photos", 7, str(tmp_path / "none"))
    assert not home.exists()
    with pytest.raises(ProfileError, match="GEO_PIPELINE_SEED"):
        profile_of_environment({"GEO_PIPELINE_SEED": "seven"})


def test_the_ui_shows_what_the_shell_ran(tmp_path):
    draw(tmp_path / "folder", range(3))
    chosen = Choices(
        "photos", 4, str(tmp_path / "folder"), benchmarks=(BenchmarkFiles("im2gps", str(tmp_path / "folder")),)
    )
    chosen = settled(chosen, tmp_path / "home")
    chosen.remember(tmp_path / "home")
    profile, _ = profile_of_environment({"GEO_PIPELINE_HOME": str(tmp_path / "home")})
    assert profile == named_profile(chosen) == remembered_profile(tmp_path / "home")
    assert profile.benchmarks == ("photos", "im2gps")


def test_a_ui_that_comes_first_fixes_the_number_of_shards(tmp_path):
    draw(tmp_path / "folder", range(3))
    variables = {"PROFILE": "photos", "IMAGES": str(tmp_path / "folder"), "HOME": str(tmp_path / "home")}
    environment = {f"GEO_PIPELINE_{name}": value for name, value in variables.items()}
    profile, home = profile_of_environment(environment)
    assert remembered_choices(home).shards == profile.reference_shards == 1
    for number in range(200):
        (tmp_path / "folder" / f"more{number}.jpg").write_bytes(b"x")
    assert profile_of_environment(environment)[0].reference_shards == 1


def test_benchmarks_come_with_their_own_photographs_and_published_layout(tmp_path):
    draw(tmp_path / "mine", range(4))
    draw(tmp_path / "queries", (1, 2))
    line = ["0", "{}", *["x"] * 10, "{}", "{}", *["x"] * 11]
    info = "".join("\t".join(line).format(n, n / 5 + 1, n / 10 + 1) + "\n" for n in (1, 2))
    (tmp_path / "info.txt").write_text(info)
    given = BenchmarkFiles("yfcc4k", str(tmp_path / "queries"), str(tmp_path / "info.txt"))
    profile = named_profile(Choices("photos", images=str(tmp_path / "mine"), benchmarks=(given,)))
    assert profile.benchmarks == ("photos", "yfcc4k")
    assert isinstance(profile.source, CombinedSpec)
    records = list(records_of(profile.source.open(tmp_path / "index").listing()))
    queries = {record.image_id: record for record in records if record.set_name == "yfcc4k"}
    assert set(queries) == {"yfcc4k|1", "yfcc4k|2"}
    assert (queries["yfcc4k|2"].lat_deg, queries["yfcc4k|2"].lon_deg) == (1.2, 1.4)
    assert {record.image_id for record in records if record.set_name is None} == {f"{n}.jpg" for n in range(4)}


def test_paper_takes_its_benchmarks_from_the_metadata_or_from_their_own_files():
    without = named_profile(Choices("paper", images="i", metadata="m"))
    assert without.benchmarks == ("im2gps", "im2gps3k", "yfcc4k", "yfcc26k")
    given = (BenchmarkFiles("im2gps3k", "/q"),)
    assert named_profile(Choices("paper", images="i", metadata="m", benchmarks=given)).benchmarks == ("im2gps3k",)


def test_what_is_missing_names_its_own_option(tmp_path):
    given = (BenchmarkFiles("im2gps", str(tmp_path / "q"), str(tmp_path / "q.csv")),)
    chosen = Choices("photos", images=str(tmp_path / "*.tar"), metadata=str(tmp_path / "list.csv"), benchmarks=given)
    with pytest.raises(ProfileError) as refused:
        named_profile(chosen).check_start()
    message = str(refused.value)
    for part in ("list.csv (give another with --metadata)", "q (give others with --benchmark im2gps=...)", "q.csv"):
        assert part in message
    assert "*.tar" not in message
    assert FilesSpec("s3://bucket/images", "https://host/list.csv").missing() == []
    assert PlanetSpec(0).missing() == []


def test_a_source_can_be_sent_to_other_processes(tmp_path):
    draw(tmp_path / "folder", (1,))
    spec = named_profile(
        Choices(
            "photos", images=str(tmp_path / "folder"), benchmarks=(BenchmarkFiles("im2gps", str(tmp_path / "folder")),)
        )
    ).source
    source = pickle.loads(pickle.dumps(spec.open(tmp_path / "index")))
    assert len(source.read("im2gps|1.jpg")) > 100


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (Choices("huge"), "'huge', expected one of sample, photos, paper"),
        (Choices("photos"), "--images"),
        (Choices("paper", images="x"), "the profile paper needs the metadata .*--metadata"),
        (Choices("photos", images="x", format="folder"), "the format folder needs the metadata .*--metadata"),
        (Choices("photos", images="x", format="msgpack"), "the format msgpack needs the metadata"),
        (Choices("photos", images="x", format="zip"), "found --format 'zip', expected one of folder, exif, tar"),
        (Choices("photos", images="x", benchmarks=(BenchmarkFiles("imgps", "q"),)), "found --benchmark imgps=..., exp"),
        (Choices("photos", images="x", benchmarks=(BenchmarkFiles("photos", "q"),)), "found --benchmark photos="),
        (Choices("sample", images="x"), "found --images with the profile sample"),
        (Choices(None, benchmarks=(BenchmarkFiles("im2gps", "q"),)), "--profile photos or paper"),
    ],
)
def test_a_profile_that_cannot_be_made_says_why(choices, words):
    with pytest.raises(ProfileError, match=words):
        named_profile(choices)


def test_without_photographs_the_weights_that_are_missing_are_told_in_the_same_message(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ProfileError) as told:
        named_profile(Choices(profile="paper"))
    first, *others = str(told.value).splitlines()
    assert first == (
        "found no photographs for the profile paper; give a folder, a container or a URL with --images "
        "(GEO_PIPELINE_IMAGES); missing as well:"
    )
    assert [line.split(":")[0].split(";")[0].strip(" -") for line in others] == [
        "their metadata",
        "Qwen2-VL (generation and router)",
        "OneFormer (segmentation)",
        "class list of OneFormer",
        "CLIP ViT-L/14-336 of OpenAI through open_clip",
    ]
    with pytest.raises(ProfileError) as told:
        named_profile(Choices(profile="photos"))
    assert "\n" not in str(told.value)
