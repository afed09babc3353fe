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
        if code.co_filename.startswith(ROOT) and self.asset is not None and "<module>" not in code.co_qualname:
            module = code.co_filename.removeprefix(ROOT).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            self.seen.setdefault(self.asset, set()).add(Named(module, code.co_qualname.split(".")[0]))


def uncounted(asset, functions):
    """Those of these functions that are no part of an asset's code version and are not declared to decide no byte."""
    named = [each for each in map(Named.of, asset.counted) if SOURCES.file(each.module)]
    modules = set(SOURCES.modules(named))
    sliced = {each for function in named for each in SOURCES.slice(function).functions}
    return {
        each
        for each in functions
        if each.module not in modules
        and each not in sliced
        and (not decides_nothing(each.module) or each.module.startswith("orchestration.assets."))
    }
