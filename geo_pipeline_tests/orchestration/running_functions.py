"""Which of our functions run while each asset is made: the other side of code versions, read in the source."""

import sys
import threading
from dataclasses import replace
from functools import wraps
from pathlib import Path

import geo_pipeline
from geo_pipeline.orchestration.versions import SOURCES, Named, decides_nothing

ROOT = str(Path(geo_pipeline.__path__[0])) + "/"


class RunningFunctions:
    """Notes every function of our package that is called while the function of an asset runs, and not between them.

    A profile function, called by the interpreter at each call, in every thread.
    """

    def __init__(self):
        self.asset = None
        self.seen = {}
        self._known = set()

    def watched(self, lineage):
        """The lineage with functions that are watched; `wraps` keeps the code versions what they are."""
        assets = {
            name: replace(each, function=self._around(name, each.function)) for name, each in lineage.assets.items()
        }
        return replace(lineage, assets=assets)

    def _around(self, name, function):
        @wraps(function)
        def run(*arguments):
            self.asset, self._known = name, set()
            threading.setprofile(self._note)
            sys.setprofile(self._note)
            try:
                return function(*arguments)
            finally:
                sys.setprofile(None)
                threading.setprofile(None)
                self.asset = None

        return run

    def _note(self, frame, event, argument):
        code = frame.f_code
        if event != "call" or code in self._known:
            return
        self._known.add(code)
        declares = "<lambda>" in code.co_qualname and "/orchestration/assets/" in code.co_filename
        called = "<module>" not in code.co_qualname and not declares
        if code.co_filename.startswith(ROOT) and self.asset is not None and called:
            module = code.co_filename.removeprefix(ROOT).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            self.seen.setdefault(self.asset, set()).add(Named(module, code.co_qualname.split(".")[0]))


NAMES_SHARDS = "imagery.shard_plan"
"""Which shards there are. Their names stand in the fingerprint of who reads them, and in the name of the file."""
DECLARES = ("reads", "writes", "partitions", "settings", "settings_of", "counted", "counted_of", "everyday", "exists")
"""Fields of a declaration. What they say stands in the fingerprint, the version or the name of the file."""


def uncounted(asset, functions):
    """Those of these functions that are no part of an asset's code version, though they should be.

    Nothing is missed in what is declared to decide no byte, in what declares (DECLARES; lambdas at the top of a
    module of assets stand there only), and in what reads the files that the catalogue's stamps stand for (images).
    """
    counted, modules = reached(asset.counted)
    fields = (getattr(asset.declared, name) for name in DECLARES)
    declaring, declaring_modules = reached(each for each in fields if callable(each))
    reads = asset.declared.reads if not callable(asset.declared.reads) else {}
    choosing, choosing_modules = reached(reads.values())
    reading, stamped = reached(asset.scope.profile.source.readers() if asset.name == "images" else ())
    known = modules | declaring_modules | choosing_modules | stamped | {NAMES_SHARDS}
    return {
        each
        for each in functions
        if each.module not in known
        and each not in counted | declaring | choosing | reading
        and (not decides_nothing(each.module) or each.module.startswith("orchestration.assets."))
    }


def reached(functions):
    """The functions that these are made of, and the modules that they reach."""
    named = [each for each in map(Named.of, functions) if SOURCES.file(each.module) and each.name != "<lambda>"]
    slices = [SOURCES.slice(each) for each in named]
    return {each for found in slices for each in found.functions}, set(SOURCES.modules(named))
