"""Runs one method of verification: each attempt within its time, and after a failure what ``domain.verification`` decides."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

import structlog

from core.domain.verification import Failure, MethodResult, VerificationStatus, recover
from core.workspaces.errors import VerificationError, VerificationTimeoutException

if TYPE_CHECKING:
    from core.clock import Clock
    from core.domain.verification import RetryConfig, VerificationMethod

_log = structlog.get_logger()
Check = Callable[[threading.Event], None]


class Attempt:
    """A check that runs in a thread of its own. It cannot be interrupted, only given up: then its event is set."""

    def __init__(self, worker_id: int | str, check: Check) -> None:
        self._worker_id = worker_id
        self._check = check
        self._result: Future[None] = Future()
        self.given_up = threading.Event()
        threading.Thread(target=self._run, name=f"verify-{worker_id}", daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Wait for its end.

        Raises:
            VerificationTimeoutException: it has not ended; it can be waited for again.
            VerificationError: what the check says.
        """
        try:
            self._result.result(seconds)
        except TimeoutError as exc:
            if self._result.done():
                raise
            reason = f"no answer within {seconds:g} s"
            raise VerificationTimeoutException(self._worker_id, reason) from exc

    def _run(self) -> None:
        try:
            self._check(self.given_up)
        except BaseException as exc:  # noqa: BLE001 - raised again in the thread that waits
            self._result.set_exception(exc)
        else:
            self._result.set_result(None)


def verify(
    method: VerificationMethod,
    worker_id: int | str,
    check: Check,
    *,
    timeout: float,
    retry: RetryConfig,
    clock: Clock,
    pause: Callable[[float], object],
    reclone: Callable[[], bool],
) -> MethodResult:
    """Try one method until it passes or nothing is left to try.

    Args:
        method: what it is.
        worker_id: whose profile.
        check: raises a ``VerificationError``; looks at its event while it waits for something.
        timeout: seconds for the first attempt. What has timed out is given more time, not begun a second time beside itself.
        retry: how often and how soon.
        clock: for durations and jitter.
        pause: waits some seconds between two attempts.
        reclone: makes the profile anew; whether it did.
    """
    began = clock.monotonic()
    failures: list[Failure] = []
    attempt: Attempt | None = None
    try:
        while True:
            attempt = attempt or Attempt(worker_id, check)
            try:
                attempt.wait(timeout)
            except VerificationError as exc:
                failures.append(exc.failure)
                todo = recover(failures, retry, jitter=clock.jitter())
                if not todo.again or (todo.reclone and not reclone()):
                    timed_out = exc.failure is Failure.TIMED_OUT
                    return MethodResult(
                        method=method,
                        status=VerificationStatus.TIMEOUT if timed_out else VerificationStatus.FAILED,
                        attempts=len(failures),
                        duration=clock.monotonic() - began,
                        error=exc.reason,
                        failure=exc.failure,
                    )
                _log.info("verification_tried_again", worker=worker_id, method=str(method), reason=exc.reason)
                timeout *= todo.more_time
                if exc.failure is not Failure.TIMED_OUT:
                    attempt = None
                pause(todo.delay)
            else:
                return MethodResult(
                    method=method,
                    status=VerificationStatus.SUCCESS,
                    attempts=len(failures) + 1,
                    duration=clock.monotonic() - began,
                )
    finally:
        if attempt is not None:
            attempt.given_up.set()
