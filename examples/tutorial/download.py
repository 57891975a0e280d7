"""Downloads a file once per profile, and keeps it in state/downloads/<profile>/."""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec

from workers.steps import Context, Flow


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """What a job may say."""

    site: str = "http://shop.localhost:8800"


flow = Flow("download", params=Params)


@flow.step(flag="price_list_kept", timeout=60, retries=2)
async def keep_price_list(ctx: Context) -> None:
    """The flag is true once the file is there, and then this is never done again for the profile."""
    await ctx.page.goto(f"{ctx.params.site}/prices")
    file = await ctx.download(ctx.page.get_by_role("link", name="Download the price list"))
    ctx.outputs["price_list"] = str(file)
    ctx.outputs["products"] = len(read(file))


# after a kill it is asked first: a file that is there and whole is not downloaded again
@keep_price_list.postcondition
async def price_list_is_there(ctx: Context) -> bool:
    """Whether the file holds what was counted."""
    return len(read(Path(ctx.outputs.get("price_list", "")))) == ctx.outputs.get("products")


def read(file: Path) -> list[dict[str, str]]:
    """Return the rows of a price list; none if there is no such file."""
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
