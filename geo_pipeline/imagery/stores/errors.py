"""What the errors of stores and servers mean: a file that cannot be had, or a store that does not answer just now.

Listing and reading belong to `remote`.
"""

import errno
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from geo_pipeline.imagery.source import MissingImageError, SourceError
from geo_pipeline.imagery.stores.store import StoreError

TRIES = 3
WAIT_S = 0.25
"""Wait before the second try; it doubles with each further one."""
_T = TypeVar("_T")


def tried(action: Callable[[], _T], what: str, wanted: type[Exception]) -> _T:
    """The action's result; an error that lasts becomes `wanted`, a store that does not answer a `StoreError`."""
    for trial in range(TRIES):
        try:
            return action()
        except _errors() as error:
            words = lasting(error)
            if words is not None:
                raise wanted(f"{what}: {words}. Check the address and the rights to read it.") from error
            if trial + 1 == TRIES:
                raise StoreError(no_answer(what, error)) from error
        time.sleep(WAIT_S * 2**trial)
    raise StoreError(f"{what}: not tried.")


def _errors() -> tuple[type[BaseException], ...]:
    """What fsspec and the clients under it raise; of clients that were never imported nothing can come."""
    found: list[type[BaseException]] = [OSError, ValueError]  # ValueError: a server that gives only whole files
    for module, names in (
        ("aiohttp", ("ClientError",)),
        ("botocore.exceptions", ("BotoCoreError", "ClientError")),
        ("gcsfs.retry", ("HttpError",)),
        ("google.auth.exceptions", ("GoogleAuthError",)),
    ):
        if module in sys.modules:
            found += [getattr(sys.modules[module], name) for name in names]
    return tuple(found)


def lasting(error: BaseException) -> str | None:
    """Why a file cannot be had however often it is asked for; None for a reason that may pass or concerns the store."""
    cause = error.__cause__
    response = getattr(cause, "response", None)
    code = str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
    status = getattr(error, "status", None) or getattr(error, "code", None) or getattr(cause, "status", None)
    if isinstance(error, SourceError | MissingImageError):
        return str(error)
    if isinstance(error, ValueError):
        return f"{error} Put the files where parts of them can be read, or copy them to this machine."
    if isinstance(status, int):
        return f"the server answers {status}" if 400 <= status < 500 and status not in (401, 408, 429) else None
    if isinstance(error, FileNotFoundError):
        hidden = isinstance(cause, _errors()) and not isinstance(cause, FileNotFoundError | ValueError) and not code
        return None if hidden else "No such file"  # fsspec calls every failure of a web server "not found"
    if isinstance(error, PermissionError):
        return "Permission denied" if code in ("", "AccessDenied", "AllAccessDisabled", "403") else None
    if isinstance(error, OSError) and error.errno in (errno.EISDIR, errno.EINVAL, errno.EPERM):
        return str(error.strerror or error)
    return None


def no_answer(what: str, error: BaseException) -> str:
    """The sentence of a store that does not answer."""
    return (
        f"{what}: the store does not answer ({type(error).__name__}: {error}). Check the address, the credentials and "
        "the network, and run again; what is finished stays."
    )
