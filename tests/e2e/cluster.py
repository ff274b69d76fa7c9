"""Real Midwatch processes, for the end-to-end tests: a scheduler, workers and a
harness, each with a state directory of its own, that can be killed and started
again.

Everything waits on a condition with a deadline; nothing sleeps to be in step.
"""

import collections
import contextlib
import ctypes
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

CHECKER = pathlib.Path(__file__).resolve().parent / "checker.py"
FINAL = ("succeeded", "failed", "cancelled", "skipped")
LOOK_EVERY = 0.05  # seconds, between two looks at a condition
START_SECONDS = 60
EXIT_UNREACHABLE = 4
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)


class Failure(Exception):
    """What went wrong, for people."""


def wait_until(condition, seconds, what):
    """The first true value of `condition()`; Failure after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise Failure(f"after {seconds} s still waiting for {what}")
        time.sleep(LOOK_EVERY)


_given_ports = set()


def free_port():
    """A port that no outgoing connection takes while its process is down: from
    below the range from which the kernel gives those."""
    while True:
        port = random.SystemRandom().randrange(15000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given_ports:
                _given_ports.add(port)
                return port


def _die_with_the_test():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One `midwatch` subcommand that serves. May be started again and again;
    the log goes on."""

    def __init__(self, name, command, log):
        self.name = name
        self.log = log
        self.kills = 0
        self._command = [str(part) for part in command]
        self._process = None
        self._log_start = 0

    def start(self, env=None):
        self.start_with(env=env)

    def start_with(self, *options, env=None):
        """With these options beside its own, this time."""
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [*self._command, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **(env or {})},
                preexec_fn=_die_with_the_test)

    def add_options(self, *options):
        """Beside its own, from its next start on."""
        self._command += [str(option) for option in options]

    def set_option(self, name, value):
        """From its next start on, another value of an option that it has."""
        self._command[self._command.index(name) + 1] = str(value)

    def kill(self):
        self.stop()
        self.kills += 1

    def stop(self):
        self._process.kill()
        self._process.wait()

    def drain(self):
        """As a service manager ends it: it ends by itself, some time later."""
        self._process.terminate()

    def exit_code(self):
        """As the shell does not say it: negative for a signal; None while it
        runs or where it was never started."""
        return self._process.poll() if self._process else None

    def running(self):
        return self._process is not None and self._process.poll() is None

    def said(self, pattern):
        """Lines of the log that match, since the last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            text = log.read().decode(errors="replace")
        return re.findall(f"^.*(?:{pattern}).*$", text, re.MULTILINE)

    def is_ready(self):
        return self.running() and bool(self.said(f"^midwatch {self.name[:6]}"))


class Cluster:
    """`scheduler`, `harness`, `worker-1` and so on, by name."""

    def __init__(self, binary, folder, workers=2, jobs=6, harness_options=(),
                 worker_options=(), proxy_port=None):
        self.binary = pathlib.Path(binary).resolve()
        self.folder = pathlib.Path(folder)
        scheduler_port, harness_port = free_port(), free_port()
        self.harness_port, self.proxy_port = harness_port, proxy_port
        self.server = f"127.0.0.1:{scheduler_port}"
        self.key = self.folder / "api-key"
        self.key.write_text(random.SystemRandom().randbytes(16).hex() + "\n")
        self.key.chmod(0o600)
        self.harness_url = f"http://127.0.0.1:{harness_port}"
        worker_url = f"http://127.0.0.1:{proxy_port or harness_port}"
        self.processes = {}
        self._faults = {}  # by how often the harness was killed before
        self._add("harness", "--port", harness_port, "--api-key-file", self.key,
                  *harness_options)
        self._add("scheduler", "--listen", self.server)
        for number in range(1, workers + 1):
            self._add(f"worker-{number}", "--server", self.server, "--base-url",
                      worker_url, "--api-key-file", self.key,
                      "--jobs", jobs, *worker_options)

    def _add(self, name, *options):
        command = [self.binary, name.split("-")[0], "--state-dir",
                   self.folder / name, *options]
        self.processes[name] = Process(name, command,
                                       self.folder / f"{name}.log")

    def __getitem__(self, name):
        return self.processes[name]

    @property
    def harness_db(self):
        return self.folder / "harness" / "harness" / "harness.db"

    def start(self, name, env=None):
        """Until it serves, or has ended."""
        process = self.processes[name]
        process.start(env)
        wait_until(lambda: process.is_ready() or not process.running(),
                   START_SECONDS, f"{name} to start")

    def start_all(self):
        for name in self.processes:
            self.start(name)
        self.look_after()

    def stop_all(self):
        for process in self.processes.values():
            if process.running():
                process.stop()

    def look_after(self, down=()):
        """Starts again what gave up because another was down, as an init
        system would; Failure where anything else ended. `down` is dead by
        intent."""
        for name, process in self.processes.items():
            code = process.exit_code()
            if name in down or code is None:
                continue
            if code != EXIT_UNREACHABLE or not name.startswith("worker"):
                raise Failure(f"{name} ended by itself with {code}")
            process.start()

    def midwatch(self, *arguments, seconds=120, env=None):
        """A client command's standard output. Failure where it fails."""
        command = [self.binary, "--server", self.server, "--state-dir",
                   self.folder / "client", *arguments]
        done = subprocess.run([str(part) for part in command],
                              capture_output=True, text=True, check=False,
                              env={**os.environ, **(env or {})},
                              timeout=seconds)
        if done.returncode != 0:
            raise Failure(f"midwatch {' '.join(map(str, arguments))}: exit "
                          f"code {done.returncode}, {done.stderr}")
        return done.stdout

    def batch(self, batch_id):
        return json.loads(self.midwatch("--output", "json", "batch", "get",
                                        batch_id))

    def finish(self, batch_id, seconds, look=lambda: None):
        """Leaves all alone until the batch is done, but for a `look` now and
        then; its last view."""
        deadline = time.monotonic() + seconds
        while True:
            self.look_after()
            look()
            with contextlib.suppress(Failure):
                batch = self.batch(batch_id)
                if batch["state"] == "done":
                    return batch
            if time.monotonic() >= deadline:
                raise Failure(f"after {seconds} s the batch is not done\n"
                              f"{self.what_hangs(batch_id)}")
            time.sleep(0.5)

    def what_hangs(self, batch_id):
        parts = []
        for state in ("blocked", "queued", "running", "waiting", "cancelling"):
            try:
                parts.append(self.midwatch("task", "list", "--batch", batch_id,
                                           "--state", state))
            except (Failure, subprocess.TimeoutExpired) as failure:
                parts.append(str(failure))
        for process in self.processes.values():
            lines = process.log.read_text(errors="replace").splitlines()
            parts += [f"--- {process.log}", *lines[-15:]]
        return "\n".join(parts)

    def check(self, batch_ids, names, alone=()):
        """Exports the batches, which with the tasks `alone` are all that the
        harness ran, and lets the checker judge them: the tasks."""
        export, wanted = self.folder / "export.jsonl", self.folder / "names"
        export.write_text("".join(
            [*(self.midwatch("export", batch_id) for batch_id in batch_ids),
             *(json.dumps(task) + "\n" for task in alone)]))
        wanted.write_text("".join(
            f"{name}\n" for name in [*names, *(task["name"] for task in alone)]))
        return run_checker(self.harness_db, export, wanted)

    def journal(self, *options):
        """Its entries, oldest first."""
        return json_lines(self.midwatch("--output", "json", "journal",
                                        *options))

    def ask_harness(self, path):
        request = urllib.request.Request(
            f"{self.harness_url}{path}",
            headers={"x-api-key": self.key.read_text().strip(),
                     "anthropic-version": "2023-06-01",
                     "anthropic-beta": "managed-agents-2026-04-01"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def harness_stats(self):
        """Requests by class and route, refusals and faults, since it started."""
        return self.ask_harness("/harness/stats")

    def count_faults(self):
        """How often each came to pass in all lives of the harness, as
        GET /harness/stats had it when this was last called in each, and
        `over_limit`: requests that its limits refused."""
        stats = self.harness_stats()
        life = collections.Counter(stats["faults"])
        life["over_limit"] = sum(stats["over_limit"].values())
        self._faults[self["harness"].kills] = life
        return sum(self._faults.values(), collections.Counter())

    def sessions_running(self):
        """How many, as the harness's file says; it need not run for that."""
        with contextlib.suppress(sqlite3.OperationalError):
            return read_harness(
                self.harness_db,
                "SELECT count(*) FROM session WHERE status = 'running'")[0][0]
        return 0

    def adoptions(self):
        """Sessions handed on to another holder, over all starts."""
        log = self["scheduler"].log.read_text(errors="replace")
        return len(re.findall(r" granted .* session=[^\"\s]+$", log,
                              re.MULTILINE))


def json_lines(text):
    return [json.loads(line) for line in text.splitlines()]


def read_harness(path, query):
    with contextlib.closing(
            sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
        return db.execute(query).fetchall()


def run_checker(harness_db, export, names):
    """The exported tasks. Failure where the checker finds a breach."""
    done = subprocess.run(
        [sys.executable, str(CHECKER), str(harness_db), str(export),
         str(names)], stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="", flush=True)
    if done.returncode != 0:
        raise Failure("the checker found breaches:\n" + done.stdout)
    with open(export, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write_batch(path, name, prompts, **defaults):
    """A batch file with one task for each of `prompts`, by name: a list of
    shell blocks, the last of which writes /mnt/session/outputs/out.txt."""
    spec = {
        "agent": {"name": "shell", "model": "runbook",
                  "tools": [{"type": "agent_toolset_20260401"}]},
        "environment": {"name": "offline", "config": {
            "type": "cloud", "networking": {"type": "limited"}}},
        "prompt": "{{blocks}}",
        "expect": {"files": ["out.txt"]},
        **defaults,
    }
    tasks = [{"name": task, "parameters": {
        "blocks": "\n".join(f"```sh\n{block}\n```" for block in blocks)}}
             for task, blocks in prompts.items()]
    batch = {"name": name, "defaults": spec, "tasks": tasks}
    path.write_text(json.dumps(batch, indent=1))


@contextlib.contextmanager
def scratch_folder(name):
    """A temporary folder, which stays where the body fails."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"midwatch-{name}-"))
    try:
        yield folder
    except BaseException:
        print(f"what is left to look at: {folder}", flush=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
