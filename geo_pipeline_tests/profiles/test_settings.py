"""What a user may set, how it is read, and what is said of what cannot be set."""

from dataclasses import replace

import pytest

from geo_pipeline.profiles.choices import Choices, settings_of
from geo_pipeline.profiles.named import named_profile, profile_of_environment, profile_to_show
from geo_pipeline.profiles.paper import paper
from geo_pipeline.profiles.photos import photos
from geo_pipeline.profiles.profile import Profile, ProfileError
from geo_pipeline.profiles.sample import sample
from geo_pipeline.profiles.settings import changed, read_assigned, read_config, shown, written
from geo_pipeline.profiles.settings import settings_of as all_settings
from geo_pipeline.profiles.sources import files_spec

PROFILES = {
    "sample": sample(3),
    "photos": photos(files_spec("images"), shards=1),
    "paper": paper(files_spec("images", "metadata.csv")),
}


def with_set(*texts: str, profile: Profile = PROFILES["sample"]) -> Profile:
    return changed(profile, read_assigned(settings_of(texts) or {}))


@pytest.mark.parametrize("name", PROFILES)
def test_all_settings_of_a_profile_fed_back_change_nothing(name):
    profile = PROFILES[name]
    text = written(profile)
    assert set(read_config(text)) == set(shown(profile))
    assert changed(profile, read_config(text)) == profile
    other = with_set("router.lvlm.batch=3", "geosurge.training.lr=2e-5", "lvlm.model=elsewhere", profile=profile)
    again = changed(profile, read_config(written(other)))
    assert again == other
    assert again.chosen == other.chosen != ()


def test_nothing_set_is_the_profile_as_it_is():
    assert changed(PROFILES["sample"], {}) is PROFILES["sample"]
    assert changed(PROFILES["sample"], read_config("")) is PROFILES["sample"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("geosurge.training.lr=3e-4", 3e-4),
        ("geosurge.training.lr=1", 1.0),
        ("geosurge.training.lr=1.5E-5", 1.5e-5),
        ("geosurge.training.micro_batch=16", 16),
        ("inference.phash_bits=0", 0),
        ("partition.tau_max=[600, 300]", (600, 300)),
        ("split.by=[author, place]", ("author", "place")),
        ("query_shards=[[planet_mixed, 2]]", (("planet_mixed", 2),)),
        ("partition.semantics=isn", "isn"),
        ("router.hard_labels=true", True),
        ("lvlm.model=sample:qwen2vl", "sample:qwen2vl"),
        ("geosurge.depth=null", None),
        ("ablations=[]", ()),
    ],
)
def test_a_value_is_read_as_its_configuration_declares_it(text, value):
    found = all_settings(with_set(text))[text.partition("=")[0]].value
    assert found == value
    assert type(found) is type(value)


def test_a_section_may_be_given_as_one():
    made = with_set("geosurge.training={lr: 3e-4, batch: 64}")
    assert (made.geosurge.training.lr, made.geosurge.training.batch) == (3e-4, 64)
    nested, dotted = "partition:\n  tau_min: 2\ndistance: wgs84\n", "partition.tau_min: 2\ndistance: wgs84\n"
    assert read_config(nested) == read_config(dotted) == {"partition.tau_min": 2, "distance": "wgs84"}


def test_settings_of_one_configuration_are_looked_at_together():
    made = with_set("partition.tau_min=700", "partition.tau_max=[900, 800]")
    assert (made.partition.tau_min, made.partition.tau_max) == (700, (900, 800))


