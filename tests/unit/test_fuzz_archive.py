"""Archives that nobody thought of: an import takes them whole, or refuses them in one line and leaves nothing.

300 examples of each kind, always the same, in ``make test``; 10,000 new ones in ``make crash``.
"""

from __future__ import annotations

import json
import shutil
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import BadInput, NewerSchema
from core.profiles.archive_export import export
from core.profiles.archive_import import import_
from core.profiles.store import FileProfileStore
from core.state.login_state import FileLoginStateStore
from core.state.sessions import FileSessionStore
from tests.forged import Forger
from tests.profiles import home_of, make_profile
from tests.unit.test_fuzz import changed, torn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ODD_NAMES = st.one_of(
    st.text(max_size=30).map("browser_profile/{}".format), st.text(max_size=10),
    st.sampled_from(["metadata.json", "browser_profile/Default", "browser_profile/Default/Cookies/x", "manifest.json"]),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A directory for all examples; each leaves it as it found it."""
    path = Path(tempfile.mkdtemp(prefix="fuzz-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def forger(folder: Path) -> Forger:
    """A good archive without browser data, which is what takes time, taken apart."""
    source = folder / "source"
    make_profile(source)
    shutil.rmtree(source / "profiles/anna/browser_profile")
    export(home_of(source), "anna", folder / "good.zip", with_secrets=True, overwrite=False)
    return Forger((folder / "good.zip").read_bytes())


def take(folder: Path, data: bytes) -> None:
    """Import it; what is taken can be read, what is refused is not there."""
    state_dir = folder / "state"
    (folder / "a.zip").write_bytes(data)
    try:
        made = import_(home_of(state_dir), folder / "a.zip", "a.zip", as_id="bert").profile_id
    except (BadInput, NewerSchema) as exc:
        said = str(exc)
        assert len(said.splitlines()) == 1
        assert not (state_dir / "profiles/bert").exists()
        assert not list(state_dir.glob(".import-*"))
    else:
        assert FileProfileStore(state_dir).read(made) is not None
        FileSessionStore(state_dir).read(made)
        FileLoginStateStore(state_dir).read(made)
    finally:
        shutil.rmtree(state_dir, ignore_errors=True)


def some_bytes(forger: Forger) -> Any:
    """The archive, cut, doubled or overwritten somewhere."""
    return torn(st.just(forger.good))


def some_field(forger: Forger) -> Any:
    """The archive with a number overwritten where numbers matter: in headers, records and the end."""
    starts = [at for at in range(len(forger.good)) if forger.good[at : at + 2] == b"PK"]
    numbers = st.one_of(
        st.sampled_from([0, 1, 8, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF]), st.integers(0, 2**32 - 1)
    )

    def change(place: tuple[int, int, int]) -> bytes:
        start, offset, number = place
        data = bytearray(forger.good)
        at = min(start + offset, len(data) - 4)
        struct.pack_into("<L", data, at, number)
        return bytes(data)

    return st.tuples(st.sampled_from(starts), st.integers(0, 45), numbers).map(change)


def some_manifest(forger: Forger) -> Any:
    """A manifest that says something else, or is none, with a checksum that holds."""
    sealed = changed(json.loads(forger.signed())["payload"]).map(
        lambda manifest: forger.signed(**manifest) if isinstance(manifest, dict) else json.dumps(manifest).encode()
    )
    return st.one_of(sealed, torn(st.just(forger.signed()))).map(
        lambda manifest: forger.packed(forger.entries, manifest=manifest or b"\0")
    )


def some_document(forger: Forger) -> Any:
    """Metadata, a session or a login state that says something else."""
    return st.sampled_from(forger.entries).flatmap(
        lambda entry: torn(changed(json.loads(entry[1])).map(json.dumps)).map(lambda data: forger.with_(entry[0], data))
    )


def some_names(forger: Forger) -> Any:
    """More entries, of any name, listed."""
    return st.lists(st.tuples(ODD_NAMES, st.binary(max_size=9)), min_size=1, max_size=4).map(
        lambda entries: forger.having(*[(name.encode(errors="replace").decode(), data) for name, data in entries])
    )


KINDS: dict[str, Callable[[Forger], Any]] = {
    "bytes": some_bytes, "fields": some_field, "manifest": some_manifest, "documents": some_document, "names": some_names,
}  # fmt: skip


def fuzz(folder: Path, strategy: Any, examples: int) -> None:
    """Import so many; few are always the same ones."""

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=examples < 1000, suppress_health_check=list(HealthCheck)
    )  # fmt: skip
    @given(strategy)
    def run(data: bytes) -> None:
        take(folder, data)

    run()


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_taken_or_refused(folder: Path, forger: Forger, kind: str) -> None:
    """The sample: 300 archives, the same in every run."""
    fuzz(folder, KINDS[kind](forger), 300)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_import_withstands_ten_thousand(folder: Path, forger: Forger, kind: str) -> None:
    """New archives in every run."""
    fuzz(folder, KINDS[kind](forger), 10_000)
