"""What a user chooses, from where, and what a home remembers of it."""

import json

import pytest

from geo_pipeline.baselines.registry import BASELINES
from geo_pipeline.imagery.source import records_of
from geo_pipeline.profiles.choices import (
    BenchmarkFiles,
    Choices,
    baselines_of,
    benchmarks_of,
    choices_of_environment,
    config_of,
    remembered_choices,
    settings_of,
)
from geo_pipeline.profiles.named import named_profile
from geo_pipeline.profiles.profile import ProfileError

FULL = Choices(
    "photos",
    3,
    "s3://bucket/images",
    "/data/list.csv",
    "tar",
    (BenchmarkFiles("im2gps", "/q", None),),
    5,
    0.25,
    ("planet_net", "isns"),
    True,
    "inference: {crops: ten}\n",
    {"geosurge.training.lr": "3e-4", "lvlm.batch": "8"},
)


def test_a_home_remembers_every_choice(tmp_path):
    assert remembered_choices(tmp_path) is None
    FULL.remember(tmp_path / "new")
    assert remembered_choices(tmp_path / "new") == FULL
    Choices("sample", 1).remember(tmp_path)
    text = (tmp_path / "profile.json").read_text()
    assert set(json.loads(text)) == {"profile", "seed", "digest"}
    (tmp_path / "profile.json").write_text(text.replace('"seed": 1', '"seed": 2'))
    with pytest.raises(ProfileError, match=r"profile\.json damaged .*other content than was written.*delete it"):
        remembered_choices(tmp_path)
    (tmp_path / "profile.json").write_text('{"profile": "sample", "seed": 3}')  # as earlier versions wrote it
    assert remembered_choices(tmp_path) == Choices("sample", 3)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", '{"profile": "sample", "colour": 1}', '{"shards": "many"}', '{"benchmarks": 3}'),
        '{"settings": 3}',
    ],
)
def test_a_damaged_note_is_one_clear_message(tmp_path, text):
    (tmp_path / "profile.json").write_text(text)
    with pytest.raises(ProfileError, match=r"profile\.json damaged .*delete it"):
        remembered_choices(tmp_path)


def test_what_is_not_said_is_remembered_as_long_as_it_fits():
    assert Choices().after(FULL) == FULL
    assert Choices(seed=9, max_rejected=0.5).after(FULL) == Choices(
        *("photos", 9, FULL.images, FULL.metadata, "tar", FULL.benchmarks, 5, 0.5, FULL.baselines, True),
        *(FULL.config, FULL.settings),
    )
    assert Choices(baselines=()).after(FULL).baselines == ()
    assert Choices("photos", images="s3://bucket/images").after(FULL) == FULL
    other = Choices("photos", images="/elsewhere").after(FULL)
    kept = {"max_rejected": 0.25, "baselines": FULL.baselines, "config": FULL.config, "settings": FULL.settings}
    assert other == Choices("photos", 3, "/elsewhere", **kept)
    assert Choices("sample").after(FULL) == Choices("sample")
    without = Choices(metadata="", format="", benchmarks=()).after(FULL)
    assert (without.metadata, without.format, without.benchmarks, without.shards) == ("", "", (), 5)


def test_a_setting_is_kept_until_it_is_given_anew_or_taken_away(tmp_path):
    def after(*texts):
        return Choices(settings=settings_of(texts)).after(FULL).assigned

    assert after("lvlm.batch=4") == {"geosurge.training.lr": "3e-4", "lvlm.batch": "4"}
    assert after("lvlm.batch=") == {"geosurge.training.lr": "3e-4"}
    assert after("") == {}
    assert after("", "distance=wgs84") == {"distance": "wgs84"}
    assert Choices(config="").after(FULL).config == ""
    Choices(settings=settings_of(["lvlm.batch="]), config="").after(FULL).remember(tmp_path)
    known = json.loads((tmp_path / "profile.json").read_text())
    assert known["settings"] == {"geosurge.training.lr": "3e-4"}
    assert "config" not in known


def test_gpus_and_workers_are_settings_of_their_own():
    four = {"compute.gpus_per_worker": "1.0", "compute.actors": "4", "compute.train_workers": "4"}
    assert settings_of([], gpus=4) == four
    assert settings_of([], gpus=4, workers=2) == four | {"compute.train_workers": "2"}
    assert settings_of([], gpus=0) == {"compute.gpus_per_worker": "0.0"}
    assert settings_of(["", "compute.actors=9"], gpus=4) == four | {"compute.actors": "9", "": ""}
    assert settings_of([]) is None
    with pytest.raises(ProfileError, match="found --gpus -1, expected 0 or more"):
        settings_of([], gpus=-1)
    with pytest.raises(ProfileError, match="found --workers 0, expected 1 or more"):
        settings_of([], workers=0)


@pytest.mark.parametrize("text", ["lvlm.batch", "=3"])
def test_a_setting_that_is_not_understood_says_how_to_write_it(text):
    with pytest.raises(ProfileError, match=r"found --set .*expected PATH=VALUE, such as geosurge\.training\.lr=3e-4"):
        settings_of([text])


def test_a_configuration_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ProfileError, match=r"found --config .*absent\.yaml not to be readable .*expected a YAML file"):
        config_of(str(tmp_path / "absent.yaml"))
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ProfileError, match=r"bytes\.yaml not to be readable"):
        config_of(str(tmp_path / "bytes.yaml"))


