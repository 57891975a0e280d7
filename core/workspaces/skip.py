"""What of a user-data-dir is worth a copy. Names come from Chromium's own sources and from copies that other tools make.

Caches are recognised only where a browser puts them, in the user-data-dir and in a profile directory below it: a web
page's or an extension's own ``Cache`` folder, deeper down, is data.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

CACHE_DIRECTORIES = (
    "Cache", "Code Cache", "GPUCache", "GrShaderCache", "ShaderCache", "Dawn*Cache", "GraphiteDawnCache",
    "GPUPersistentCache", "Media Cache", "blob_storage", "Crashpad", "Crash Reports", "BrowserMetrics*",
    "optimization_guide_*", "OptGuideOnDeviceModel*", "SODA*", "screen_ai", "WasmTtsEngine", "ZxcvbnData",
    "Subresource Filter", "Safe Browsing*", "component_crx_cache", "extensions_crx_cache", "Download Service",
    "Site Characteristics Database", "shared_proto_db", "segmentation_platform", "Snapshots", ".verify-*",
)  # fmt: skip
SERVICE_WORKERS = "Service Worker"
"""All or nothing: its database points into its caches. Dropped from a template's copy, kept in a profile's own."""

SINGLETONS = ("SingletonLock", "SingletonCookie", "SingletonSocket", "lockfile", "DevToolsActivePort")
"""What says "a browser runs here"; never true of a copy."""

FILES = (
    "Singleton*", "lockfile", "RunningChromeVersion", "DevToolsActivePort", "LOG", "LOG.old", "*.tmp", "*.ostler-tmp",
)  # fmt: skip
OURS = (".ostler-swap",)
_VERBATIM = "Extensions"
_DEPTH_OF_PROFILES = 2


def directory(parts: tuple[str, ...], *, service_workers: bool) -> bool:
    """Whether the directory at ``parts`` (relative to the user-data-dir) is left out."""
    if len(parts) > _DEPTH_OF_PROFILES:
        return False
    name = parts[-1]
    if len(parts) == 1 and name in OURS:
        return True
    if name == SERVICE_WORKERS and not service_workers:
        return True
    return any(fnmatchcase(name, pattern) for pattern in CACHE_DIRECTORIES)


def file(parts: tuple[str, ...]) -> bool:
    """Whether the file at ``parts`` is left out. Nothing within an unpacked extension is."""
    if _VERBATIM in parts[:-1]:
        return False
    name = parts[-1]
    return any(fnmatchcase(name, pattern) for pattern in FILES) or (len(parts) == 1 and name in OURS)
