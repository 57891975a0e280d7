# ruff: noqa: INP001 - a program, not a package
"""Sets the checkout up: its own virtual environment, with what the lock files name, and a browser.

Standard library only, Python 3.11: it runs before anything is installed. ``.ci/setup`` chooses the interpreter and calls it;
``make setup`` calls that. What has been done is noted in ``.venv/.ostler-setup``, so that a second call costs nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parent.parent
VENV = CHECKOUT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / ".ostler-setup"
UNFINISHED = VENV / ".ostler-unfinished"
LOCKS = {"run": "requirements.lock", "dev": "requirements-dev.lock"}
HOST_FAULT = 7
# program → the distribution's package
SHOWS_WINDOWS = {"Xvfb": "xvfb", "chromium": "chromium", "chromedriver": "chromium-driver"}
BROWSER = "browser"
WINDOWS = "windows"


def main() -> int:
    """Do what is missing; return the exit code: 0 set up, 7 the host lacks something, and what to type was said."""
    parser = argparse.ArgumentParser(description="Set up .venv and a browser.")
    parser.add_argument("--dev", action="store_true", help="also what tests and linters need")
    parser.add_argument("--check", action="store_true", help="only say, by the exit code, whether all is done")
    given = parser.parse_args()
    kind = "dev" if given.dev else "run"
    if is_done(kind):
        return 0
    if given.check:
        return 1
    with one_at_a_time():
        if is_done(kind):
            return 0
        try:
            if not is_installed(kind):
                make_venv()
                install(kind)
            note(BROWSER, find_browser())
            if kind == "dev":
                note(WINDOWS, find_windows())
        except subprocess.CalledProcessError as exc:
            say(
                f"set-up failed: {' '.join(map(str, exc.cmd))} ended with {exc.returncode}; type `make setup` to try again"
            )
            return HOST_FAULT
        except Missing as exc:
            say(str(exc))
            return HOST_FAULT
    return 0


class Missing(Exception):
    """The host lacks something; the message says what to type."""


def is_done(kind: str) -> bool:
    """Whether an earlier call has done all of it."""
    needed = {BROWSER, WINDOWS} if kind == "dev" else {BROWSER}
    return needed <= noted().keys() and is_installed(kind)


def is_installed(kind: str) -> bool:
    """Whether the packages are there; the development set holds all that a run needs."""
    found = noted()
    return not UNFINISHED.exists() and any(found.get(name) == digest(name) for name in (kind, "dev"))


def noted() -> dict[str, str]:
    """Return what was done, by kind."""
    try:
        found = json.loads(STAMP.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def note(key: str, value: str) -> None:
    """Note what was done."""
    STAMP.write_text(json.dumps({**noted(), key: value}), "utf-8")


def digest(kind: str) -> str:
    """Return what a set-up depends on, as one hash: locks, project file, interpreter, where the checkout is."""
    parts = [(CHECKOUT / name).read_bytes() for name in (LOCKS[kind], "pyproject.toml")]
    parts += [str(sys.version_info[:2]).encode(), os.fsencode(CHECKOUT)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let the second of two set-ups wait for the first; the kernel ends the wait whatever becomes of that one."""
    try:
        import fcntl  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        yield
        return
    descriptor = os.open(CHECKOUT, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def make_venv() -> None:
    """Make ``.venv`` unless there is a sound one; one that a kill left half-made is made anew."""
    if UNFINISHED.exists() or not works(PYTHON):
        shutil.rmtree(VENV, ignore_errors=True)
    if VENV.exists():
        return
    need_ensurepip()
    say(f"making .venv with Python {sys.version.split()[0]}")
    VENV.mkdir()
    UNFINISHED.touch()
    run(sys.executable, "-m", "venv", VENV)


def works(python: Path) -> bool:
    """Whether this interpreter runs, is of our version, and has pip."""
    code = f"import pip, sys; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])!r})"
    try:
        return subprocess.run([python, "-I", "-c", code], check=False, capture_output=True).returncode == 0  # noqa: S603
    except OSError:
        return False


def need_ensurepip() -> None:
    """Debian ships it in a package of its own: as root, install that; else say what to type."""
    if importlib.util.find_spec("ensurepip") is not None and importlib.util.find_spec("venv") is not None:
        return
    package = f"python3.{sys.version_info.minor}-venv"
    if not may_apt():
        raise Missing(f"this Python has no venv. Type: sudo apt-get install {package}, then again what you typed")
    apt_install(package)
    importlib.invalidate_caches()
    if importlib.util.find_spec("ensurepip") is None:
        raise Missing(f"{sys.executable} has no ensurepip, and {package} did not bring it")


def install(kind: str) -> None:
    """Install exactly what the lock file names, by hash, and the checkout itself, editable."""
    say(f"installing {LOCKS[kind]}")
    STAMP.unlink(missing_ok=True)
    UNFINISHED.touch()
    pip = (PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
    run(*pip, "--require-hashes", "-r", CHECKOUT / LOCKS[kind])
    run(*pip, "--no-deps", "--no-build-isolation", "-e", CHECKOUT)
    note(kind, digest(kind))
    UNFINISHED.unlink()


def find_browser() -> str:
    """Return a browser that is there; else Playwright's own; else, as root on Debian, the distribution's."""
    if found := discover():
        return found
    say("no browser works here yet; asking Playwright for its headless shell")
    asked = subprocess.run(  # noqa: S603
        [PYTHON, "-m", "playwright", "install", "chromium", "--only-shell"],
        check=False,
        stderr=subprocess.PIPE,
        text=True,
    )
    if asked.returncode == 0 and (found := discover()):
        return found
    if asked.returncode != 0:
        # the last lines are a stack; the first that says "Error" names the cause
        cause = next(
            (line for line in asked.stderr.splitlines() if "Error" in line), f"it ended with {asked.returncode}"
        )
        say(f"Playwright could not: {cause.strip()}")
    if may_apt():
        say("installing the distribution's headless Chromium")
        try:
            apt_install("chromium-headless-shell")
        except subprocess.CalledProcessError:
            apt_install("chromium")
    if found := discover(quiet=False):
        return found
    raise Missing("set-up is complete but for a browser; see above, then type `make setup` again")


def find_windows() -> str:
    """Return what tests of browsers with windows find here: as root on Debian, the display and the browser they need.

    Without them those tests are skipped and say so: no reason for a set-up to fail.
    """
    packages = [package for program, package in SHOWS_WINDOWS.items() if shutil.which(program) is None]
    if packages and may_apt():
        say(f"installing {' and '.join(packages)}, for tests of browsers with windows and of drivers")
        try:
            apt_install(*packages)
        except subprocess.CalledProcessError as exc:
            say(f"{exc.cmd[0]} could not; those tests will be skipped")
    return ", ".join(program for program in SHOWS_WINDOWS if shutil.which(program) is not None)


def discover(*, quiet: bool = True) -> str:
    """Return the browser that works, tried by launching it once; empty if none does."""
    found = subprocess.run(  # noqa: S603
        [PYTHON, "-m", "workers.browser.discover"], cwd=CHECKOUT, check=False, capture_output=True, text=True
    )
    if found.returncode == 0:
        say(f"browser: {found.stdout.strip()}")
    elif not quiet:
        sys.stderr.write(found.stderr)
    return found.stdout.strip()


def may_apt() -> bool:
    """Whether packages may be installed here without asking anybody."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_install(*packages: str) -> None:
    """Install packages of the distribution."""
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-qq", env=quiet)
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages, env=quiet, stdout=subprocess.DEVNULL)


def run(*command: str | Path, env: dict[str, str] | None = None, stdout: int | None = None) -> None:
    """Run a command to its end.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    subprocess.run(  # noqa: S603 - commands of this file
        list(command),
        check=True,
        env={**(env or os.environ), "PIP_ROOT_USER_ACTION": "ignore"},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
    )


def say(text: str) -> None:
    """Tell the user, on standard error: standard output belongs to the command that follows."""
    sys.stderr.write(f"setup: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
