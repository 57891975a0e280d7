"""Log in once at the test site, and say in each run, before anything else, what of the login is there."""

from __future__ import annotations

import os

from workers.steps import Flow

flow = Flow("travel")
ORIGIN = os.environ["OSTLER_TEST_ORIGIN"]
READ = """() => new Promise(done => {
  const request = indexedDB.open('notes', 1);
  request.onupgradeneeded = () => request.transaction.abort();
  request.onerror = () => done(null);
  request.onsuccess = () => {
    const asked = request.result.transaction('notes').objectStore('notes').get('n');
    asked.onsuccess = () => { request.result.close(); done(asked.result); };
  };
})"""
WRITE = """() => new Promise(done => {
  const request = indexedDB.open('notes', 1);
  request.onupgradeneeded = () => request.result.createObjectStore('notes');
  request.onsuccess = () => {
    const change = request.result.transaction('notes', 'readwrite');
    change.objectStore('notes').put('kept', 'n');
    change.oncomplete = () => { request.result.close(); done(); };
  };
})"""


@flow.step(always=True)
async def look(ctx):
    await ctx.page.goto(f"{ORIGIN}/whoami")
    marked = "document.documentElement.dataset.marked"
    try:
        await ctx.page.wait_for_function(marked, timeout=2000)
    except Exception:  # noqa: BLE001 - no extension marks this page
        marked = "null"
    ctx.outputs["found"] = {
        "cookies": sorted((await ctx.page.locator("#who").inner_text()).split("; ")),
        "storage": await ctx.page.evaluate("localStorage.getItem('token')"),
        "database": await ctx.page.evaluate(READ),
        "marked": await ctx.page.evaluate(marked),
    }


@flow.step(flag="logged_in")
async def log_in(ctx):
    await ctx.page.goto(f"{ORIGIN}/login")
    await ctx.page.evaluate(WRITE)
