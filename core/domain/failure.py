"""What can go wrong in an attempt, each thing once, as one table: how it is called, how grave it is, who is to blame, and what
a person is told.

What follows from it (another try, a person, the end) is the other table: ``core.domain.policy``. ``docs/failures.md`` is made
from both, and a test holds them equal.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class ErrorType(enum.StrEnum):
    """What sort of failure it is."""

    VALIDATION = "validation"
    NETWORK = "network"
    AUTHENTICATION = "authentication"
    RESOURCE = "resource"
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"


class Severity(enum.StrEnum):
    """How grave it is: low, nothing is wrong; medium, this attempt; high, somebody should look; critical, at once."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Blame(enum.StrEnum):
    """Where it is to be mended."""

    SITE = "site"
    FLOW = "flow"
    PROFILE = "profile"
    HOST = "host"
    OPERATOR = "operator"
    NOBODY = "nobody"


class Kind(enum.StrEnum):
    """As which outcome a worker reports it: the tags of ``core.domain.outcome``."""

    FAILED = "failed"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"
    BUSY = "busy"
    HOST_FAULT = "host_fault"
    NEEDS_PERSON = "needs_person"
    CORRUPT = "corrupt"
    REJECTED = "rejected"


class Code(enum.StrEnum):
    """Everything that is told apart."""

    SITE_DOWN = "site_down"
    SITE_SLOW = "site_slow"
    SITE_ERROR = "site_error"
    RATE_LIMITED = "rate_limited"
    NAME_NOT_FOUND = "name_not_found"
    CONNECTION_REFUSED = "connection_refused"
    TLS_ERROR = "tls_error"
    OFFLINE = "offline"
    PROXY_REFUSED = "proxy_refused"
    PROXY_AUTH = "proxy_auth"

    SELECTOR_GONE = "selector_gone"
    ELEMENT_NOT_READY = "element_not_ready"
    POSTCONDITION_FALSE = "postcondition_false"
    STEP_TIMEOUT = "step_timeout"
    STEP_FAILED = "step_failed"
    PAGE_CRASHED = "page_crashed"
    PAGE_CLOSED = "page_closed"

    FLOW_ERROR = "flow_error"
    FLOW_INVALID = "flow_invalid"
    BAD_PARAMS = "bad_params"
    REQUIREMENT_UNMET = "requirement_unmet"

    LOGIN_LOST = "login_lost"
    CAPTCHA_ASKED = "captcha_asked"
    NEEDS_CODE = "needs_code"
    NEEDS_PERSON = "needs_person"

    PROFILE_BUSY = "profile_busy"
    PROFILE_CORRUPT = "profile_corrupt"
    TEMPLATE_LIVE = "template_live"
    TEMPLATE_MISSING = "template_missing"
    BROWSER_MISMATCH = "browser_mismatch"
    NEWER_VERSION = "newer_version"

    BROWSER_CRASHED = "browser_crashed"
    BROWSER_NOT_FOUND = "browser_not_found"
    BROWSER_NOT_STARTED = "browser_not_started"
    DRIVER_LOST = "driver_lost"
    WORKER_KILLED = "worker_killed"
    ATTEMPT_TIMEOUT = "attempt_timeout"
    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"
    NO_INODES = "no_inodes"
    TOO_MANY_FILES = "too_many_files"
    HOST_FAULT = "host_fault"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class Failure(NamedTuple):
    """What is known of one code.

    Attributes:
        type: what sort of failure it is.
        severity: how grave it is.
        blame: where it is to be mended.
        kind: as which outcome a worker reports it.
        says: one sentence for people; ``{where}`` is empty, or `` (NAME)`` of a step.
        do: what to do about it; ``{profile}`` is the profile's ID.
    """

    type: ErrorType
    severity: Severity
    blame: Blame
    kind: Kind
    says: str
    do: str


