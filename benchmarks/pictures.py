"""Draws docs/pictures: a fleet of ``pictures_flow.py`` in tmux, at two sizes of the terminal, captured and saved as SVG.

``.venv/bin/python -m benchmarks.pictures``, with tmux installed. A picture needs nothing that is not in its own file.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

CHECKOUT = Path(__file__).resolve().parents[1]
FLOW = CHECKOUT / "benchmarks" / "pictures_flow.py"
PICTURES = CHECKOUT / "docs" / "pictures"
ENOUGH_DONE = 20
WITHIN = 120.0
SIZES = {"80x24": (80, 24, 4, "--batch-size=8"), "200x60": (200, 60, 12, "--batch-size=30")}
"""Columns, lines, slots and pace of each picture."""


def tmux(*args: object) -> str:
    """Run tmux on a server of our own; return what it prints."""
    command = ["tmux", "-L", "ostler-pictures", "-f", "/dev/null", *map(str, args)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - ours


def capture(folder: Path, columns: int, lines: int, slots: int, pace: str) -> str:
    """Run a fleet until there is something to see; return what its terminal shows."""
    queue = folder / "queue.json"
    jobs = [f"shop-{number:02}" for number in range(1, 81)]
    queue.write_text(json.dumps({"defaults": {"flow": str(FLOW)}, "jobs": jobs}), "utf-8")
    command = [
        sys.executable,
        CHECKOUT / "orchestrator.py",
        queue,
        f"--max-concurrent={slots}",
        pace,
        "--batch-delay=0",
    ]
    command += [f"--state-dir={folder / 'state'}", f"--log-dir={folder / 'logs'}"]
    command += ["--launch-interval=0.1", "--retry-delay=20"]
    tmux(
        "new-session", "-d", "-x", columns, "-y", lines, "env", "TERM=xterm-256color", "OSTLER_ADMISSION=off", *command
    )
    try:
        log = folder / "logs" / "events.jsonl"
        end = time.monotonic() + WITHIN
        while not log.exists() or log.read_text("utf-8").count('"state":"done"') < ENOUGH_DONE:
            if time.monotonic() > end:
                raise TimeoutError(tmux("capture-pane", "-p"))
            time.sleep(0.2)
        time.sleep(1)
        return tmux("capture-pane", "-e", "-p")
    finally:
        tmux("kill-server")


def as_svg(shown: str, columns: int) -> str:
    """Return a picture of what a terminal shows, in fonts of whoever looks at it."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(shown.rstrip("\n")))
    svg = console.export_svg(title="python orchestrator.py queue.json")
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;]+;", "font-family: ui-monospace, monospace;", svg)
    svg = re.sub(r"terminal-\d+-", "t-", svg)
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


def main() -> None:
    """Draw them all."""
    for name, (columns, lines, slots, pace) in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            shown = capture(Path(folder), columns, lines, slots, pace)
        (PICTURES / f"terminal-{name}.svg").write_text(as_svg(shown, columns), "utf-8")


if __name__ == "__main__":
    main()
