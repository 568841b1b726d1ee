"""The environment variables of a server's processes: those that they need, and no others of the user's."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from ...handlers.request.limits import REQUEST_VARIABLE, RESPONSE_VARIABLE
from ...handlers.runtime.threads import CORES, THREADS
from ..folders import REPORTS, RUN

if TYPE_CHECKING:
    from ..plan import Plan

ID_VARIABLE = "LEXPORT_SERVER_ID"
REPORTS_VARIABLE = "LEXPORT_REPORT_DIR"
# By setting, the variable by which workers know it.
_LIMITS = {"max_request_size": REQUEST_VARIABLE, "max_response_size": RESPONSE_VARIABLE}

# Other variables, such as PYTHONPATH, LD_PRELOAD, JAVA_TOOL_OPTIONS or TS_…, could run unverified code in Java and in
# the workers, or override the settings.
_NEEDED = {
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ"),
    "LD_LIBRARY_PATH",  # may have the libraries of a GPU
    "ORT_DISABLE_TELEMETRY",
}
_NEEDED_PREFIXES = (
    *("LC_", "CUDA_", "NVIDIA_"),
    *("OMP_", "MKL_", "OPENBLAS_", "KMP_", "GOMP_", "MALLOC_"),
)
# Of those the ones that name libraries to load into every process.
_LIBRARIES = {"CUDA_INJECTION32_PATH", "CUDA_INJECTION64_PATH", "OMP_TOOL_LIBRARIES"}


def allowed(outer: Mapping[str, str], extra: Sequence[str] = ()) -> dict[str, str]:
    """Return the variables of `outer` that a server's processes need, and those that `extra` names.

    Raises InputError for an extra one that is not set.
    """
    for name in extra:
        if name not in outer:
            raise InputError(
                f"--env {name}: there is no such environment variable. Set it first, or leave it out.",
                code="LX-SERVE-038",
            )
    return {
        name: value
        for name, value in outer.items()
        if name in _NEEDED or name in extra or (name.startswith(_NEEDED_PREFIXES) and name not in _LIBRARIES)
    }


def server_environment(
    outer: Mapping[str, str],
    extra: Sequence[str],
    folder: Path,
    identity: str,
    plan: Plan,
    settings: Mapping[str, str],
) -> dict[str, str]:
    """Return the whole environment of one server's supervisor, Java and workers; `settings` are its properties.

    Raises InputError for an `extra` variable that is not set, or that every server gets a value of its own for, and
    for a limit that is not a number.
    """
    own = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder / RUN))
    own |= dict.fromkeys((THREADS, "OMP_NUM_THREADS"), str(plan.threads))
    own[CORES] = str(plan.cores)
    # Idle OpenMP threads that spin take the cores from the other workers and from Java.
    own["OMP_WAIT_POLICY"] = "PASSIVE"
    for name, variable in _LIMITS.items():
        value = settings[name].strip()
        if not (value.isascii() and value.isdigit() and int(value)):
            raise InputError(
                f"{name}={value} is not a number of bytes. Expected a whole number above 0.", code="LX-SERVE-039"
            )
        own[variable] = value
    own[REPORTS_VARIABLE] = str(folder / RUN / REPORTS)
    own[ID_VARIABLE] = identity
    if sys.platform == "linux":
        # In the locale "C" Java cannot open a file whose name is not ASCII.
        own["LC_ALL"] = "C.UTF-8"
    for name in extra:
        if name in own:
            raise InputError(
                f"--env {name}: lexport serve sets this variable itself. Leave it out.", code="LX-SERVE-040"
            )
    return allowed(outer, extra) | own
