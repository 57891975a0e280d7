"""The profiles as commands change them: what they change is announced by whichever orchestrator runs, or runs next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.events.spool import EventSpool
from core.profiles.manager import ProfileManager

if TYPE_CHECKING:
    from core.settings import Settings


def manager_of(settings: Settings) -> ProfileManager:
    """Return the manager of the profiles that these settings mean."""
    return ProfileManager(settings.state_dir, stop_grace=settings.stop_grace, events=EventSpool(settings.state_dir))
