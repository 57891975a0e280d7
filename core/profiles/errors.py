"""What operations on named profiles raise, under the one root; ``core.errors`` has what they share with runs."""

from __future__ import annotations

from core.errors import OstlerError


class ProfileError(OstlerError):
    """An operation on a named profile cannot be done; nothing was changed."""


class UnknownProfile(ProfileError):
    """No such profile."""

    def __init__(self, profile_id: str) -> None:
        self.profile_id = profile_id
        super().__init__(f"there is no profile {profile_id!r}; `ostler profile list` shows those there are")


class ProfileTaken(ProfileError):
    """There is such a profile already, or one whose ID differs only in case, or something of it."""

    def __init__(self, profile_id: str, there: str) -> None:
        self.profile_id = profile_id
        self.there = there
        super().__init__(f"profile {profile_id!r} cannot be made: {there}")


class ProfileActive(ProfileError):
    """What is asked for is not done to the active profile."""

    def __init__(self, profile_id: str, reason: str) -> None:
        self.profile_id = profile_id
        self.reason = reason
        super().__init__(f"profile {profile_id!r} is {reason}")


class ProfileInUse(ProfileActive):
    """What is asked for is not done to a profile that somebody works with; ``holder`` says who, where and since when."""

    def __init__(self, profile_id: str, holder: str, hint: str) -> None:
        self.holder = holder
        super().__init__(profile_id, f"in use by {holder}; {hint}")


class ProfileDamaged(ProfileError):
    """The profile's own data is damaged; it is not activated and not copied before it is recovered."""

    def __init__(self, profile_id: str, reason: str) -> None:
        self.profile_id = profile_id
        self.reason = reason
        super().__init__(
            f"profile {profile_id!r} is corrupted: {reason}. See what a recovery would cost: "
            f"ostler profile recover {profile_id} --mode soft --dry-run"
        )
