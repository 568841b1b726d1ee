"""Rules on what may be loaded and run: URLs, archives, packages, plugins, Java's own options."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import regex
from packaging.version import Version

from .settings_file import FIRST_WITH_TOKENS, SettingFinding, SettingsFile

STRANGER = "attacker.example"
_MATCHING = 0.2  # seconds for a pattern of a file that may be anybody's
_NO_ENVIRONMENT_URLS = Version("0.9.0")  # the first that needs use_env_allowed_urls
_CLOSED = "allowed_urls=(?!) (matches none), or https://HOST/FOLDER/[^/]+ with every dot of HOST written \\\\."
_DEBUGGER = ("-agentlib:jdwp", "-Xrunjdwp", "-Xdebug")


def allowed_urls(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield what may be fetched: TorchServe loads workflows from these URLs with enable_model_api=false too."""
    name = "allowed_urls"
    who = "anyone with the management token" if file.has_tokens() else "anyone who reaches the management port"
    patterns = file.get(name).split(",")
    try:
        url = next((url for url in _probes(patterns) if any(_matches(part, url) for part in patterns)), None)
        loose = next((url for part in patterns for url in _misread(part) if _matches(part, url)), None)
    except (regex.error, TimeoutError) as problem:
        yield file.note(name, f"this is no pattern that can be judged ({type(problem).__name__}: {problem})", _CLOSED)
        return
    if url is not None and url.startswith("file:"):
        yield file.danger(
            name, f"{who} can have any file of this machine taken for an archive, and its code run", _CLOSED
        )
    elif url is not None and STRANGER in url:
        yield file.danger(name, f"{who} can have {url} fetched, and its code run", _CLOSED)
    elif url is not None:
        yield file.danger(
            name, f"{who} can have {url} fetched unencrypted: whoever is on the way can put other code in", _CLOSED
        )
    elif loose is not None:
        yield file.note(name, f"a dot stands for any character: {loose} is allowed too", _CLOSED)
    else:
        yield file.ok(name)


def _probes(patterns: Iterable[str]) -> Iterator[str]:
    """Yield URLs that no pattern should match, the worst first."""
    yield from (f"https://{STRANGER}/x.mar", f"http://{STRANGER}/x.mar")
    plain = [_plain(part) for part in patterns]
    # `https://models.example.com.*` also matches another host that begins like that.
    for begin in plain:
        for url in (f"{begin}.{STRANGER}/x.mar", f"{begin}@{STRANGER}/x.mar"):
            if _host(url).endswith(STRANGER):
                yield url
    yield "file:///home/somebody/x.mar"
    yield from (f"{begin}x.mar" for begin in plain if begin.startswith("http:"))


def _misread(pattern: str) -> Iterator[str]:
    """Yield the URL of another host that a pattern matches if the first dot of its host is not escaped."""
    url = f"{_plain(pattern)}x.mar"
    host = _host(url)
    if host.count(".") > 1:
        yield url.replace(host, host.replace(".", "-", 1), 1)


def _plain(pattern: str) -> str:
    """Return the text that a usual pattern begins with: without its `.*`, `?` and backslashes."""
    end = pattern.removesuffix("$").removesuffix(".*").removesuffix("[^/]+")
    return end.replace("\\", "").replace("(s)?", "").replace("s?:", ":").removeprefix("^").strip()


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _matches(pattern: str, url: str) -> bool:
    return regex.compile(pattern, regex.IGNORECASE).fullmatch(url, timeout=_MATCHING) is not None


