"""A Dockerfile without Docker: its instructions carried out on this machine, and its command run.

With the rights to do so, in namespaces of its own: a read-only file system, the very paths and ports, the user
without capabilities. Elsewhere with the paths and ports of a test.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[3]
# With namespaces of its own, and nothing left of it when it ends.
APART = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")


@dataclass(frozen=True)
class Dockerfile:
    """The last stage of a Dockerfile."""

    runs: tuple[str, ...]
    """The shell commands, as one line each."""
    copies: tuple[tuple[str, ...], ...]
    """Of files from the context: the sources and the folder."""
    entrypoint: list[str]
    health: list[str]
    user: str
    volume: str
    environment: dict[str, str]


def parsed(text: str) -> Dockerfile:
    """Read what the tests need of a Dockerfile."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    last = max(place for place, line in enumerate(lines) if line.startswith("FROM "))
    words: dict[str, list[str]] = {}
    for line in lines[last + 1 :]:
        name, _, rest = line.partition(" ")
        words.setdefault(name, []).append(rest.strip())
    [entrypoint], [health], [user], [volume] = (
        words[name] for name in ("ENTRYPOINT", "HEALTHCHECK", "USER", "VOLUME")
    )
    return Dockerfile(
        runs=tuple(words["RUN"]),
        copies=tuple(
            tuple(json.loads(one.partition(" ")[2])) for one in words["COPY"] if not one.startswith("--from=")
        ),
        entrypoint=json.loads(entrypoint),
        health=json.loads(health.partition("CMD ")[2]),
        user=user,
        volume=volume,
        environment=dict(one.split("=", 1) for line in words["ENV"] for one in line.split()),
    )


def variables() -> dict[str, str]:
    """What lexport's own interpreter needs, wherever it lies."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", str(PACKAGE.parent))}


def why_not() -> str:
    """Why this machine cannot give a test namespaces of its own; "" if it can."""
    if os.geteuid() != 0:
        return "only root makes namespaces here"
    if missing := [name for name in ("unshare", "setpriv", "ip") if shutil.which(name) is None]:
        return f"{missing[0]} is not installed"
    tried = subprocess.run([*APART, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"this system allows no namespaces: {tried.stderr.strip()}"
    hidden = [folder for folder in (sys.prefix, sys.base_prefix, str(PACKAGE)) if _covered(folder)]
    return f"{hidden[0]} lies where the container has folders of its own" if hidden else ""


def _covered(folder: str) -> bool:
    return Path(folder).resolve().parts[1] in ("opt", "srv", "run")


def script(found: Dockerfile, context: Path, token: Path, asked: str) -> str:
    """A shell script that makes the container's file system in this mount namespace and runs it.

    `asked` is a shell command that is run when the server is ready. Prints `exit CODE` of the server last.
    """
    ready = [word.replace("/livez", "/readyz") for word in found.health]
    python = f"#!/bin/sh\nexec {sys.executable} "
    user, group = found.user.split(":")
    environment = " ".join(f"{name}={value}" for name, value in {**variables(), **found.environment}.items())
    lines = [
        "set -e",
        "ip link set lo up",
        f"mkdir -p {context}/kept && mount --bind {context} {context} && cp {token} {context}/kept/token",
        *_readable(),
        *(f"mount -t tmpfs -o mode=0755 tmpfs {folder}" for folder in ("/opt", "/srv", "/var/lib", "/run")),
        "mkdir -p /opt/lexport/bin /run/secrets/lexport",
        f"printf '%s\"$@\"\\n' '{python}' > /opt/lexport/bin/python",
        f"printf '%s-m lexport \"$@\"\\n' '{python}' > /opt/lexport/bin/lexport",
        "chmod 755 /opt/lexport/bin/*",
    ]
    for *sources, target in found.copies:
        lines.append(f"mkdir -p {target}")
        lines += [f"install -m 0444 {context}/{source} {target}" for source in sources]
    lines += found.runs
    lines += [
        f"install -o {user} -g {group} -m 0400 {context}/kept/token /run/secrets/lexport/inference.token",
        # What `docker run --read-only --tmpfs /tmp` has; /tmp itself may hold the interpreter of a test.
        "mkdir -m 1777 /var/lib/tmp && export TMPDIR=/var/lib/tmp",
        f"mount --bind {found.volume} {found.volume} && mount --bind /var/lib/tmp /var/lib/tmp",
        *(f"mount -o remount,bind,ro {folder}" for folder in ("/opt", "/srv", "/var/lib", "/run", "/")),
        "! touch /written 2>/dev/null",
        "cd /",
        f"setpriv --reuid {user} --regid {group} --clear-groups --no-new-privs --bounding-set -all --inh-caps -all "
        f"env -i TMPDIR=$TMPDIR {environment} {shlex.join(found.entrypoint)} &",
        "server=$!",
        f"until {shlex.join(ready)} 2>/dev/null; do kill -0 $server; sleep 0.2; done",
        shlex.join(found.health),
        "grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs)' /proc/$server/status",
        asked,
        "kill -TERM $server",
        "set +e",
        "wait $server",
        "echo exit $?",
    ]
    return "\n".join(lines)


def _readable() -> Iterator[str]:
    """Commands that let every user read the interpreter and the package, where a folder above them is private."""
    for number, folder in enumerate(dict.fromkeys((sys.prefix, sys.base_prefix, str(PACKAGE)))):
        private = [one for one in reversed(Path(folder).parents) if not one.stat().st_mode & 0o001]
        if private:
            kept, top = f"/mnt/{number}", private[0]
            yield "mountpoint -q /mnt || mount -t tmpfs -o mode=0755 tmpfs /mnt"
            yield f"mkdir -p {kept} && mount --bind {folder} {kept}"
            yield f"mount -t tmpfs -o mode=0755 tmpfs {top} && mkdir -p {folder} && mount --bind {kept} {folder}"


def moved(value: Any, changes: dict[str, str]) -> Any:
    """A command with other paths and ports."""
    if isinstance(value, list):
        return [moved(one, changes) for one in value]
    for old, new in changes.items():
        value = value.replace(old, new)
    return value


def setting(unit: str, name: str) -> str:
    """The value of a setting that a unit of systemd has once."""
    [value] = re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)
    return str(value)