REFUSED = [
    (
        "geosurge.training.lr=fast",
        r"^found geosurge\.training\.lr = fast, expected a number; .*`geo-pipeline settings`",
    ),
    ("geosurge.training.lr=.nan", r"found geosurge\.training\.lr = \.nan, expected a number"),
    ("geosurge.training.batch=2.0", "found geosurge.training.batch = 2.0, expected a whole number"),
    ("geosurge.training.batch=true", "found geosurge.training.batch = true, expected a whole number"),
    ("geosurge.training.micro_batch=all", "micro_batch = all, expected a whole number or null"),
    ("geosurge.training.loss=nave", "found geosurge.training.loss = nave, expected unique_cells or naive"),
    ("inference.score=cosine", "= cosine, expected log_softmax, cosine_product or shifted"),
    ("router.hard_labels=1", "found router.hard_labels = 1, expected true or false"),
    ("lvlm.model=3", "found lvlm.model = 3, expected text"),
    ("partition.tau_max=[9, x]", r"tau_max = \[9, x\], expected a list, each a whole number"),
    ("split.by=[place]", r"split\.by = \[place\], expected \[author\] or \[author, place\]"),
    ("query_shards=[a]", r"query_shards = \[a\], expected a list, each \[text, a whole number\]"),
    (
        "geosurge.trainig.lr=1",
        "found no setting geosurge.trainig.lr, expected one of its kind, perhaps geosurge.training.lr",
    ),
    ("colour=1", "found no setting colour, expected"),
    ("geosurge.training=1", "found geosurge.training = 1, expected a setting below it: lr, weight_decay"),
    ("geosurge.training={}", "expected a setting below it"),
    ("name=mine", "found name among the settings, expected --profile in its place"),
    (
        "source.images=x",
        "found source.images among the settings, expected --images, --metadata and --format in its place",
    ),
    ("seed=3", "expected --seed in its place"),
    ("reference_shards=3", "expected --shards in its place"),
    ("benchmarks=[im2gps]", "expected --benchmark in its place"),
    ("max_rejected_share=1", "expected --max-rejected in its place"),
    ("everyday_baselines=[]", "expected --baselines in its place"),
    ("statement=fine", "expected it to stay as the profile has it"),
    ("baselines.lknn.name=isns", "found no setting baselines.lknn.name"),
    ("lvlm.batch=[", "expected YAML; correct it"),
    ("split={holdout: 0.1, holdout: 0.2}", "found holdout twice in line 1 of --set split="),
    # what the configurations say themselves
    (
        "geosurge.training.lanes=3",
        r"training\.lanes is 3 with batch 128; expected a divisor .*of the settings geosurge",
    ),
    ("geosurge.training.lr=0", r"found that training\.lr is 0\.0; expected above 0"),
    ("partition.tau_min=0", "found tau_min is 0, expected at least 1"),
    ("split.holdout=2", "found holdout=2.0; expected a share"),
    ("router.keep=first", "found router.keep = first, expected last or best"),
    ("router.batch=0", "found a RouterConfig that cannot be used: batch is 0"),
    ("lvlm.decimals=9", r"found LvlmConfig\.decimals = 9; expected 0 to 8"),
    ("segmentation.batch=0", "found segmentation.batch = 0, expected at least 1"),
    ("inference.phash_bits=65", "expected 0 to 64"),
    ("dispo.alpha=0", r"found dispo\.alpha = 0\.0, expected above 0"),
    ("baselines.lknn.options.neighbours=0", r"LknnOptions\.neighbours is 0; expected above 0"),
    ("baselines.lknn.training.loss=naive", "belongs to GeoSURGE's objective"),
    ("compute.actors=0", r"found compute\.actors = 0, expected at least 1"),
    ("compute.gpus_per_worker=1.5", r"gpus_per_worker = 1\.5, expected 0, a part of one GPU, or whole GPUs"),
    ("compute.stall_s=0", r"found compute\.stall_s = 0\.0, expected seconds above 0"),
    ("canonical_quality=200", "found canonical_quality = 200, expected 1 to 100"),
    ("canonical_px=0", "found canonical_px = 0, expected 1 or more"),
    ("ablations=[depth_2]", "found the ablation depth_2, expected some of classifier, depth_5"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=[text for text, _ in REFUSED])
def test_what_cannot_be_set_is_told_with_its_name_its_value_and_what_is_expected(text, words):
    with pytest.raises(ProfileError, match=words) as refused:
        with_set(text)
    assert str(refused.value).startswith("found ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n- b\n", r"found \[a, b\] as the configuration \(--config\), expected settings by name"),
        ("a: [\n", r"found .* in line 2 of the configuration \(--config\), expected YAML"),
        ("distance: wgs84\ndistance: wgs84\n", "found distance twice in line 1 of the configuration"),
        ("split: {holdout: 0.1}\nsplit.holdout: 0.2\n", "found split.holdout twice in the configuration"),
        ("a: !!python/object:os.system {}\n", "expected YAML"),
        ("geosurge:\n", "found geosurge = null, expected a setting below it"),
    ],
)
def test_a_configuration_file_that_is_not_understood_is_one_message(text, words):
    with pytest.raises(ProfileError, match=words):
        changed(PROFILES["sample"], read_config(text))


def test_the_language_model_is_the_routers_too_unless_the_router_has_its_own():
    one = with_set("lvlm.model=Qwen/Qwen2-VL-2B-Instruct", "lvlm.batch=4", profile=PROFILES["paper"])
    assert one.lvlm == one.router.lvlm
    assert (one.lvlm.model, one.lvlm.batch) == ("Qwen/Qwen2-VL-2B-Instruct", 4)
    assert [path for path, _, _ in one.chosen] == ["lvlm.model", "lvlm.revision", "lvlm.batch"]
    two = with_set("lvlm.batch=4", "router.lvlm.batch=2", profile=PROFILES["paper"])
    assert (two.lvlm.batch, two.router.lvlm.batch) == (4, 2)


def test_a_baseline_and_its_twin_without_the_idea_are_set_as_one_unless_the_twin_is_named():
    def neighbours(*texts):
        return [each.options.neighbours for each in with_set(*texts).baselines if each.name == "lknn"]

    assert neighbours("baselines.lknn.options.neighbours=5") == [5, 5]
    assert neighbours("baselines.lknn_without_idea.options.neighbours=5") == [20, 5]
    assert neighbours("baselines.lknn.options.neighbours=5", "baselines.lknn_without_idea.options.neighbours=7") == [
        5,
        7,
    ]


def test_a_profile_that_gives_a_twin_another_value_keeps_it():
    twin = with_set("baselines.lknn_without_idea.options.neighbours=7")
    made = with_set("baselines.lknn.options.neighbours=5", "baselines.lknn.options.power=2", profile=twin)
    found = [(each.options.neighbours, each.options.power) for each in made.baselines if each.name == "lknn"]
    assert found == [(5, 2.0), (7, 2.0)]


def test_the_settings_of_a_baseline_stand_below_the_name_of_its_method():
    profile = PROFILES["sample"]
    wanted = {f"baselines.{each.method}.training.lr" for each in profile.baselines}
    assert {path for path in all_settings(profile) if path.startswith("baselines.") and path.endswith(".lr")} == wanted


def test_another_model_does_not_keep_the_revision_of_the_first():
    made = with_set("segmentation.model=owner/oneformer", "lvlm.revision=abc", profile=PROFILES["paper"])
    assert (made.segmentation.revision, made.lvlm.revision) == (None, "abc")
    both = with_set("segmentation.model=owner/oneformer", "segmentation.revision=v1", profile=PROFILES["paper"])
    assert both.segmentation.revision == "v1"
    same = with_set(f"lvlm.model={PROFILES['paper'].lvlm.model}", profile=PROFILES["paper"])
    assert same == PROFILES["paper"]


def test_the_start_check_looks_for_the_models_that_are_set(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))

    def needs(*texts, name="paper"):
        return "\n".join(with_set(*texts, profile=PROFILES[name]).missing())

    assert "Qwen2-VL (generation and router): config.json" in needs()
    other = needs("lvlm.model=Qwen/Qwen2-VL-2B-Instruct")
    assert "of Qwen/Qwen2-VL-2B-Instruct at revision main" in other
    assert "7B" not in other
    apart = needs("router.lvlm.model=Qwen/Qwen2-VL-2B-Instruct")
    assert "Qwen2-VL (generation): " in apart
    assert "Qwen2-VL (router): " in apart
    (tmp_path / "qwen").mkdir()
    assert f"in the folder {tmp_path / 'qwen'}" in needs(f"lvlm.model={tmp_path / 'qwen'}")
    for file in (
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "preprocessor_config.json",
        "model.safetensors",
    ):
        (tmp_path / "qwen" / file).write_text('{"model_type": "qwen2_vl"}')
    assert "Qwen2-VL" not in needs(f"lvlm.model={tmp_path / 'qwen'}")
    tower = needs(f"geosurge.vision.model=local-dir:{tmp_path}", "geosurge.vision.pretrained=null")
    assert f"CLIP tower: open_clip_config.json, open_clip_model.safetensors in the folder {tmp_path}" in tower
    file = needs(f"geosurge.vision.pretrained={tmp_path / 'clip.safetensors'}")
    assert f"clip.safetensors in the folder {tmp_path}" in file
    lists = needs(f"segmentation.model={tmp_path}", "segmentation.class_info=classes.json")
    assert f"classes.json in the folder {tmp_path}" in lists
    assert needs(name="sample") == ""


