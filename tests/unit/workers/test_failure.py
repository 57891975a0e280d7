"""What is told of an error, and what is not."""

from __future__ import annotations

import pytest

from workers.failure import hide_typed


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('  - waiting for x\n    - fill("123456")\n  - attempting', "  - waiting for x\n    - fill(…)\n  - attempting"),
        ('    - fill("half"and half")\n  - attempting', "    - fill(…)\n  - attempting"),
        ('    - fill("two\nlines")\n  - attempting', "    - fill(…)\n  - attempting"),
        ('    - locator.type("123456")', "    - locator.type(…)"),
        ("await code.fill('123456')", "await code.fill(…)"),
        (
            '    - locator resolved to <input id="c" value="123456" disabled/>',
            '    - locator resolved to <input id="c" value=… disabled/>',
        ),
        ('    - waiting for get_by_label("Code")', '    - waiting for get_by_label("Code")'),
    ],
)
def test_typed_text_is_hidden(said, told):
    """Playwright's call log quotes what was typed, unescaped; a code typed once is known to nobody, so all of it goes."""
    assert hide_typed(said) == told
