"""The first flow of whoever types ``ostler flow new``, and the queue beside it."""

from __future__ import annotations

import json

FLOW = '''\
"""What this flow does: opens a page and keeps its heading. Change it into what you need."""

from __future__ import annotations

import msgspec

from workers.steps import Flow


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """What a job may say, in its `params`. They are checked before anything is launched."""

    url: str = "https://example.org/"


flow = Flow("@NAME@", params=Params)


@flow.prepare
async def open_page(ctx):
    """Runs at the start of every attempt: leads the browser to where the steps begin."""
    await ctx.page.goto(ctx.params.url)


# A step with a flag states a fact about the profile. Once it is committed, it is never run again for that profile.
# `requires="another_flag"` puts it after another fact; `timeout` is in seconds; `retries` are further tries.
@flow.step(flag="@NAME@_heading_kept", timeout=60, retries=1)
async def keep_heading(ctx):
    """What is brought out is durable with the step: `ostler session show PROFILE`."""
    ctx.outputs["heading"] = await ctx.page.locator("h1").first.inner_text()


# What must hold after the step. After a kill it is asked first: if it holds, the step is not done twice.
@keep_heading.postcondition
async def heading_is_kept(ctx):
    return bool(ctx.outputs.get("heading"))
'''


def flow_text(name: str) -> str:
    """Return the file of a first flow."""
    return FLOW.replace("@NAME@", name)


def queue_text(name: str) -> str:
    """Return the queue with one profile for it."""
    job = json.dumps({"profile_id": f"{name[:30]}-1", "params": {"url": "https://example.org/"}})
    return f'{{\n  "defaults": {{"flow": "{name}.py"}},\n  "jobs": [\n    {job}\n  ]\n}}\n'
