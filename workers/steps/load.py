"""Loading a flow file, and describing it as data. Author's code runs here: only ever in a worker process."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from core.domain.messages import FlowDescription, ParamProblem
from core.errors import FlowLoadError
from workers.author import place_of
from workers.steps.flow import Flow

if TYPE_CHECKING:
    from collections.abc import Iterable

_OURS = ("core", "workers")
_CHECKOUT = Path(__file__).resolve().parents[2]


def load(path: str) -> Flow:
    """Return the flow of a file.

    Args:
        path: of a Python module. Its folder is on ``sys.path`` while it is imported, so that it may import its neighbours.

    Raises:
        FlowLoadError: with the line in the author's file where there is one.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise FlowLoadError(path, "there is no such file")
    for name in _OURS if file.parent != _CHECKOUT else ():
        if (file.parent / name).is_dir() or (file.parent / f"{name}.py").is_file():
            raise FlowLoadError(
                path, f"its folder holds a {name!r} of its own, which would hide Ostler's; move or rename one"
            )
    flow = _the_flow(path, _import(file, path))
    flow.name = flow.name or file.stem
    _check(path, flow)
    return flow


def describe(flow: Flow, param_sets: Iterable[dict[str, Any]], file: Path | None = None) -> FlowDescription:
    """Return the flow as data, and what is wrong with each set of parameters; with ``file``, its own, lines in it, too."""
    problems: list[ParamProblem] = []
    for index, raw in enumerate(param_sets):
        try:
            flow.convert(raw, strict=True)
        except ValueError as exc:
            message, _, at = str(exc).partition(" - at `")
            problems.append(
                ParamProblem(index=index, field=at.rstrip("`").removeprefix("$").lstrip("."), message=message)
            )
    return FlowDescription(
        name=flow.name,
        steps=flow.specs,
        browser=flow.browser,
        params_schema=None if flow.params is None else msgspec.json.schema(flow.params),
        problems=tuple(problems),
        lines={
            step.name: step.body.__code__.co_firstlineno
            for step in flow.steps
            if file is not None and hasattr(step.body, "__code__") and step.body.__code__.co_filename == str(file)
        },
        checked=tuple(step.name for step in flow.steps if step.check is not None),
    )


def _import(file: Path, path: str) -> dict[str, Any]:
    # a private name: a flow called json.py must not become the json that others import
    name = f"_ostler_flow_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise FlowLoadError(path, "not a Python file (its name must end in .py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(file.parent)
    sys.path.insert(0, folder)
    loaded = False
    try:
        spec.loader.exec_module(module)
        loaded = True
    except SyntaxError as exc:
        same = exc.filename is not None and Path(exc.filename).resolve() == file
        where = "" if same else f" (in {exc.filename}:{exc.lineno})"
        line = exc.lineno if same else None
        raise FlowLoadError(path, f"{type(exc).__name__}: {exc.msg}{where}", line) from exc
    except (Exception, SystemExit) as exc:
        lines = [frame.lineno for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == str(file)]
        place = place_of(exc)
        elsewhere = f" (in {place})" if place and lines and place != f"{file.name}:{lines[-1]}" else ""
        raise FlowLoadError(path, f"{type(exc).__name__}: {exc}{elsewhere}", lines[-1] if lines else None) from exc
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
        if not loaded:
            sys.modules.pop(name, None)
    return vars(module)


def _the_flow(path: str, names: dict[str, Any]) -> Flow:
    flows = {id(value): (name, value) for name, value in names.items() if isinstance(value, Flow)}
    if not flows:
        raise FlowLoadError(path, "it defines no Flow; expected `flow = Flow(…)`")
    if len(flows) == 1:
        return next(iter(flows.values()))[1]
    for name in ("FLOW", "flow"):
        if isinstance(names.get(name), Flow):
            chosen: Flow = names[name]
            return chosen
    listed = ", ".join(sorted(name for name, _ in flows.values()))
    raise FlowLoadError(path, f"it defines several flows ({listed}); name the one to run `flow`")


def _check(path: str, flow: Flow) -> None:
    if not flow.steps:
        raise FlowLoadError(path, "the flow has no steps")
    stated = {spec.flag for spec in flow.specs if spec.flag is not None}
    so_far: set[str] = set()
    for step in flow.steps:
        line = step.body.__code__.co_firstlineno if hasattr(step.body, "__code__") else None
        for flag in step.spec.requires:
            # a flag that no step of this flow states is another flow's, and looked up when it runs
            if flag in stated and flag not in so_far:
                raise FlowLoadError(path, f"step {step.name!r} requires {flag!r}, which no step before it states", line)
        if step.spec.flag is not None:
            so_far.add(step.spec.flag)
    if flow.browser:
        return
    if flow.on_authenticate is not None:
        raise FlowLoadError(path, "an authentication check needs a browser, but the flow says browser=False")
