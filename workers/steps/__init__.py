"""What a flow file imports."""

from __future__ import annotations

from core.errors import StepFailed
from workers.steps.context import Context
from workers.steps.flow import Flow, fail, needs_person
from workers.steps.locate import by_label, by_placeholder, by_role, by_test_id, by_text, css, xpath

__all__ = [
    "Context",
    "Flow",
    "StepFailed",
    "by_label",
    "by_placeholder",
    "by_role",
    "by_test_id",
    "by_text",
    "css",
    "fail",
    "needs_person",
    "xpath",
]
