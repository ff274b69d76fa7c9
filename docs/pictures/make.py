#!/usr/bin/python3
"""Draws docs/pictures/run.svg: the terminal in the middle of the README's run.

    ./dev picture        # or: docs/pictures/make.py build/release/cli/midwatch

Nothing in it is drawn by hand: the program runs in a pseudo-terminal, what it
writes goes to a terminal emulator (Debian's python3-pyte), and the emulator's
screen becomes the picture. So it changes a little with every run and machine.
"""

import copy
import fcntl
import html
import os
import pathlib
import pty
import re
import select
import signal
import struct
import sys
import tempfile
import termios
import time

import pyte

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = ["midwatch", "run", "examples/license-audit/batch.yaml"]
COLUMNS, ROWS = 80, 18
SECONDS_MAX = 120

CELL_WIDTH, CELL_HEIGHT, MARGIN, FONT_SIZE = 8.4, 18, 14, 14
BACKGROUND, FOREGROUND = "#1b1f24", "#d5dae0"
COLOURS = {"default": FOREGROUND, "red": "#ff7b72", "green": "#56d364",
           "cyan": "#56d4dd", "brown": "#e3b341", "blue": "#79c0ff"}


class DimScreen(pyte.Screen):
    """pyte knows no faint text; here it is a colour of its own."""

    def select_graphic_rendition(self, *codes):
        if codes == (2,):
            self.cursor.attrs = self.cursor.attrs._replace(fg="768390")
        else:
            super().select_graphic_rendition(*codes)


def start(folder, midwatch):
    """Runs COMMAND as a reader would type it; returns its pid and terminal."""
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "bin").mkdir()
    (folder / "bin/midwatch").symlink_to(midwatch)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.environ.update(TERM="xterm-256color", XDG_STATE_HOME=str(folder),
                          PATH=f"{folder}/bin:{os.environ['PATH']}")
        for name in ("NO_COLOR", "MIDWATCH_SERVER"):
            os.environ.pop(name, None)
        # The size is set below, before anything can be drawn.
        time.sleep(0.2)
        os.execvp(COMMAND[0], COMMAND)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ,
                struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    return pid, terminal


def score(screen):
    """How much of a middle it is: 0, or more the more tasks tell what they do."""
    text = "\n".join(screen.display)
    percent = re.search(r"\d+/\d+  (\d+)%", text)
    if percent is None or not 40 <= int(percent[1]) <= 85:
        return 0
    running = len(re.findall(r"^  \S+ +[0-9.]+ s\b", text, re.MULTILINE))
    telling = len(re.findall(r"^  \S+ +[0-9.]+ s  \S", text, re.MULTILINE))
    return 1 + running + 10 * telling


def watch(midwatch):
    """The best screen of the middle of the run."""
    screen = DimScreen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    stream.feed(("\x1b[1m$ " + " ".join(COMMAND) + "\x1b[0m\r\n").encode())
    best, best_score = None, 0
    with tempfile.TemporaryDirectory(prefix="midwatch-") as name:
        pid, terminal = start(pathlib.Path(name), midwatch)
        until = time.monotonic() + SECONDS_MAX
        try:
            while time.monotonic() < until:
                if not select.select([terminal], [], [], 1)[0]:
                    continue
                stream.feed(os.read(terminal, 65536))
                if score(screen) > best_score:
                    best, best_score = copy.deepcopy(screen), score(screen)
        except OSError:
            pass  # the end of the run
        else:
            os.kill(pid, signal.SIGINT)
        os.close(terminal)
        os.waitpid(pid, 0)
    if best is None:
        sys.exit("the run ended before its middle was seen:\n"
                 + "\n".join(screen.display))
    return best


def runs_of(line, columns):
    """(column, text, style) of neighbours that look alike."""
    run = None
    for column in range(columns):
        cell = line[column]
        style = (cell.fg, cell.bold)
        if run and run[2] == style:
            run[1] += cell.data
        else:
            if run:
                yield run
            run = [column, cell.data, style]
    yield run


def draw(screen):
    used = max(y for y in range(screen.lines) if screen.display[y].strip()) + 1
    width = 2 * MARGIN + screen.columns * CELL_WIDTH
    height = 2 * MARGIN + used * CELL_HEIGHT
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
           f'height="{height:.0f}" font-size="{FONT_SIZE}" '
           'font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', '
           'monospace">',
           "<title>midwatch run, in the middle</title>",
           f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>']
    for y in range(used):
        baseline = MARGIN + y * CELL_HEIGHT + FONT_SIZE
        for column, text, (colour, bold) in runs_of(screen.buffer[y],
                                                    screen.columns):
            if not text.strip():
                continue
            length = len(text) * CELL_WIDTH
            fill = COLOURS.get(colour, f"#{colour}")
            out.append(
                f'<text xml:space="preserve" x="{MARGIN + column * CELL_WIDTH:.1f}"'
                f' y="{baseline}" textLength="{length:.1f}" '
                f'lengthAdjust="spacingAndGlyphs" fill="{fill}"'
                + (' font-weight="bold"' if bold else "")
                + f">{html.escape(text)}</text>")
    return "\n".join([*out, "</svg>", ""])


def main():
    midwatch = pathlib.Path(sys.argv[1]).resolve()
    picture = pathlib.Path(__file__).with_name("run.svg")
    picture.write_text(draw(watch(midwatch)))
    print(picture.relative_to(ROOT))


if __name__ == "__main__":
    main()