def environment(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield whether environment variables override the file."""
    override = file.is_on("enable_envvars_config")
    if override:
        yield file.note(
            "enable_envvars_config",
            "variables named TS_… override this file: TS_DISABLE_TOKEN_AUTHORIZATION=true turns the tokens off",
            "enable_envvars_config=false",
        )
    else:
        yield file.ok("enable_envvars_config")
    name = "use_env_allowed_urls"
    if override and (file.is_on(name) or file.version < _NO_ENVIRONMENT_URLS):
        yield file.danger(
            name, "the variable TS_ALLOWED_URLS takes the place of allowed_urls, whatever that says", f"{name}=false"
        )
    elif file.is_on(name):
        yield file.note(
            name, "with enable_envvars_config=true the variable TS_ALLOWED_URLS would count", f"{name}=false"
        )
    else:
        yield file.ok(name)


def model_api(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield whether models can be registered over HTTP, and so code be brought in."""
    name = "enable_model_api"
    if file.version < FIRST_WITH_TOKENS:
        yield file.danger(
            name,
            f"in TorchServe {file.version} anyone who reaches the management port can register the code of any "
            "folder of this machine and of every URL in allowed_urls; it cannot be turned off",
            "TorchServe 0.12.0",
        )
    elif file.is_on(name):
        who = "anyone with the management token" if file.has_tokens() else "anyone who reaches the management port"
        yield file.danger(
            name,
            f"{who} can run the code in any folder of this machine (POST /models?url=FOLDER), whatever allowed_urls "
            "says",
            f"{name}=false, and start the server with its archives",
        )
    else:
        yield file.ok(name)


def installs(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield whether archives make pip install packages."""
    name = "install_py_dep_per_model"
    if file.is_on(name):
        yield file.danger(
            name,
            "pip installs what an archive's requirements.txt names when it is loaded, and runs it: whatever the "
            "index has that day",
            f"{name}=false, and install what models need beforehand",
        )
    else:
        yield file.ok(name)


def models(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield what is loaded at the start."""
    chosen = file.get("load_models")
    remote = [part.strip() for part in chosen.split(",") if "://" in part]
    if remote:
        yield file.danger(
            "load_models",
            f"at each start {remote[0]} is fetched and its code is run, whatever it is that day",
            "put the archive into model_store, and verify it: lexport verify MAR",
        )
    elif chosen.strip().lower() == "all":
        yield file.note(
            "load_models",
            "the code of every archive in model_store runs, whoever put it there",
            "name the archives: load_models=NAME-1.0.mar",
        )
    for name in ("model_store", "workflow_store"):
        if _writable_by_others(file.get(name)):
            yield file.danger(
                name,
                "other users of this machine can put archives there, whose code runs",
                f"chmod go-w {file.get(name)}",
            )


def plugins(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield what else runs inside of TorchServe, or is started by it."""
    path = file.get("plugins_path")
    if path and _writable_by_others(path.removesuffix("*").rstrip("/")):
        yield file.danger(
            "plugins_path",
            "other users of this machine can put jars there, which run in TorchServe",
            f"chmod go-w {path}",
        )
    elif path:
        yield file.note(
            "plugins_path", "every jar there runs in TorchServe, before any token is checked", "leave it out"
        )
    if file.get("system_metrics_cmd"):
        yield file.note("system_metrics_cmd", "TorchServe runs this command every minute", "leave it out")
    if file.is_on("cpu_launcher_enable"):
        yield file.note(
            "cpu_launcher_enable",
            "workers are started by another program, with cpu_launcher_args",
            "cpu_launcher_enable=false",
        )
    if file.get("python"):
        yield file.note("python", "workers run on this Python, with its packages", "leave it out")


def java(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield what options of Java open."""
    words = file.get("vmargs").split()
    debugger = [word for word in words if word.startswith(_DEBUGGER)]
    remote = [word for word in words if word.startswith("-Dcom.sun.management.jmxremote")]
    safe = "-Dcom.sun.management.jmxremote.authenticate=true" in words
    agents = [word for word in words if word.startswith(("-javaagent", "-agentpath", "-agentlib"))]
    if debugger:
        yield file.danger("vmargs", f"{debugger[0]}: who reaches the debugger's port runs any code", "leave it out")
    elif remote and not safe:
        yield file.danger(
            "vmargs",
            f"{remote[0]}: who reaches the JMX port can load and run code, without a password",
            "leave it out",
        )
    elif any("trustURLCodebase=true" in word or "formatMsgNoLookups=false" in word for word in words):
        yield file.danger("vmargs", "a text in a log line can make Java fetch and run code", "leave it out")
    elif agents:
        yield file.note("vmargs", f"{agents[0]} runs in TorchServe", "leave it out")
    elif any("HeapDumpOnOutOfMemoryError" in word and "+" in word for word in words):
        yield file.note(
            "vmargs", "a dump of the memory holds texts and tokens", "leave HeapDumpOnOutOfMemoryError out"
        )
    else:
        yield file.ok("vmargs")


def file_itself(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield whether others can change the file."""
    if file.path is not None and _writable_by_others(str(file.path.absolute())):
        yield SettingFinding(
            "this file",
            "danger",
            str(file.path),
            "other users of this machine can write it, and so all of its settings",
            f"chmod go-w {file.path}",
        )


def _writable_by_others(name: str) -> bool:
    """Return whether other users can write a file or folder that is there; a relative path may mean any folder."""
    path = Path(name)
    try:
        mode = path.stat().st_mode if path.is_absolute() else 0
    except (OSError, ValueError):
        return False
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX
