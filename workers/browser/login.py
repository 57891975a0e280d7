"""Login state: what is asked of pages, and how an export is merged with the one before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LARGEST_ORIGIN = 10 * 1024 * 1024
"""Characters of localStorage kept for one origin; browsers allow about half of that."""

LARGEST_STATE = 50 * 1024 * 1024

LOCAL_STORAGE = """() => {
  try { return Object.entries(window.localStorage).map(([name, value]) => ({ name, value: String(value) })); }
  catch (error) { return null; }
}"""
"""Gives ``[{name, value}]``, or null where a page has no storage."""

UNEXPORTABLE = """async ({ limit }) => {
  const foreign = ['CryptoKey', 'Blob', 'File', 'FileList', 'ImageData', 'ImageBitmap', 'FileSystemHandle',
    'FileSystemFileHandle', 'FileSystemDirectoryHandle', 'RTCCertificate', 'DOMException'];
  const isForeign = (value, depth) => {
    if (value === null || typeof value !== 'object' || depth > 8) return false;
    const tag = Object.prototype.toString.call(value).slice(8, -1);
    if (foreign.includes(tag)) return true;
    if (value instanceof Map || value instanceof Set) return true;
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return false;
    return Object.values(value).some(item => isForeign(item, depth + 1));
  };
  const done = request => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  if (!window.indexedDB || !indexedDB.databases) return [];
  const found = [];
  const deadline = Date.now() + limit;
  for (const { name, version } of await indexedDB.databases()) {
    const db = await done(indexedDB.open(name, version));
    try {
      for (const store of db.objectStoreNames) {
        const label = name + '/' + store;
        await new Promise((resolve, reject) => {
          const request = db.transaction(store, 'readonly').objectStore(store).openCursor();
          request.onerror = () => reject(request.error);
          request.onsuccess = () => {
            const cursor = request.result;
            if (!cursor) return resolve();
            if (Date.now() > deadline) { found.push(label + ' (not examined to its end)'); return resolve(); }
            if (isForeign(cursor.value, 0)) { found.push(label); return resolve(); }
            cursor.continue();
          };
        });
      }
    } finally { db.close(); }
  }
  return found;
}"""
"""Gives the names ``database/store`` whose values an export cannot carry: keys, files, images."""


def origin_of(url: str) -> str | None:
    """Return the origin of a page that may have storage, None for ``about:blank`` and the like."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") and parts.netloc else None


def merged(
    previous: Iterable[Mapping[str, Any]], current: Iterable[Mapping[str, Any]], seen: Iterable[str], *, whole: bool
) -> list[dict[str, Any]]:
    """Return the origins of two exports as one list, sorted by origin.

    Args:
        previous: origins of the earlier export.
        current: origins of this one; each entry's fields replace the earlier ones of that origin.
        seen: origins that this export looked at: one that is not in ``current`` is empty now.
        whole: this export covers all kinds of storage, not only localStorage.
    """
    origins = {str(entry["origin"]): dict(entry) for entry in previous}
    found = {str(entry["origin"]): dict(entry) for entry in current}
    for origin in {*seen, *found}:
        entry = found.get(origin, {"origin": origin, "localStorage": []})
        origins[origin] = entry if whole else {**origins.get(origin, {}), **entry}
    return [origins[name] for name in sorted(origins) if _holds_something(origins[name])]


def _holds_something(entry: Mapping[str, Any]) -> bool:
    return any(value for name, value in entry.items() if name != "origin")


def size_of(entries: Iterable[Mapping[str, str]]) -> int:
    """Return how many characters ``[{name, value}]`` has."""
    return sum(len(entry["name"]) + len(entry["value"]) for entry in entries)
