"""The live view on real pseudo-terminals, as an emulator shows it."""

import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

import pyte

MIDWATCH = os.path.abspath(sys.argv.pop(1))
SECONDS_MAX = 60
BAR = re.compile(r"\d+/\d+  \d+%")

BATCH = """
name: "夜の番"
params: {model: runbook}
defaults:
  agent: {name: a, model: "{{model}}", tools: [{type: agent_toolset_20260401}]}
  prompt: |
    ```sh
    sleep {{seconds}}
    ```
  max_cost: $0.10
  retry: {max_failures: 1}
tasks:
"""


class TerminalTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="midwatch-")
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)

    def start(self, columns, rows, tasks, model="runbook", **environment):
        text = BATCH + "".join(
            f'  - {{name: "{name}", parameters: {{seconds: "{seconds}"}}}}\n'
            for name, seconds in tasks)
        (self.path / "batch.yaml").write_text(text)
        self.screen = pyte.HistoryScreen(columns, rows, history=1000)
        self.stream = pyte.ByteStream(self.screen)
        self.written = b""
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.chdir(self.path)
            os.environ.pop("NO_COLOR", None)
            os.environ.pop("MIDWATCH_SERVER", None)
            os.environ.update({"TERM": "xterm",
                               "XDG_STATE_HOME": str(self.path),
                               **environment})
            # Until the size below is set.
            sys.stdin.readline()
            os.execv(MIDWATCH, [MIDWATCH, "run", "batch.yaml", "--results",
                                "r", "--jobs", "4", "--param", f"model={model}"])
        self.pid = pid
        self.addCleanup(os.close, self.terminal)
        attributes = termios.tcgetattr(self.terminal)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(self.terminal, termios.TCSANOW, attributes)
        self.resize(columns, rows)
        os.write(self.terminal, b"\n")

    def resize(self, columns, rows):
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def read_until(self, done):
        """Feeds the emulator until `done`, or to the end of the program."""
        until = time.monotonic() + SECONDS_MAX
        while not done():
            self.assertLess(time.monotonic(), until, self.text())
            if not select.select([self.terminal], [], [], 1)[0]:
                continue
            try:
                piece = os.read(self.terminal, 65536)
            except OSError:  # its other end is closed
                return
            self.written += piece
            self.stream.feed(piece)

    def end(self):
        self.read_until(lambda: False)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display).strip()

    def test_shows_what_runs_and_ends_with_a_plain_summary(self):
        self.start(80, 24, [("日本語", 3), ("two", 4)])
        self.read_until(lambda: "bash: sleep 3" in self.text())
        self.assertIn("0/2  0%", self.text())
        self.assertIn("2 running", self.text())
        self.assertRegex(self.text(), r"running\n  日 *本 *語.* s  bash")
        self.assertEqual(self.end(), 0)
        # The view is gone, the summary stays, on the same screen.
        self.assertNotIn("0/2  0%", self.text())
        self.assertRegex(self.text(), r"succeeded +2\n")
        self.assertIn("results in r", self.text())
        summary = self.written[self.written.rindex(b"succeeded  "):]
        self.assertNotIn(b"\x1b", summary)
        self.assertNotIn(b"\x1b[?1049h", self.written)
        self.assertFalse(self.screen.cursor.hidden)

    def test_failures_are_named_with_the_command_that_tells_more(self):
        # Wide: the command begins with the path of this build.
        self.start(300, 24, [("one", 0), ("two", 0)], model="none-such")
        self.assertEqual(self.end(), 1)
        self.assertRegex(self.text(), r"failed +2\n")
        self.assertRegex(self.text(), r"such as one, two\n +\S+midwatch\S* task "
                                      r"(events|get) \w{26}")

    def test_forty_columns_ten_rows_and_back_while_it_runs(self):
        self.start(100, 30, [(f"task {i}", 6) for i in range(4)])
        self.read_until(lambda: "bash: sleep 6" in self.text())
        self.resize(40, 10)
        self.written = b""
        # Each frame hides the cursor first. Those on their way are as wide as
        # the terminal was.
        self.read_until(lambda: self.written.count(b"\x1b[?25l") > 6)
        for frame in self.written.split(b"\x1b[?25l")[4:-1]:
            for line in re.split(rb"\r\n|\r", frame):
                visible = re.sub(rb"\x1b\[[?0-9;]*[A-Za-z]", b"", line).decode()
                self.assertLessEqual(len(visible), 36, visible)
        self.assertLessEqual(self.text().count("\n"), 10)
        self.resize(100, 30)
        self.assertEqual(self.end(), 0)
        self.assertIn("results in r", self.text())

    def test_interrupted_it_keeps_the_last_state_and_the_cursor(self):
        self.start(80, 24, [("one", 30)])
        self.read_until(lambda: "bash: sleep 30" in self.text())
        os.kill(self.pid, signal.SIGINT)
        self.assertEqual(self.end(), 130)
        self.assertIn("0/1  0%", self.text())
        self.assertRegex(self.text(), r"(?s)0/1  0%.*stopping.*to go on:")
        self.assertFalse(self.screen.cursor.hidden)

    def test_no_colour_means_none(self):
        self.start(80, 24, [("one", 2)], NO_COLOR="1")
        self.read_until(lambda: "1 running" in self.text())
        self.assertEqual(self.end(), 0)
        self.assertNotRegex(self.written, rb"\x1b\[[0-9;]*m")

    def test_dumb_terminal_gets_plain_lines(self):
        self.start(80, 24, [("one", 1)], TERM="dumb")
        self.assertEqual(self.end(), 0)
        self.assertNotIn(b"\x1b", self.written)
        self.assertIn("results in r", self.text())


