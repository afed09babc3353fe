"""Kills, damages and doubles homes, runs again, and counts whether anything was lost or wrong without a word.

`python -m geo_pipeline_tests.faults.campaign [--short] [--seed N] [--folder DIR]`. After each fault either the content
of the home is that of an undisturbed run once it has run again, or the fault was named in one line; all else is
printed, and makes the exit code 1.
"""

import argparse
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typer import echo

from geo_pipeline.benchmarks.registry import BENCHMARKS
from geo_pipeline.home import integrity
from geo_pipeline.home.home import Home, MissingArtifactError
from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration.assets import ASSETS
from geo_pipeline.orchestration.lineage import bind
from geo_pipeline.profiles.named import remembered_profile
from geo_pipeline_tests.faults.children import Child, Ended, ended
from geo_pipeline_tests.faults.damages import DAMAGES, KINDS, Damage, damage, flip, garbage, gone
from geo_pipeline_tests.test_lineage import draw_photographs

STOP_SECONDS = 20.0
STATES = "building/*/last/state.safetensors"
PRELOADED = ("torch", "dagster", "geo_pipeline.commands.run", "geo_pipeline.geosurge.training", "transformers", "peft")


class Campaign:
    """One folder with an undisturbed home and copies of it; counts what became of each fault."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.options = ("--profile", "photos", "--images", folder / "pictures", "--max-rejected", "0.1")
        self.options += ("--baselines", "none")
        draw_photographs(folder / "pictures")
        self.base = folder / "base"
        done = self.run(self.base)
        if done.code:
            raise RuntimeError(f"the undisturbed run ended with {done.code}:\n{done.printed}")
        self.seconds = done.seconds
        self.content = content(self.base)
        echo(f"undisturbed: {len(self.content)} artifacts in {done.seconds:.0f} s")

    def words(self, home: Path, *more: object, ray: bool = False) -> list[object]:
        """The words of a run of a home."""
        return ["run", *self.options, "--home", home, *(() if ray else ("--in-process",)), *more]

    def run(self, home: Path, *more: object) -> Ended:
        """Run a home to its end."""
        return ended(self.words(home, *more), self.folder / "log")

    def start(self, home: Path, ray: bool = False) -> Child:
        """Begin a run of a home."""
        return Child(self.words(home, ray=ray), self.folder / "log")

    @contextmanager
    def copy(self) -> Iterator[Path]:
        """A copy of the undisturbed home, with the times of its files."""
        home = self.folder / "copy"
        shutil.copytree(self.base, home)
        try:
            yield home
        finally:
            shutil.rmtree(home)

    def judge(self, fault: str, home: Path, *before: Ended) -> None:
        """Run again, and count: the same content, or a fault that was named; `before` is what commands said of it."""
        said = [*before]
        for _ in range(3):
            done = self.run(home)
            said.append(done)
            if done.code == 0 and content(home) == self.content:
                break
        if not all(each.is_plain for each in said):
            self._is_wrong(fault, "a traceback, or no last line", said)
        elif done.code and done.last_line.startswith("geo-pipeline: "):
            self._count(fault, f"named and refused: {done.last_line}")
        elif done.code or content(home) != self.content:
            self._is_wrong(fault, "the content is another one", said)
        else:
            self._count(fault, "the same content")

    def expect(self, fault: str, done: Ended, code: int, words: str) -> None:
        """Count whether a command ended with this code and one line that holds these words."""
        if done.code == code and done.is_plain and words in done.printed:
            self._count(fault, done.last_line or "nothing to say")
        else:
            self._is_wrong(fault, f"expected code {code} and {words!r}", [done])

    def _count(self, fault: str, words: str) -> None:
        self.counts[fault.partition(":")[0]] += 1
        echo(f"  {fault}: {words[:150]}")

    def _is_wrong(self, fault: str, why: str, said: list[Ended]) -> None:
        self.wrong.append(f"{fault}: {why}")
        echo(f"  WRONG {fault}: {why}")
        for each in said:
            echo(f"    code {each.code}: {each.printed[-1500:]}")


def content(home: Path) -> dict[str, str | None]:
    """The content hash of everything that a plain run makes, each file read to its end; None for what is damaged."""
    integrity.forget()
    profile, place = remembered_profile(home), Home(home)
    lineage = bind(ASSETS, profile, METHODS, BENCHMARKS)
    found: dict[str, str | None] = {}
    made = (lineage.assets[name] for name in lineage.everyday)
    for asset in (each for each in made if not each.declared.observed):
        for artifact in (each for key in asset.everyday for each in asset.outputs(key)):
            try:
                place.verify(artifact)
                found[artifact.label()] = place.version(artifact)
            except MissingArtifactError:
                found[artifact.label()] = None
    return found


def kill(campaign: Campaign, number: int, times: int, ray: bool = False) -> None:
    """A new home whose run is killed `times` times, at any moment, before it may come to its end."""
    home, where = campaign.folder / "killed", "on Ray" if ray else "in process"
    for _ in range(times):
        child = campaign.start(home, ray)
        time.sleep(campaign.chance.uniform(0.3, campaign.seconds / max(2, times) + (15 if ray else 0)))
        victim = campaign.chance.choice(["driver", "worker", "raylet"]) if ray else "driver"
        if victim == "driver" or not _kill_of_ray(child, victim, campaign.chance):
            child.send(signal.SIGKILL)
        child.wait()
    campaign.judge(f"SIGKILL {where}: home {number}, {times} times", home)
    campaign.counts[f"SIGKILL {where}"] += times - 1
    shutil.rmtree(home)


def _kill_of_ray(child: Child, victim: str, chance: random.Random) -> bool:
    """Kill a worker or the raylet of a run; whether there was one."""
    names = {"worker": "ray::_", "raylet": "raylet/raylet"}
    found = [pid for pid, text in _descendants(child.pid) if names[victim] in text]
    if found:
        os.kill(chance.choice(found), signal.SIGKILL)
    return bool(found)


def _descendants(pid: int) -> list[tuple[int, str]]:
    """The processes below a process, with their commands."""
    rows = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], check=True, capture_output=True, text=True).stdout
    parts = [line.split(None, 2) for line in rows.splitlines()]
    family, found = {pid}, []
    for _ in range(4):  # raylet below the driver, workers below the raylet
        for own, parent, *args in parts:
            if int(parent) in family and int(own) not in family:
                family.add(int(own))
                found.append((int(own), " ".join(args)))
    return found


def stop(campaign: Campaign, number: signal.Signals, ray: bool = False) -> None:
    """A run that is stopped by a signal ends soon, with one line; a run after it comes to the end."""
    home, fault = campaign.folder / "stopped", f"{number.name} {'on Ray' if ray else 'in process'}"
    child = campaign.start(home, ray)
    time.sleep(campaign.chance.uniform(2.0, campaign.seconds * 0.7))
    child.send(number)
    sent = time.monotonic()
    done = child.wait(STOP_SECONDS)
    seconds = time.monotonic() - sent
    campaign.expect(f"{fault}: ended after {seconds:.1f} s", done, 128 + number, "stopped")
    if number == signal.SIGTERM and not ray:
        campaign.judge(f"after {fault}", home, done)
    shutil.rmtree(home, ignore_errors=True)


def damage_one(campaign: Campaign, kind: str, how: object) -> None:
    """Damage a file of a finished home, ask for its status, and run again."""
    with campaign.copy() as home:
        path = damage(home, kind, how, campaign.chance)  # type: ignore[arg-type]
        name = f"damaged {kind}: {getattr(how, '__name__', how)} {path.relative_to(home)}"
        told = ended(["status", "--home", home], campaign.folder / "log")
        campaign.judge(name, home, told)


def damage_training(campaign: Campaign, how: Damage) -> None:
    """A run that is killed inside a training, and the state from which that would go on is damaged."""
    with campaign.copy() as home:
        shutil.rmtree(home / "checkpoints/geosurge_checkpoint")
        child = campaign.start(home)
        while child.poll() is None and not list(home.glob(STATES)):
            time.sleep(0.001)
        child.send(signal.SIGKILL)
        killed = child.wait()
        found = list(home.glob(STATES))
        if killed.code != 128 + signal.SIGKILL or not found:
            campaign.expect(
                f"damaged training state: {how.__name__}", killed, 128 + signal.SIGKILL, "killed in training"
            )
            return
        how(found[0], campaign.chance)
        done = campaign.run(home)
        words = "" if how is gone else "starts anew from its beginning"
        campaign.expect(f"damaged training state: {how.__name__}, named", done, 0, words)
        campaign.judge(f"damaged training state: {how.__name__}, afterwards", home, done)


def use_rotten(campaign: Campaign) -> None:
    """A bit lost by the disk, the file's time as it was: SQL refuses to answer from it, and the next run mends it."""
    with campaign.copy() as home:
        path = home / "tables/scores/photos.parquet"
        status, data = path.stat(), bytearray(path.read_bytes())
        data[100] ^= 4
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        asked = ended(["sql", "select * from scores", "--home", home], campaign.folder / "log")
        campaign.expect("use of a rotten table: sql", asked, 1, "is damaged")
        campaign.judge("use of a rotten table: run", home, asked)


def two_runs(campaign: Campaign) -> None:
    """A second run says who holds the home and ends; the first comes to its end."""
    home = campaign.folder / "doubled"
    first = Child(campaign.words(home), campaign.folder / "first")
    while first.poll() is None and not (home / "dagster").is_dir():
        time.sleep(0.05)
    second = campaign.run(home)
    campaign.expect("two runs: the second", second, 1, f"(process {first.pid} on ")
    done = first.wait()
    campaign.expect("two runs: the first", done, 0, "report:")
    campaign.judge("two runs: afterwards", home, done)
    shutil.rmtree(home)


def full_disk(campaign: Campaign, file_bytes: int) -> None:
    """No file may grow over so many bytes: one line, and nothing half is left."""
    with campaign.copy() as home:
        for name in ("features", "segmentations", "catalogue"):
            shutil.rmtree(home / "tables" / name)
        done = Child(campaign.words(home), campaign.folder / "log", file_bytes).wait()
        if done.code == 0:
            campaign.expect(f"disk full: at {file_bytes} bytes", done, 1, "geo-pipeline: ")
        else:
            campaign.judge(f"disk full: at {file_bytes} bytes, {done.last_line[:90]}", home, done)


def read_only(campaign: Campaign) -> None:
    """On a home that may only be read, status, sql and locate answer, and run says one line."""
    with campaign.copy() as home:
        mount = shutil.which("mount")
        if (
            os.geteuid()
            or mount is None
            or subprocess.run([mount, "--bind", home, home], capture_output=True).returncode
        ):
            echo("  read-only home: not tried, it takes the right to mount")
            return
        try:
            subprocess.run([mount, "-o", "remount,bind,ro", home], check=True)
            log = campaign.folder / "log"
            photo = campaign.folder / "pictures" / "photo03.jpg"
            for words in (["status"], ["sql", "select count(*) n from images"], ["locate", photo]):
                done = ended([*words, "--home", home], log)
                campaign.expect(f"read-only home: {words[0]}", done, 0, "")
            campaign.expect("read-only home: run", campaign.run(home), 1, "geo-pipeline: ")
        finally:
            subprocess.run(["umount", home], check=True)