def test_what_a_user_sets_goes_before_the_file_and_the_file_before_the_profile(tmp_path):
    config = "inference:\n  candidates: 4\n  top_k: 4\n"
    chosen = Choices("sample", config=config, settings={"inference.top_k": "2"})
    inference = named_profile(chosen).inference
    assert (inference.candidates, inference.top_k, inference.batch) == (4, 2, 256)
    assert [path for path, _, _ in named_profile(chosen).chosen] == ["inference.top_k", "inference.candidates"]


def test_a_code_location_sees_the_settings_of_its_environment_and_of_its_home(tmp_path):
    (tmp_path / "my.yaml").write_text("inference: {candidates: 4}")
    environment = {"GEO_PIPELINE_CONFIG": str(tmp_path / "my.yaml"), "GEO_PIPELINE_SET": "inference.top_k=2"}
    environment |= {"GEO_PIPELINE_HOME": str(tmp_path / "home")}
    inference = profile_of_environment(environment)[0].inference
    assert (inference.candidates, inference.top_k) == (4, 2)
    Choices("sample", config="inference: {candidates: 3}", settings={"inference.top_k": "1"}).remember(
        tmp_path / "home"
    )
    (tmp_path / "my.yaml").unlink()
    home = {"GEO_PIPELINE_HOME": str(tmp_path / "home")}
    inference = profile_of_environment(home)[0].inference
    assert (inference.candidates, inference.top_k) == (3, 1)
    assert profile_of_environment(home | {"GEO_PIPELINE_SET": "inference.top_k="})[0].inference.top_k == 10


def test_settings_can_be_looked_at_without_photographs(tmp_path):
    assert profile_to_show(Choices(), tmp_path).name == "sample"
    assert profile_to_show(Choices("paper"), tmp_path).canonical_px == 384
    assert profile_to_show(Choices("photos", settings={"canonical_px": "80"}), tmp_path).canonical_px == 80


def test_the_lanes_of_a_training_are_divided_among_its_workers(tmp_path):
    def wrong(*texts, gpus=None, workers=None, **more):
        given = settings_of(["geosurge.training.lanes=8", *texts], gpus, workers)
        return changed(PROFILES["paper"], read_assigned(given)).wrong(**more)

    for count in (1, 2, 4, 8):
        assert wrong(gpus=count) == []
    assert wrong(gpus=3) == [
        "found 3 training workers for geosurge.training.lanes 8, expected a divisor of the lanes (1, 2, 4, 8): "
        "choose one with --workers, or other lanes"
    ]
    assert wrong(gpus=3, in_process=True) == wrong(gpus=3, workers=2) == wrong("compute.train_workers=4") == []
    with pytest.raises(ProfileError, match=r"cannot start; missing or wrong:\n  - found 2 training workers"):
        with_set("compute.train_workers=2").check_start()
    with_set("compute.train_workers=2").check_start(in_process=True)


def test_four_gpus_are_four_workers_with_one_each():
    compute = with_set(*(f"{path}={text}" for path, text in (settings_of([], gpus=4) or {}).items())).compute
    assert (compute.actors, compute.gpus_per_worker, compute.train_workers) == (4, 1.0, 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("geosurge.depth=8", "found geosurge.depth 8, expected at most the 7 values of partition.tau_max"),
        (
            "geosurge.fusion.classes=20",
            "found segmentation.classes 150 and geosurge.fusion.classes 20, expected the same",
        ),
        ("split.benchmark=0.1", "found split.benchmark 0.1 with the benchmarks planet_mixed"),
    ],
)
def test_settings_that_do_not_fit_each_other_stop_a_run_at_its_start(text, words):
    with pytest.raises(ProfileError, match=words):
        with_set(text).check_start()


def test_every_profile_fits_itself_but_for_its_machines():
    for profile in PROFILES.values():
        assert replace(profile, compute=replace(profile.compute, train_workers=1)).wrong() == []


@pytest.mark.parametrize("text", ["geosurge: &g {training: *g}", "a: " + "[" * 3000])
def test_settings_without_end_are_refused(text):
    with pytest.raises(ProfileError, match="nested without end in the configuration"):
        read_config(text)