@unittest.skipUnless(shutil.which("tmux"), "no tmux here")
class ReflowTest(unittest.TestCase):
    """In an emulator that, unlike pyte, breaks lines anew when it is resized,
    and pushes what is too much for its screen into its history."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="midwatch-")
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        words = " and".join(["" for _ in range(40)])
        (self.path / "batch.yaml").write_text(
            BATCH + "".join(f'  - {{name: "task {i}", parameters: {{seconds: '
                            f'"60  # {words}"}}}}\n' for i in range(6)))

    def tmux(self, *arguments):
        return subprocess.run(
            ["tmux", "-u", "-S", self.path / "tmux", "-f", "/dev/null",
             *arguments],
            check=True, capture_output=True, text=True).stdout

    def start(self, columns, rows):
        self.columns = columns
        # What was there before is more than a screen.
        self.tmux("new-session", "-d", "-x", str(columns), "-y", str(rows),
                  f"cd '{self.path}'; seq 50; unset NO_COLOR MIDWATCH_SERVER; "
                  f"XDG_STATE_HOME='{self.path}' '{MIDWATCH}' run batch.yaml "
                  "--results r --jobs 6; echo ended; cat")
        self.addCleanup(self.tmux, "kill-server")
        self.tmux("set", "-g", "status", "off")
        self.wait(lambda: self.drawn() and "running\n" in self.shown())

    def shown(self, *of):
        return self.tmux("capture-pane", "-p", *of)

    def drawn(self):
        """The view has its last line, and the margin of this width."""
        lines = self.shown().splitlines()
        widest = max(map(len, lines), default=0)
        return (any("task 5" in line and "…" in line for line in lines)
                and widest <= self.columns - self.columns // 10)

    def resize(self, columns, rows):
        self.columns = columns
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))
        self.wait(self.drawn)
        self.assertEqual(len(BAR.findall(self.shown())), 1, self.shown())

    def wait(self, done):
        until = time.monotonic() + SECONDS_MAX
        while not done():
            self.assertLess(time.monotonic(), until, self.shown("-S", "-"))
            time.sleep(0.05)

    def end(self):
        """All that the terminal ever showed and keeps."""
        self.tmux("send-keys", "C-c")
        self.wait(lambda: "\nended" in self.shown())
        return self.shown("-S", "-")

    def test_a_border_that_is_dragged_leaves_one_view(self):
        self.start(100, 24)
        for columns in (80, 72, 65, 59, 54, 70, 63, 57):
            self.resize(columns, 24)
        for rows in (14, 24, 13, 40):
            self.resize(57, rows)
        everything = self.end()
        self.assertEqual(len(BAR.findall(everything)), 1, everything)
        self.assertEqual(everything.count("task 5"), 1, everything)
        self.assertIn("\n49\n50\n", everything)

    def test_a_wide_window_that_is_split_leaves_one_view(self):
        self.start(200, 12)
        for columns in (99, 200, 99):
            self.resize(columns, 24)
        everything = self.end()
        self.assertEqual(len(BAR.findall(everything)), 1, everything)
        self.assertEqual(everything.count("task 5"), 1, everything)


if __name__ == "__main__":
    unittest.main()
