"""The parts of Ostler that decide, store, supervise and show.

    queue -> dispatch -> process -> run.py -> workspaces -> browser -> steps -> state + events

Folders follow the data. In each, ``port.py`` says what is needed from it (a ``Protocol`` with its laws), and one file per
adapter does it, with a fake beside the real ones. Who may import whom (``tests/architecture`` holds it):

- ``core.domain`` imports itself, ``core.errors`` and msgspec;
- engines (``core/dispatch``, ``workers/runner.py``) see ports, never adapters;
- an adapter sees its own port and the domain, not another stage's (but for ``core/profiles``, which stands on the files of
  ``core/workspaces`` and ``core/state``, and ends holders by ``core/process``);
- ``core`` never imports ``workers`` (but for ``core/cli``, which wires adapters as the two shells do).
"""
