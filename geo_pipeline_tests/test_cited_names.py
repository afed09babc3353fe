"""What documentation, docstrings and comments name is there: files, modules, links and headings."""

import ast
import io
import os
import re
import tokenize
from functools import cache
from pathlib import Path

from geo_pipeline_tests.test_conventions import LIBRARY, ROOT, TESTS, texts

FILES = frozenset(str(path.relative_to(ROOT)) for path in texts())
MADE_BY_A_RUN = frozenset({"report.md", "examples.md", "settings.yaml"})
"""Files that a run writes into its home."""
CITED_FILE = re.compile(r"(?<![\w/.*<>{}$:\-])[\w\-./]*[\w\-]+\.(?:py|md|yaml)\b(?![\w/.(])")
AUTHORITY = re.compile(r"\b(?:PROTOCOL|DESIGN|AUDIT|ENVIRONMENT|CONTRIBUTING|README)\b")
DOTTED = re.compile(r"(?<![\w./\"'-])geo_pipeline(?:_tests)?(?:\.\w+)+")
BACKTICKED = re.compile(r"`([a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*)`")
DATA_ENDINGS = frozenset({"jpg_orig", "csv", "json", "tar", "parquet", "html", "safetensors"})
LINK = re.compile(r"\]\(([^)\s]+)\)")


@cache
def words_of(path: Path) -> str:
    """What people read in a file: docstrings and comments of a module, the whole of another file."""
    text = path.read_text()
    if path.suffix != ".py":
        return text
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return "\n".join([*_docstrings(ast.parse(text)), *comments])


def _docstrings(tree: ast.Module) -> list[str]:
    """Strings that stand alone: docstrings of modules, classes, functions and constants."""
    alone = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
    return [node.value for node in alone if isinstance(node, ast.Constant) and isinstance(node.value, str)]


@cache
def names_in(path: Path) -> frozenset[str]:
    """Identifiers and strings of a module's code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        for field in ("id", "attr", "name", "arg", "value"):
            value = getattr(node, field, None)
            found |= {value} if isinstance(value, str) else set()
    return frozenset(found)


def documents() -> list[Path]:
    return [path for path in texts() if path.suffix in (".md", ".yaml", ".toml", ".py") or path.name == "Makefile"]


def is_there(cited: str, beside: Path) -> bool:
    """Whether a file is there: from the root, beside the file that cites it, or as the end of a path."""
    near = os.path.normpath(str(beside.relative_to(ROOT).parent / cited))
    name = cited.removeprefix("./")
    return near in FILES or name in FILES or any(file.endswith(f"/{name}") for file in FILES)


def dead_files(path: Path) -> list[str]:
    """Files that `path` cites and that are not there."""
    cited = set(CITED_FILE.findall(words_of(path)))
    cited |= {f"{name}.md" for name in AUTHORITY.findall(words_of(path)) if path.suffix != ".md"}
    return sorted(name for name in cited if name not in MADE_BY_A_RUN and not is_there(name, path))


def module_of(dotted: str) -> tuple[Path | None, list[str]]:
    """The file of the longest beginning that is a module or package, and the names after it."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        base = ROOT.joinpath(*parts[:count])
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if file.is_file():
                return file, parts[count:]
    return None, parts


def is_named(dotted: str) -> bool:
    """Whether a module is there, and whether it defines or imports the name after it."""
    file, rest = module_of(dotted)
    if file is None or (rest and file.name == "__init__.py"):
        return False
    return not rest or rest[0] in names_in(file)


def dead_modules(path: Path) -> list[str]:
    """Dotted names of this project in the words of `path` that lead nowhere."""
    return sorted({name for name in DOTTED.findall(words_of(path)) if not is_named(name)})


def dead_words(path: Path) -> list[str]:
    """Backticked names in a module's opening words that are neither modules of the library nor names in its code."""
    opening = ast.get_docstring(ast.parse(path.read_text())) or ""
    return sorted({name for name in BACKTICKED.findall(opening) if not _is_known(name, path)})


