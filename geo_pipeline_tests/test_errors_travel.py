"""An error that a worker raises reaches the driver as it is: every exception of the package survives being sent."""

import importlib
import inspect
import pickle
import pkgutil

import pytest

import geo_pipeline

PARTS = {"problems": [], "problem": "kind", "reason": "kind", "name": "table", "words": "words", "detail": "words"}
PARTS |= {"number": 15, "location": "words"}


def exceptions():
    """The package's exceptions that have a constructor of their own."""
    found = {}
    for module in pkgutil.walk_packages(geo_pipeline.__path__, "geo_pipeline."):
        for name, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            own = issubclass(kind, Exception) and kind.__module__.startswith("geo_pipeline.")
            if own and "__init__" in vars(kind):
                found[name] = kind
    return found


def test_every_exception_with_a_constructor_of_its_own_survives_being_sent():
    kinds = exceptions()
    assert {"ContractError", "ImageRejected"} <= set(kinds)
    for name, kind in kinds.items():
        parameters = list(inspect.signature(kind).parameters)
        made = kind(*(PARTS[parameter] for parameter in parameters))
        sent = pickle.loads(pickle.dumps(made))
        assert (type(sent), str(sent), vars(sent)) == (kind, str(made), vars(made)), name


class LostError(Exception):
    """Made of two parts, sent as one."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def test_the_probe_sees_one_that_does_not():
    sent = pickle.dumps(LostError("a", "b"))
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        pickle.loads(sent)