def refusals(campaign: Campaign) -> None:
    """A home without its note, and a DAGSTER_HOME that is none."""
    log = campaign.folder / "log"
    with campaign.copy() as home:
        (home / "profile.json").unlink()
        done = ended(["run", "--in-process", "--home", home], log)
        campaign.expect("lost profile.json: run without options", done, 1, "without profile.json")
        campaign.judge("lost profile.json: run with all options", home, done)
        for folder in (".", str(campaign.folder / "nowhere")):
            child = Child(campaign.words(home), log, environment={"DAGSTER_HOME": folder})
            campaign.expect("wrong DAGSTER_HOME", child.wait(), 1, "unset it")


def main() -> int:
    """Run the campaign; 0 when nothing was lost and nothing wrong went without a word."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few of each fault, in two to three minutes")
    parser.add_argument("--part", choices=sorted(PARTS), help="one part of the whole campaign only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the homes lie; a temporary folder without it")
    given = parser.parse_args()
    os.environ.update(HF_HUB_OFFLINE="1", DAGSTER_DISABLE_TELEMETRY="1")
    for name in PRELOADED:
        importlib.import_module(name)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="geo-pipeline-faults-", dir=given.folder) as folder:
        campaign = Campaign(Path(folder), given.seed)
        for part in [PARTS[given.part]] if given.part else [short] if given.short else PARTS.values():
            part(campaign)
    for fault, count in sorted(campaign.counts.items()):
        echo(f"{count:4d}  {fault}")
    echo(f"{sum(campaign.counts.values())} faults in {time.monotonic() - began:.0f} s, {len(campaign.wrong)} wrong")
    for line in campaign.wrong:
        echo(f"WRONG {line}")
    return 1 if campaign.wrong else 0


def short(campaign: Campaign) -> None:
    """A few of each."""
    kill(campaign, 1, 3)
    stop(campaign, signal.SIGINT)
    for kind, how in (("table", flip), ("checkpoint", gone), ("views", garbage), ("dagster events", garbage)):
        damage_one(campaign, kind, how)
    damage_training(campaign, flip)
    use_rotten(campaign)
    two_runs(campaign)
    full_disk(campaign, 20_000)
    refusals(campaign)


def kills(campaign: Campaign) -> None:
    """Fifty in ten homes, two of them on Ray."""
    for number in range(10):
        kill(campaign, number, 5, ray=number >= 8)


def stops(campaign: Campaign) -> None:
    """Ten of each signal, three of them on Ray."""
    for number in range(10):
        stop(campaign, signal.SIGTERM, ray=number >= 7)
        stop(campaign, signal.SIGINT, ray=number >= 7)


def damages(campaign: Campaign) -> None:
    """Fifty: every kind of file, in ways drawn by chance; and the state of a training in each way."""
    chosen = [(kind, how) for kind in KINDS for how in DAMAGES]
    campaign.chance.shuffle(chosen)
    for kind, how in chosen[:50]:
        damage_one(campaign, kind, how)
    for how in DAMAGES:
        damage_training(campaign, how)


def rest(campaign: Campaign) -> None:
    """Two runs, a full disk, a home that may only be read, a rotten table, and what is refused."""
    two_runs(campaign)
    for file_bytes in (2_000, 20_000, 200_000):
        full_disk(campaign, file_bytes)
    read_only(campaign)
    use_rotten(campaign)
    refusals(campaign)


PARTS = {"kills": kills, "stops": stops, "damages": damages, "rest": rest}


if __name__ == "__main__":
    sys.exit(main())
