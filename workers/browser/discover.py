"""Finds a browser that works here, by launching it once, and remembers it.

``python -m workers.browser.discover`` prints the executable, or exits with 7 and says what to type.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from core import durable
from core.domain.outcome import ExitCode
from core.errors import BadInput, BrowserError, BrowserNotFound, BrowserRefused
from workers.browser import candidates, environment, process_tree

MEMORY = ".browser.json"
PROBE_TIMEOUT = 30.0
SANDBOX_FIX = (
    "its sandbox does not work here. Where AppArmor restricts user namespaces (Ubuntu 23.10 and newer): "
    "`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`; on older Debian: "
    "`sudo sysctl kernel.unprivileged_userns_clone=1`; in Docker: `--security-opt seccomp=unconfined` or a profile that "
    "allows user namespaces. Or choose to run without one: `--no-sandbox`, OSTLER_SANDBOX=false"
)
ROOT_FIX = "Chromium has no sandbox for root; run as another user, or do not ask for one"
_NOT_FOUND = (
    "no browser works here. Type `sudo apt-get install chromium-headless-shell` (Debian), or "
    "`.venv/bin/python -m playwright install --with-deps chromium-headless-shell`, or name one: OSTLER_BROWSER=/path/to/chromium"
)
_MARK = "ostler-probe"
SIGNS_OF_SANDBOX = (
    "no usable sandbox",
    "zygote_host_impl_linux",
    "sandbox_host_linux",
    "suid sandbox",
    "namespace_sandbox",
)
_STALE = 300.0


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that works here.

    Attributes:
        executable: absolute path.
        name: ``Chromium``, ``Google Chrome``, ``Microsoft Edge``.
        version: as it says itself; empty where it does not.
        headless_shell: the build that cannot show windows.
        sandbox: whether it runs in its sandbox.
    """

    executable: str
    name: str
    version: str
    headless_shell: bool
    sandbox: bool


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for.

    Attributes:
        state_dir: where it is tried and remembered.
        environ: the environment, for PATH and the usual places.
        browser: executable; None to choose.
        headed: it must be able to show windows.
        sandbox: None for "on, unless the user is root".
        extensions: rather one that runs extensions, which a headless shell does not.
    """

    state_dir: Path
    environ: dict[str, str]
    browser: str | None = None
    headed: bool = False
    sandbox: bool | None = None
    extensions: bool = False

    @property
    def sandboxed(self) -> bool:
        """Whether the browser is to run in its sandbox."""
        return self.sandbox if self.sandbox is not None else not _is_root()


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    found: Found
    mtime: int
    size: int


def discover(wanted: Wanted) -> Found:
    """Return a browser that works here. Launches candidates one after the other; what worked last time is not tried again.

    Raises:
        BrowserNotFound: none works; says what to type.
        BrowserRefused: one works, but not in its sandbox, or the one that was asked for does not; names the fix.
    """
    if wanted.sandbox and _is_root():
        raise BrowserRefused(wanted.browser or "the browser", ROOT_FIX)
    if wanted.headed and wanted.browser is not None and candidates.is_headless_shell(wanted.browser):
        reason = "a headless shell cannot show windows; name another browser, or do without a window"
        raise BrowserRefused(wanted.browser, reason)
    memory = wanted.state_dir / MEMORY
    known = _remembered(memory)
    key = _key(wanted)
    before = known.get(key)
    if before is not None and _stamp(before.found.executable) == (before.mtime, before.size):
        return before.found
    found = _asked_for(wanted.browser, wanted) if wanted.browser is not None else _first_that_works(wanted)
    stamp = _stamp(found.executable)
    if stamp is not None:
        by_name = _key(msgspec.structs.replace(wanted, browser=found.executable))
        known[key] = known[by_name] = _Known(found=found, mtime=stamp[0], size=stamp[1])
        durable.write_bytes(memory, msgspec.json.encode(known), fsync=False)
    return found


def _asked_for(browser: str, wanted: Wanted) -> Found:
    path = shutil.which(browser, path=wanted.environ.get("PATH"))
    if path is None:
        raise BrowserNotFound(f"{browser} is not an executable; {_NOT_FOUND}")
    reason = _probe(path, wanted, sandbox=wanted.sandboxed)
    if reason is not None:
        raise BrowserRefused(path, reason)
    return _describe(path, wanted)


def _first_that_works(wanted: Wanted) -> Found:
    reasons = []
    unsandboxed = None
    for path in candidates.found(wanted.environ, headed=wanted.headed, extensions=wanted.extensions):
        reason = _probe(path, wanted, sandbox=wanted.sandboxed)
        if reason is None:
            return _describe(path, wanted)
        if reason == SANDBOX_FIX and unsandboxed is None:
            unsandboxed = path
        reasons.append(f"{path}: {reason}")
    if unsandboxed is not None:
        raise BrowserRefused(unsandboxed, SANDBOX_FIX)
    tried = "".join(f"\n  tried {reason}" for reason in reasons)
    raise BrowserNotFound(_NOT_FOUND + tried)


def _probe(path: str, wanted: Wanted, *, sandbox: bool) -> str | None:
    """Return why this browser does not work here, None if it does."""
    wanted.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_stale(wanted.state_dir)
    where = wanted.state_dir / f"probe-{secrets.token_hex(4)}"
    data = where / "user-data"
    where.mkdir(mode=0o700)
    # short: Chromium puts a socket below it, whose path has at most 107 bytes
    scratch = Path(tempfile.mkdtemp(prefix="ostler-probe-"))
    command = [
        path, "--headless", f"--user-data-dir={data}", "--no-first-run", "--no-default-browser-check", "--disable-gpu",
        "--password-store=basic", "--disable-component-update", "--disable-background-networking",
        *([] if sandbox else ["--no-sandbox"]),
        "--dump-dom", f"data:text/html,<p>{_MARK}</p>",
    ]  # fmt: skip
    try:
        output, errors = _run(command, data, environment.with_temp_dir(wanted.environ, scratch))
        if f"<p>{_MARK}</p>" not in output:
            if sandbox and any(sign in errors.lower() for sign in SIGNS_OF_SANDBOX):
                return SANDBOX_FIX
            return _summary(errors)
        if not (data / "Default").is_dir():
            return "it runs, but cannot use our directories (a snap or flatpak package cannot); install another package"
    finally:
        for used in (where, scratch):
            shutil.rmtree(used, ignore_errors=True)
    return None


def _run(command: list[str], data: Path, env: dict[str, str]) -> tuple[str, str]:
    try:
        child = subprocess.Popen(  # noqa: S603 - a browser, chosen by the user or found in the usual places
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
            env=env, start_new_session=True,
        )  # fmt: skip
    except OSError as exc:
        return "", exc.strerror or str(exc)
    with child:
        try:
            output, errors = child.communicate(timeout=PROBE_TIMEOUT)
        except subprocess.TimeoutExpired:
            output, errors = "", f"it did not answer within {PROBE_TIMEOUT:g} s"
        finally:
            process_tree.end(data, set(), grace=0.0, limit=5.0)
            child.kill()
    return output, errors


def _describe(path: str, wanted: Wanted) -> Found:
    try:
        said = subprocess.run(  # noqa: S603 - as above
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=10,
            check=False, env=environment.cleaned(wanted.environ),
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    version = re.search(r"\d+(?:\.\d+){1,3}", said)
    text = f"{said} {path}".lower()
    name = "Microsoft Edge" if "edge" in text else "Google Chrome" if "google" in text else "Chromium"
    return Found(
        executable=path,
        name=name,
        version=version.group() if version else "",
        headless_shell=candidates.is_headless_shell(path),
        sandbox=wanted.sandboxed,
    )


def _summary(errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    wrong = [line for line in lines if "dbus" not in line]
    return (wrong or lines or ["it ended without a page and without a word"])[-1][:300]


def _remembered(memory: Path) -> dict[str, _Known]:
    try:
        return msgspec.json.decode(durable.bytes_of(memory) or b"", type=dict[str, _Known])
    except (OSError, msgspec.DecodeError):
        return {}


def _key(wanted: Wanted) -> str:
    uid = os.getuid() if hasattr(os, "getuid") else 0
    # one that is named is tried the same way, whatever it is wanted for
    which = wanted.browser or f"any|headed={wanted.headed}|extensions={wanted.extensions}"
    return f"{which}|sandbox={wanted.sandboxed}|uid={uid}"


def _stamp(executable: str) -> tuple[int, int] | None:
    try:
        found = Path(executable).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _remove_stale(state_dir: Path) -> None:
    """Remove what a probe left that was killed; a younger one may be at work."""
    for path in (*state_dir.glob("probe-????????"), *Path(tempfile.gettempdir()).glob("ostler-probe-????????")):
        with contextlib.suppress(OSError):
            found = path.lstat()
            ours = not hasattr(os, "getuid") or found.st_uid == os.getuid()
            if ours and found.st_mtime < time.time() - _STALE and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def main() -> int:
    """Print the executable that ``make run`` and the tests use; the message on standard error says what to type."""
    from core.settings import load  # noqa: PLC0415 - only this shell reads settings

    try:
        settings = load({}, os.environ, cwd=Path.cwd())
        found = discover(
            Wanted(
                state_dir=settings.state_dir,
                environ=dict(os.environ),
                browser=settings.browser,
                headed=settings.headed,
                sandbox=settings.sandbox,
            )
        )
    except BadInput as exc:
        sys.stderr.write(f"{exc}\n")
        return ExitCode.BAD_INPUT
    except BrowserError as exc:
        sys.stderr.write(f"{exc}\n")
        return ExitCode.HOST_FAULT
    sys.stdout.write(f"{found.executable}\n")
    return ExitCode.DONE


if __name__ == "__main__":
    raise SystemExit(main())
