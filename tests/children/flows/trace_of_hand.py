"""Looks which traces of a login by hand are there: at the demo site, and in the browser's storage."""

from __future__ import annotations

from examples.demo import flow as demo
from workers.steps import Context, Flow

flow = Flow("traces", params=demo.Params)
flow.prepare(demo.open_site)

_NOTE = """() => new Promise(resolve => {
  const request = indexedDB.open('notes', 1);
  request.onupgradeneeded = () => request.transaction.abort();
  request.onerror = () => resolve(null);
  request.onsuccess = () => {
    const asked = request.result.transaction('notes').objectStore('notes').get('hand');
    asked.onsuccess = () => { request.result.close(); resolve(asked.result); };
  };
})"""


@flow.step(always=True)
async def look(ctx: Context) -> None:
    """Say what there is, without signing in anywhere."""
    ctx.outputs["logged_in"] = await demo.is_logged_in(ctx)
    ctx.outputs["token"] = await ctx.page.evaluate("!!localStorage.getItem('device_token')")
    ctx.outputs["note"] = await ctx.page.evaluate(_NOTE)
    ctx.outputs["lasting"] = any(cookie["name"] == "id_session" for cookie in await ctx.context.cookies())
    await demo.visit(ctx, "shop", "/account")
    ctx.outputs["member"] = await demo.shown(ctx, "member")