_C, _T, _S, _B, _K = Code, ErrorType, Severity, Blame, Kind
FAILURES: Mapping[Code, Failure] = {
    # --- the site, and the way to it ---------------------------------------------------------------------------------
    _C.SITE_DOWN: Failure(
        _T.NETWORK, _S.MEDIUM, _B.SITE, _K.FAILED,
        "The site broke off the connection, or did not take it{where}.",
        "Wait until the site is back. If a browser on this host reaches it, look at the profile's proxy.",
    ),
    _C.SITE_SLOW: Failure(
        _T.TIMEOUT, _S.MEDIUM, _B.SITE, _K.FAILED,
        "The site did not answer in time{where}.",
        "Run fewer browsers at a time, or give page loads longer: action_timeout.",
    ),
    _C.SITE_ERROR: Failure(
        _T.NETWORK, _S.MEDIUM, _B.SITE, _K.FAILED,
        "The site answered with an error of its own{where}.",
        "Wait until the site is well again.",
    ),
    _C.RATE_LIMITED: Failure(
        _T.NETWORK, _S.MEDIUM, _B.SITE, _K.FAILED,
        "The site says that it is asked too often{where}.",
        "Ask less: fewer at a time (--max-concurrent), a longer --launch-interval.",
    ),
    _C.NAME_NOT_FOUND: Failure(
        _T.NETWORK, _S.MEDIUM, _B.SITE, _K.FAILED,
        "The site's name is not known to the network{where}.",
        "Look at the address in the flow, and whether this host resolves names.",
    ),
    _C.CONNECTION_REFUSED: Failure(
        _T.NETWORK, _S.MEDIUM, _B.SITE, _K.FAILED,
        "Nothing listens at the site's address{where}.",
        "Look at the address and the port in the flow, and whether the site runs.",
    ),
    _C.TLS_ERROR: Failure(
        _T.NETWORK, _S.HIGH, _B.SITE, _K.FAILED,
        "The site's certificate, or its encryption, is not to be trusted{where}.",
        "Look at the certificate and at this host's clock. Do not go on past it.",
    ),
    _C.OFFLINE: Failure(
        _T.NETWORK, _S.HIGH, _B.HOST, _K.HOST_FAULT,
        "This host has no network{where}.",
        "Connect the host; jobs go on by themselves.",
    ),
    _C.PROXY_REFUSED: Failure(
        _T.NETWORK, _S.HIGH, _B.OPERATOR, _K.FAILED,
        "The profile's proxy cannot be reached, or does not let the connection through{where}.",
        "Look at the proxy of {profile}: its address, whether it runs, and whether it knows the site.",
    ),
    _C.PROXY_AUTH: Failure(
        _T.AUTHENTICATION, _S.HIGH, _B.OPERATOR, _K.FAILED,
        "The profile's proxy wants another user or password{where}.",
        "Mend user and password of the proxy of {profile}.",
    ),
    # --- the page ----------------------------------------------------------------------------------------------------
    _C.SELECTOR_GONE: Failure(
        _T.VALIDATION, _S.MEDIUM, _B.SITE, _K.FAILED,
        "An element that the flow looks for is not on the page, or not the only one{where}.",
        "Compare the page that was kept as evidence with the flow's selectors; mend the flow.",
    ),
    _C.ELEMENT_NOT_READY: Failure(
        _T.TIMEOUT, _S.MEDIUM, _B.SITE, _K.FAILED,
        "An element is there, but hidden, disabled, moving or covered{where}.",
        "Look in the page that was kept as evidence for what stands in its way; mend the flow.",
    ),
    _C.POSTCONDITION_FALSE: Failure(
        _T.VALIDATION, _S.MEDIUM, _B.FLOW, _K.FAILED,
        "The step ended, but what it should bring about is not the case{where}.",
        "Look at the page that was kept as evidence: did the site refuse, or is the post-condition wrong?",
    ),
    _C.STEP_TIMEOUT: Failure(
        _T.TIMEOUT, _S.MEDIUM, _B.FLOW, _K.FAILED,
        "Something that the flow waits for did not happen in time{where}.",
        "Look where it waited; give the step a longer timeout, or let it say ctx.progress().",
    ),
    _C.STEP_FAILED: Failure(
        _T.UNKNOWN, _S.MEDIUM, _B.FLOW, _K.FAILED,
        "The flow itself says that it cannot go on{where}.",
        "Read its reason.",
    ),
    _C.PAGE_CRASHED: Failure(
        _T.RESOURCE, _S.MEDIUM, _B.SITE, _K.FAILED,
        "The page crashed in the browser{where}.",
        "Run fewer browsers at a time, and look at what the page needs of memory.",
    ),
    _C.PAGE_CLOSED: Failure(
        _T.UNKNOWN, _S.MEDIUM, _B.FLOW, _K.FAILED,
        "The page was closed while the flow worked with it{where}.",
        "Where a window closes by itself, let the flow go on with another: ctx.page = …",
    ),
    # --- the flow ----------------------------------------------------------------------------------------------------
    _C.FLOW_ERROR: Failure(
        _T.VALIDATION, _S.HIGH, _B.FLOW, _K.FAILED,
        "The flow's own code has a mistake{where}.",
        "Mend the line that the reason names.",
    ),
    _C.FLOW_INVALID: Failure(
        _T.VALIDATION, _S.HIGH, _B.FLOW, _K.REJECTED,
        "The flow cannot be loaded.",
        "ostler flow check FILE says what is wrong with it.",
    ),
    _C.BAD_PARAMS: Failure(
        _T.VALIDATION, _S.HIGH, _B.OPERATOR, _K.REJECTED,
        "The flow does not take these parameters, or has no such step.",
        "Mend the job's parameters; ostler flow show FILE says what the flow takes.",
    ),
    _C.REQUIREMENT_UNMET: Failure(
        _T.VALIDATION, _S.HIGH, _B.FLOW, _K.FAILED,
        "A step requires what no earlier step makes true{where}.",
        "Run the flow that states it first, or mend the flow's requires.",
    ),
    # --- the account -------------------------------------------------------------------------------------------------
    _C.LOGIN_LOST: Failure(
        _T.AUTHENTICATION, _S.HIGH, _B.PROFILE, _K.FAILED,
        "The account is no longer logged in{where}.",
        "Log in to {profile} once more by hand, or reset the step that logs in: ostler session reset {profile} --step FLAG",
    ),
    _C.CAPTCHA_ASKED: Failure(
        _T.AUTHENTICATION, _S.MEDIUM, _B.SITE, _K.NEEDS_PERSON,
        "The site wants to see a person{where}.",
        "Do what it asks for in the account of {profile}, then run the same command again.",
    ),
    _C.NEEDS_CODE: Failure(
        _T.AUTHENTICATION, _S.MEDIUM, _B.NOBODY, _K.NEEDS_PERSON,
        "The site wants a code that only a person has{where}.",
        "Have the code of {profile} at hand, then run the same command again.",
    ),
    _C.NEEDS_PERSON: Failure(
        _T.UNKNOWN, _S.MEDIUM, _B.NOBODY, _K.NEEDS_PERSON,
        "A person is needed{where}.",
        "Do what the reason asks for in the account of {profile}, then run the same command again.",
    ),
    # --- the profile's data ------------------------------------------------------------------------------------------
    _C.PROFILE_BUSY: Failure(
        _T.RESOURCE, _S.LOW, _B.NOBODY, _K.BUSY,
        "Somebody else works with the profile.",
        "Nothing: it is tried again by itself. If it lasts, end the holder that is named.",
    ),
    _C.PROFILE_CORRUPT: Failure(
        _T.RESOURCE, _S.CRITICAL, _B.PROFILE, _K.CORRUPT,
        "The profile's own data is damaged.",
        "ostler doctor says what is damaged. Nothing was thrown away; put a good copy in its place.",
    ),
    _C.TEMPLATE_LIVE: Failure(
        _T.RESOURCE, _S.HIGH, _B.OPERATOR, _K.HOST_FAULT,
        "The template is open in a browser.",
        "Close that browser; jobs go on by themselves.",
    ),
    _C.TEMPLATE_MISSING: Failure(
        _T.VALIDATION, _S.HIGH, _B.OPERATOR, _K.REJECTED,
        "The template is not there, or is no browser's user-data-dir.",
        "Mend the job's template.",
    ),
    _C.BROWSER_MISMATCH: Failure(
        _T.VALIDATION, _S.HIGH, _B.OPERATOR, _K.FAILED,
        "The profile was last used by a newer, or by another, browser.",
        "Use that browser again: --browser PATH.",
    ),
    _C.NEWER_VERSION: Failure(
        _T.VALIDATION, _S.HIGH, _B.OPERATOR, _K.REJECTED,
        "A newer version of Ostler wrote the profile's state.",
        "Upgrade Ostler.",
    ),
    # --- browser, worker, host ---------------------------------------------------------------------------------------
    _C.BROWSER_CRASHED: Failure(
        _T.RESOURCE, _S.HIGH, _B.NOBODY, _K.FAILED,
        "The browser died, or no longer answered{where}.",
        "Run fewer browsers at a time. If it is always this profile, [failures.browser_crashed] reclone = true.",
    ),
    _C.BROWSER_NOT_FOUND: Failure(
        _T.RESOURCE, _S.CRITICAL, _B.HOST, _K.HOST_FAULT,
        "No browser works on this host.",
        "ostler doctor says what to type.",
    ),
    _C.BROWSER_NOT_STARTED: Failure(
        _T.RESOURCE, _S.HIGH, _B.HOST, _K.HOST_FAULT,
        "The browser did not start.",
        "ostler doctor starts one, and says what to type.",
    ),
    _C.DRIVER_LOST: Failure(
        _T.RESOURCE, _S.HIGH, _B.HOST, _K.FAILED,
        "Playwright's driver died, which takes the browser along{where}.",
        "Look at this host's memory; ostler doctor tries the driver.",
    ),
    _C.WORKER_KILLED: Failure(
        _T.UNKNOWN, _S.HIGH, _B.NOBODY, _K.CRASHED,
        "The worker died without a word{where}.",
        "Look at the end of the profile's log, and for who killed it. A step that always kills it is to be mended.",
    ),
    _C.ATTEMPT_TIMEOUT: Failure(
        _T.TIMEOUT, _S.HIGH, _B.FLOW, _K.TIMED_OUT,
        "The attempt took too long, or made no progress, and was stopped{where}.",
        "Let a long step say ctx.progress(); raise --timeout or --progress-timeout.",
    ),
    _C.OUT_OF_MEMORY: Failure(
        _T.RESOURCE, _S.CRITICAL, _B.HOST, _K.FAILED,
        "There was not enough memory{where}.",
        "Run fewer browsers at a time, or give the host more memory.",
    ),
    _C.DISK_FULL: Failure(
        _T.RESOURCE, _S.CRITICAL, _B.HOST, _K.HOST_FAULT,
        "The disk is full{where}.",
        "Make room (ostler gc --dry-run); jobs go on by themselves.",
    ),
    _C.NO_INODES: Failure(
        _T.RESOURCE, _S.CRITICAL, _B.HOST, _K.HOST_FAULT,
        "The file system has no room for another file{where}.",
        "Remove files (ostler gc --dry-run); jobs go on by themselves.",
    ),
    _C.TOO_MANY_FILES: Failure(
        _T.RESOURCE, _S.HIGH, _B.HOST, _K.HOST_FAULT,
        "No more files may be open at a time{where}.",
        "Raise the limit (ulimit -n), or run fewer at a time: ostler doctor counts.",
    ),
    _C.HOST_FAULT: Failure(
        _T.RESOURCE, _S.HIGH, _B.HOST, _K.HOST_FAULT,
        "The host could not do its part{where}.",
        "Mend what the reason names; ostler doctor looks at the rest.",
    ),
    _C.INTERRUPTED: Failure(
        _T.UNKNOWN, _S.LOW, _B.NOBODY, _K.INTERRUPTED,
        "It was stopped, or went down with its orchestrator or host.",
        "Nothing: it goes on where it was.",
    ),
    _C.CANCELLED: Failure(
        _T.UNKNOWN, _S.LOW, _B.OPERATOR, _K.INTERRUPTED,
        "Somebody cancelled it while it ran.",
        "Nothing. `ostler queue retry` runs it again; committed steps stay done.",
    ),
    _C.UNKNOWN: Failure(
        _T.UNKNOWN, _S.MEDIUM, _B.NOBODY, _K.FAILED,
        "Something went wrong{where}.",
        "Read the reason, and the profile's log.",
    ),
}  # fmt: skip


def code_named(text: str) -> Code | None:
    """Return the code of this name: None for no name, ``unknown`` for one that only another version knows."""
    if not text:
        return None
    return Code(text) if text in _NAMES else Code.UNKNOWN


def codes_of(name: str) -> frozenset[Code]:
    """Return the codes that a class means: a code itself, all those of a type, none if it is neither."""
    found = {code for code, failure in FAILURES.items() if name in (code, failure.type)}
    return frozenset(found)


CLASSES = tuple(dict.fromkeys([*map(str, ErrorType), *map(str, Code)]))
"""Names of types and codes, as they may be chosen by."""
_NAMES = frozenset(map(str, Code))