def test_baselines_are_names_all_or_none():
    assert baselines_of(" planet_net,isns , planet_net") == ("planet_net", "isns")
    assert baselines_of("none") == ()
    assert baselines_of("all") == tuple(BASELINES)
    assert choices_of_environment({"GEO_PIPELINE_BASELINES": "lknn"}).baselines == ("lknn",)
    for text in (",", "geosurge", "planet_net,none"):
        with pytest.raises(ProfileError, match=r"found --baselines .*expected all, none, or some of lknn, planet_net"):
            baselines_of(text)


def test_a_home_remembers_that_it_wants_no_baselines(tmp_path):
    Choices("sample", baselines=()).remember(tmp_path)
    assert remembered_choices(tmp_path).baselines == ()
    assert named_profile(remembered_choices(tmp_path)).everyday_baselines == ()


def test_links_are_followed_where_a_user_says_so(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "4f1c").write_bytes(b"x")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").symlink_to(tmp_path / "store" / "4f1c")
    chosen = Choices("photos", images=str(tmp_path / "images"), shards=1)
    assert [each.problem for each in records_of(named_profile(chosen).source.open().listing())] == ["path_outside"]
    for said in ("1", "yes", "TRUE"):
        followed = choices_of_environment({"GEO_PIPELINE_FOLLOW_LINKS": said}).after(chosen)
        source = named_profile(followed).source.open()
        assert [each.problem for each in records_of(source.listing())] == ["unreadable"]
        assert source.read("a.jpg") == b"x"
    assert choices_of_environment({"GEO_PIPELINE_FOLLOW_LINKS": "no"}).follow_links is False
    with pytest.raises(ProfileError, match="found GEO_PIPELINE_FOLLOW_LINKS='perhaps', expected one of 1, true, yes"):
        choices_of_environment({"GEO_PIPELINE_FOLLOW_LINKS": "perhaps"})


def test_local_places_become_absolute_and_urls_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    chosen = Choices(images="here", metadata="~/list.csv")
    assert (chosen.images, chosen.metadata) == (str(tmp_path / "here"), str(tmp_path / "me" / "list.csv"))
    urls = Choices(images="https://host/a-{00..18}.tar", metadata="gs://b/l.csv")
    assert (urls.images, urls.metadata) == ("https://host/a-{00..18}.tar", "gs://b/l.csv")
    assert Choices(images="file:///data/y/../x/").images == "/data/x"


def test_benchmarks_as_a_user_writes_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = benchmarks_of(["im2gps3k = q/images , q/list.csv", "", "yfcc4k=s3://b/yfcc4k?x=1"])
    assert found == (
        BenchmarkFiles("im2gps3k", str(tmp_path / "q/images"), str(tmp_path / "q/list.csv")),
        BenchmarkFiles("yfcc4k", "s3://b/yfcc4k?x=1"),
    )


@pytest.mark.parametrize("text", ["im2gps", "=images", "im2gps=", "im2gps=,list.csv", "im2gps=a,b,c", "im2gps=a,"])
def test_a_benchmark_that_is_not_understood_says_how_to_write_it(text):
    with pytest.raises(ProfileError, match=r"found --benchmark .*NAME=IMAGES or NAME=IMAGES,METADATA"):
        benchmarks_of([text])


def test_a_benchmark_given_twice_is_refused():
    with pytest.raises(ProfileError, match="im2gps more than once"):
        benchmarks_of(["im2gps=a", "im2gps=b"])


def test_the_environment_says_everything_too(tmp_path):
    (tmp_path / "my.yaml").write_text(FULL.config)
    variables = {
        "PROFILE": "photos", "SEED": "3", "IMAGES": "s3://bucket/images", "METADATA": "/data/list.csv", "FORMAT": "tar",
        "BENCHMARKS": "im2gps=/q;", "SHARDS": "5", "MAX_REJECTED": "0.25", "BASELINES": "planet_net,isns",
        "FOLLOW_LINKS": "1", "CONFIG": str(tmp_path / "my.yaml"), "SET": "geosurge.training.lr=3e-4; lvlm.batch=8",
    }  # fmt: skip
    assert choices_of_environment({f"GEO_PIPELINE_{name}": value for name, value in variables.items()}) == FULL
    assert choices_of_environment({"GEO_PIPELINE_SEED": "", "OTHER": "1"}) == Choices()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SEED", "seven", "expected a whole number"),
        ("SEED", "-1", "expected 0 or more"),
        ("SHARDS", "2.5", "expected a whole number"),
        ("SHARDS", "0", "1 to 100,000"),
        ("MAX_REJECTED", "lots", "expected a share"),
        ("MAX_REJECTED", "nan", "expected a share"),
        ("MAX_REJECTED", "0.0_5", "expected a share"),
        ("SHARDS", "--5", "expected a whole number"),
        ("SHARDS", "\N{SUPERSCRIPT TWO}", "expected a whole number"),
        ("MAX_REJECTED", "20", "expected 0 to 1"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(name, value, words):
    with pytest.raises(ProfileError, match=words):
        choices_of_environment({f"GEO_PIPELINE_{name}": value})