def _is_known(name: str, path: Path) -> bool:
    """A module, seen from any of the packages around, a name in one; else names that stand somewhere in the code."""
    if name.startswith("geo_pipeline"):
        return is_named(name)
    around = [folder for folder in path.parents if folder != ROOT and folder.is_relative_to(ROOT)]
    for folder in around:
        dotted = ".".join((*folder.relative_to(ROOT).parts, name))
        if module_of(dotted)[0] not in (None, folder / "__init__.py") and is_named(dotted):
            return True
    first, *rest = name.split(".")
    is_package = (ROOT / "geo_pipeline" / first).is_dir()
    if rest and (is_package or rest[-1] in DATA_ENDINGS):
        return rest[-1] in DATA_ENDINGS
    return all(part in all_names() for part in (first, *rest))


@cache
def all_names() -> frozenset[str]:
    return frozenset(name for path in LIBRARY for name in names_in(path)) | {path.parent.name for path in LIBRARY}


def dead_links(path: Path) -> list[str]:
    """Links of a Markdown file to files and headings that are not there."""
    found = []
    for target in LINK.findall(path.read_text()):
        file, _, heading = target.partition("#")
        place = path if not file else path.parent / file
        if "://" in target or target.startswith("mailto:"):
            continue
        if not place.exists() or (heading and heading not in headings(place)):
            found.append(target)
    return found


def headings(path: Path) -> set[str]:
    """The anchors that a Markdown file's headings get."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_every_file_that_is_cited_is_there():
    assert {str(path.relative_to(ROOT)): dead for path in documents() if (dead := dead_files(path))} == {}


def test_every_module_that_is_named_is_there():
    paths = [path for path in documents() if path != Path(__file__)]
    assert {str(path.relative_to(ROOT)): dead for path in paths if (dead := dead_modules(path))} == {}


def test_every_name_in_a_modules_opening_words_is_a_module_or_in_the_code():
    assert {str(path.relative_to(ROOT)): dead for path in LIBRARY if (dead := dead_words(path))} == {}


def test_every_link_leads_to_a_file_and_a_heading():
    """Golden texts are pages of a run, whose figures lie in its home."""
    paths = [path for path in texts() if path.suffix == ".md" and not path.name.startswith("golden_")]
    assert {str(path.relative_to(ROOT)): dead for path in paths if (dead := dead_links(path))} == {}


def test_every_measurement_stands_in_the_index_with_a_command_that_is_there():
    folder = ROOT / "docs/measurements"
    index = (folder / "README.md").read_text()
    rows = dict(re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| `([^`]+)`", index, re.MULTILINE))
    assert set(rows) == {path.stem for path in folder.glob("*.md")} - {"README"}
    modules = [command.split()[2] for command in rows.values() if command.startswith("python -m ")]
    assert len(modules) > 10
    assert [name for name in modules if not is_named(name)] == []
    assert all(words.startswith(("python -m geo_pipeline_tests.", "geo-pipeline ")) for words in rows.values())


def test_a_dead_name_is_found(tmp_path):
    assert not is_there("orchestration/stage.py", TESTS[0])
    assert is_there("orchestration/recipe.py", TESTS[0])
    assert is_there("test_lineage.py", Path(__file__))
    assert is_named("geo_pipeline.home.home.FORMAT")
    assert not is_named("geo_pipeline.home.home.NOTHING_OF_THE_KIND")
    assert not is_named("geo_pipeline.home.storage")
    assert CITED_FILE.findall("see `docs/none.md`, home/none.py and none.yaml") == [
        "docs/none.md",
        "home/none.py",
        "none.yaml",
    ]
    page = tmp_path / "page.md"
    page.write_text("# One heading\n[a](#one-heading) [b](#another) [c](none.md) [d](https://example.org)\n")
    assert dead_links(page) == ["#another", "none.md"]
