#!/usr/bin/env python3
"""Kills a process at each named fault point (base/fault_points.cc) in turn,
starts it again, and lets the checker judge what became of tasks of every kind
(fault_work.py): their ends, their money, their events and their sessions.

  fault_points_test.py MIDWATCH [NAME:COUNT[@PROCESS] ...]

A case whose point is never passed fails.
"""

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import cluster as mw
import fault_work as work
import ledger

FAULT_POINTS = (pathlib.Path(__file__).resolve().parents[2] / "base" /
                "fault_points.cc")
AT_ONCE = 16  # clusters; most of a case's time is waiting for a term to lapse
STRIKE_SECONDS = 150
DONE_SECONDS = 240
LOOK_EVERY = 0.1
# With a process of their own each time; less often while they wait for a term.
PEOPLE_LOOK_EVERY = 0.7
PEOPLE_LOOK_LATER = 2
LATER_SECONDS = 12
# Of the tenant and of the queue, so that there are balances to compare.
PLENTY = "1000"


@dataclasses.dataclass(frozen=True)
class Case:
    """How a point comes to be passed."""
    # The process; "client", or "run": all in one.
    at: str = "worker-1"
    count: int = 2
    late: int = 0  # a second case, which strikes then
    kinds: tuple = work.USUAL
    # Another death that leads there: (process, point:count).
    after: tuple = ()
    restarted: bool = False  # at the process's second start
    drain: bool = False  # worker-1, with sessions under way
    # What else a person does: "pause", "retry", "schedule" or "sweep".
    client: str = ""
    new_key: bool = False  # the harness makes its own


def scheduler(**more):
    return Case(**{"at": "scheduler", **more})


def harness(**more):
    return Case(**{"at": "harness", **more})


# Where any task will do.
FEW = {"kinds": ("plain", "approved", "cancelled")}
# Whoever adopts a session without its first message.
FENCE = {"at": "worker-2", "count": 1, "kinds": ("plain",),
         "after": ("worker-1", "worker.record.after:2")}
# What is left is to archive a session.
ERRAND = {"count": 1, "kinds": ("plain",),
          "after": ("worker-1", "worker.settle.after:1")}
# A session that no attempt ended with.
ORPHAN = {"count": 1, "kinds": ("plain",), "client": "sweep",
          "after": ("worker-1", "worker.create.after:2")}
HANDED_BACK = {"kinds": ("slow", "cancelled"), "count": 1, "drain": True}

CASES = {
    "client.input.after": Case("client", 1, kinds=("input",)),
    "client.submit.after": Case("client", 2, kinds=("plain", "ballast")),
    "client.file.before": harness(count=1, new_key=True),
    "client.results.before": Case("run", 1),
    "client.results.after": Case("run", 1),
    "store.migrate.after": scheduler(count=3),
    "store.cluster.after": scheduler(count=1),
    "store.identity.after": scheduler(count=1),
    "store.commit.before": scheduler(count=7, late=40),
    "store.commit.after": scheduler(count=7, late=40),
    "store.events.before": scheduler(late=6),
    "store.events.after": scheduler(late=6),
    "store.checkpoint.before": scheduler(count=1, kinds=("plain", "ballast")),
    "store.checkpoint.after": scheduler(count=1, kinds=("plain", "ballast")),
    "artifacts.store.before": Case(kinds=("plain", "input")),
    "artifacts.store.after": Case(kinds=("plain", "input")),
    "scheduler.start.after": scheduler(count=1, restarted=True),
    "scheduler.budget.after": scheduler(count=1),
    "scheduler.account.after": scheduler(client="pause"),
    "scheduler.submit.after": scheduler(late=8),
    # The plan after its making has nothing to fire, the one after the firing
    # neither.
    "scheduler.firing.after": scheduler(count=2, late=3, client="schedule",
                                        kinds=("plain",)),
    "scheduler.retry.after": scheduler(count=1, client="retry",
                                       kinds=("plain",)),
    "scheduler.register.after": scheduler(count=1),
    "scheduler.grant.after": scheduler(late=5),
    "scheduler.remoteid.after": scheduler(),
    "scheduler.create.after": scheduler(late=8),
    "scheduler.record.after": scheduler(late=8),
    "scheduler.clear.after": scheduler(**{**FENCE, "at": "scheduler"}),
    "scheduler.started.after": scheduler(late=8),
    "scheduler.nudge.after": scheduler(count=1, kinds=("plain", "nudged")),
    "scheduler.say.after": scheduler(count=1),
    "scheduler.answer.after": scheduler(count=1),
    "scheduler.said.after": scheduler(late=5),
    "scheduler.park.after": scheduler(),
    "scheduler.timer.after": scheduler(count=1),
    "scheduler.cancel.after": scheduler(count=1),
    "scheduler.batchcancel.after": scheduler(count=3,
                                             kinds=("plain", "ballast")),
    "scheduler.free.after": scheduler(count=1,
                                      after=("worker-1", "worker.send.after:3")),
    "scheduler.handback.after": scheduler(**HANDED_BACK),
    "scheduler.settle.after": scheduler(late=8),
    "scheduler.lease.after": scheduler(**ERRAND),
    "scheduler.errand.after": scheduler(count=1),
    "scheduler.explain.after": scheduler(**ORPHAN),
    "scheduler.sweep.after": scheduler(**ORPHAN),
    "worker.grant.after": Case(late=6, **FEW),
    "worker.agent.after": Case(count=1, **FEW),
    "worker.environment.after": Case(count=1, **FEW),
    "worker.upload.after": Case(count=1, kinds=("plain", "input")),
    "worker.remoteid.after": Case(**FEW),
    "worker.create.before": Case(late=6, **FEW),
    "worker.create.after": Case(late=6, **FEW),
    "worker.find.after": Case("worker-2", 1, kinds=("once",),
                              after=("worker-1", "worker.create.after:2")),
    "worker.record.after": Case(late=6, **FEW),
    "worker.send.before": Case(**FEW),
    "worker.send.after": Case(late=6, **FEW),
    "worker.fence.before": Case(**FENCE),
    "worker.fence.after": Case(**FENCE),
    "worker.clear.after": Case(**FENCE),
    "worker.events.after": Case(late=6, **FEW),
    "worker.nudge.before": Case(count=1, kinds=("plain", "nudged")),
    "worker.nudge.after": Case(count=1, kinds=("plain", "nudged")),
    "worker.tool.after": Case(count=1),
    "worker.park.before": Case(**FEW),
    "worker.park.after": Case(**FEW),
    "worker.answer.before": Case(**FEW),
    "worker.answer.after": Case(**FEW),
    "worker.raise.before": Case(),
    "worker.raise.after": Case(),
    "worker.interrupt.before": Case(count=1, **FEW),
    "worker.interrupt.after": Case(count=1, **FEW),
    "worker.mark.after": Case(**FEW),
    "worker.handback.before": Case(**HANDED_BACK),
    "worker.handback.after": Case(**HANDED_BACK),
    "worker.output.after": Case(**FEW),
    "worker.outputs.after": Case(**FEW),
    # The first looks of tasks that pass and of one that does not at first.
    "worker.check.before": Case(late=9, kinds=("checked", "rejected")),
    "worker.check.after": Case(late=3, kinds=("checked", "rejected")),
    "worker.settle.before": Case(late=6, **FEW),
    "worker.settle.after": Case(late=6, **FEW),
    "worker.archive.after": Case(**FEW),
    "worker.errand.before": Case("worker-2", **ERRAND),
    "worker.errand.after": Case(**FEW),
    "sweep.end.before": Case("client", **ORPHAN),
    "sweep.end.after": Case("client", **ORPHAN),
    "sweep.errand.after": Case("client", **ORPHAN),
    "harness.migrate.after": harness(),
    "harness.agent.after": harness(count=1),
    "harness.environment.after": harness(count=1),
    "harness.file.before": harness(count=1, kinds=("plain", "input")),
    "harness.file.after": harness(count=1, kinds=("plain", "input")),
    "harness.session.before": harness(kinds=("plain", "input")),
    "harness.session.after": harness(),
    "harness.send.after": harness(late=8),
    "harness.event.before": harness(count=3, late=60),
    "harness.event.after": harness(count=3, late=60),
    "harness.status.before": harness(count=3, late=12),
    "harness.status.after": harness(count=3, late=12),
    "harness.charge.before": harness(late=8),
    "harness.charge.after": harness(late=8),
    "harness.tool.after": harness(),
    "harness.outputs.before": harness(),
    "harness.update.after": harness(),
    "harness.archive.after": harness(),
}
# Strikes that the table has no place for.
MORE = {
    "artifacts.store.before:1@scheduler": scheduler(kinds=("plain", "input")),
    "artifacts.store.after:1@scheduler": scheduler(kinds=("plain", "input")),
    "worker.record.after:1@worker-1": Case(kinds=("once",)),
    "worker.settle.before:1@worker-1": Case(kinds=("once",)),
    "harness.session.after:2@harness": Case(kinds=("once",)),
    # Scheduler, worker and harness die at once.
    **{f"{strike}@run": Case() for strike in (
        "store.commit.after:12", "store.events.after:2",
        "scheduler.grant.after:1", "scheduler.settle.after:2",
        "worker.create.after:2", "worker.record.after:2", "worker.send.after:2",
        "worker.settle.before:2", "worker.settle.after:3",
        "harness.event.after:20", "harness.charge.after:3")},
}


def all_cases():
    """By what a command line calls each; the longest first."""
    names = re.findall(r'^    "([a-z.]+)",', FAULT_POINTS.read_text(),
                       re.MULTILINE)
    if not names or set(names) != set(CASES):
        raise mw.Failure(f"{FAULT_POINTS} has other points than CASES: "
                         f"{sorted(set(names) ^ set(CASES))}")
    cases = dict(MORE)
    for name, case in CASES.items():
        for count in {case.count, case.late} - {0}:
            cases[f"{name}:{count}@{case.at}"] = case
    return dict(sorted(cases.items(), key=lambda each: (
        each[1].kinds != ERRAND["kinds"], not each[1].after,
        each[0].partition("@")[2] in ("scheduler", "harness"))))


class Run:
    """One cluster, and those that are to be struck in it."""

    def __init__(self, binary, folder, fault, case):
        self.case = case
        self.point = fault.partition(":")[0]
        strike, _, self.victim = fault.partition("@")
        # Who is started so that it dies, until it did.
        self.faults = {self.victim: strike}
        if case.after:
            self.faults[case.after[0]] = case.after[1]
        self.down = set()
        if any(name.startswith("worker") for name in self.faults):
            self.down.add("worker-2")
        self.restart_due = case.restarted
        self.drain_due = case.drain
        self.model = None
        harness_options = ()
        if "nudged" in case.kinds:
            self.model = work.LoadedModel()
            harness_options = ("--model-url", self.model.url())
        self.cluster = mw.Cluster(
            binary, folder, workers=2, jobs=4, harness_options=harness_options,
            worker_options=("--tools", work.write_tools(folder)))
        if case.new_key:
            self.cluster.key.unlink()
        self.files = {kind: work.write_batch(folder, kind)
                      for kind in case.kinds}
        self.people = work.People(self.cluster)
        self.people_look_at = 0
        self.began = time.monotonic()
        self.pool = concurrent.futures.ThreadPoolExecutor(1)

    def close(self):
        self.cluster.stop_all()
        self.pool.shutdown(wait=False)
        if self.model:
            self.model.shutdown()
            self.model.server_close()

    def start(self, name):
        armed = name in self.faults and not (name == self.victim and
                                             self.restart_due)
        self.cluster.start(
            name, {"MIDWATCH_FAULT": self.faults[name]} if armed else {})

    def look_after(self):
        """Starts those again that are down."""
        for name, process in self.cluster.processes.items():
            code = process.exit_code()
            if code is None or name in self.down:
                continue
            if code == -signal.SIGKILL and name in self.faults:
                self.take_note_of(name)
            elif name.startswith("worker") and code in (
                    mw.EXIT_UNREACHABLE, 0 if self.case.drain else None):
                self.start(name)
            else:
                raise mw.Failure(f"{name} ended by itself with {code}")

    def look(self):
        """Looks after all, and does what is due."""
        self.look_after()
        if self.restart_due and self.cluster.sessions_running() > 0:
            self.restart_due = False
            self.cluster[self.victim].kill()
            self.start(self.victim)
        if self.drain_due and self.cluster.sessions_running() > 0:
            self.drain_due = False
            self.cluster["worker-1"].drain()
        now = time.monotonic()
        if now >= self.people_look_at:
            self.people.look()
            self.people_look_at = now + (
                PEOPLE_LOOK_EVERY if now < self.began + LATER_SECONDS
                else PEOPLE_LOOK_LATER)

    def take_note_of(self, name):
        del self.faults[name]
        left = self.down | {name}
        if "worker-2" in self.faults:
            left -= {"worker-1"}  # so that the other one adopts
        self.down = {"worker-1"} if "worker-2" in self.faults else set()
        for each in left:
            self.start(each)

    def wait_for(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            self.look()
            if time.monotonic() >= deadline:
                raise mw.Failure(f"after {seconds} s still waiting for {what}")
            time.sleep(LOOK_EVERY)
        return value

    def beside(self, do, what):
        """What `do` comes to, beside looking after the processes that it may
        need."""
        doing = self.pool.submit(do)
        self.wait_for(doing.done, DONE_SECONDS, what)
        return doing.result()

    def say(self, *arguments):
        """A client's command, and again where the scheduler went away, or the
        client itself was struck."""
        while True:
            env = {}
            if "client" in self.faults:
                env["MIDWATCH_FAULT"] = self.faults["client"]
            try:
                return self.cluster.midwatch(*arguments, env=env)
            except mw.Failure as failure:
                if "client" in self.faults and f"exit code -{signal.SIGKILL}" \
                        in str(failure):
                    del self.faults["client"]
                elif f"exit code {mw.EXIT_UNREACHABLE}" not in str(failure):
                    raise

    def submit_all(self):
        for scope in ("tenant", "queue"):
            self.say("budget", "set", PLENTY, f"--{scope}", "default")
        if self.case.client == "pause":
            self.say("account", "pause", "default")
        batches = []
        for kind, path in self.files.items():
            batches.append(self.fire(kind, path)
                           if self.case.client == "schedule"
                           else self.say("submit", path).strip())
            if work.KINDS[kind].cancel == "batch":
                self.say("batch", "cancel", batches[-1])
        if self.case.client == "pause":
            self.say("account", "resume", "default")
        return batches

    def fire(self, kind, path):
        """Submits it by a schedule, which is due at no time of this test."""
        self.say("schedule", "create", path, "--name", kind, "--cron",
                 "0 0 29 2 *")
        return self.say("schedule", "run", kind).strip()

    def list_batches(self):
        return mw.json_lines(self.cluster.midwatch("--output", "json", "batch",
                                                   "list"))

    def are_done(self):
        if self.people.open_tasks != 0:
            return False
        with contextlib.suppress(mw.Failure):
            return all(batch["state"] == "done"
                       for batch in self.list_batches())
        return False

    def sweep(self):
        """Ends what is over, and says what there was."""
        service = ("default", "--base-url", self.cluster.harness_url,
                   "--api-key-file", self.cluster.key)
        return mw.json_lines(self.say("--output", "json", "account", "sweep",
                                      *service, "--end"))

    def list_tasks(self):
        return mw.json_lines(self.cluster.midwatch("--output", "json", "task",
                                                   "list"))

    def retry(self):
        """Runs one task once more, and waits for that: it alone."""
        tasks = self.list_tasks()
        again = tasks[0]["task_id"]
        new = self.beside(lambda: self.say("task", "retry", again).strip(),
                          "a retry")
        self.people.open_tasks = None
        self.wait_for(lambda: self.people.open_tasks == 0, DONE_SECONDS,
                      "the retried task")
        known = {task["task_id"] for task in tasks}
        others = [task for task in self.list_tasks()
                  if task["task_id"] not in known]
        if [(task["task_id"], task["retry_of"]) for task in others] != [
                (new, again)]:
            raise mw.Failure(f"one task was retried, and there are {others}")
        return mw.json_lines(self.cluster.midwatch(
            "--output", "json", "task", "get", new))[0]

    def run(self):
        for name in self.cluster.processes:
            if name not in self.down:
                self.start(name)
                self.look_after()
        batches = self.beside(self.submit_all, "batches to be taken")
        self.people.open_tasks = None
        self.wait_for(self.are_done, DONE_SECONDS, "the batches to be done")
        more = [self.retry()] if self.case.client == "retry" else []
        if self.case.client == "sweep":
            self.beside(self.sweep, "a sweep")
        self.wait_for(lambda: not self.faults, STRIKE_SECONDS,
                      f"deaths at {self.faults}")
        self.check(batches, more)

    def check(self, batches, more):
        names = [name for kind in self.case.kinds
                 for name in work.names_of(kind)]
        tasks = self.cluster.check(batches, names, more)
        for task in tasks:
            work.check_task(task)
            if work.kind_of(task) != "ballast":
                work.check_events(self.cluster, task)
        ledger.check(self.cluster, 0, tasks, ("tenant", "queue"))
        listed = self.list_batches()
        if sorted(batch["batch_id"] for batch in listed) != sorted(batches):
            raise mw.Failure(f"{batches} were taken, and there are {listed}")
        for batch in listed:
            charged = sum(task["charged_usd_micros"] for task in tasks
                          if task["batch_id"] == batch["batch_id"])
            if (batch["charged_usd_micros"],
                    batch["reserved_usd_micros"]) != (charged, 0):
                raise mw.Failure(f"its tasks were charged {charged}: {batch}")
        self.check_traces(tasks)
        self.check_sessions()

    def check_traces(self, tasks):
        """What must be seen of a death at this very point."""
        sessions = {row[0] for row in mw.read_harness(
            self.cluster.harness_db, "SELECT id FROM session")}
        recorded = {attempt["session_id"] for task in tasks
                    for attempt in task["attempt_list"]}
        two_calls = "once" not in self.case.kinds
        if two_calls and self.point in ("worker.create.after",
                                        "worker.record.after"):
            # Created, and never sent to.
            if not sessions - recorded:
                raise mw.Failure("no session was given up")
        if self.point in ("worker.record.after", "worker.send.after",
                          "worker.outputs.after", "worker.check.before",
                          "worker.check.after"):
            if self.cluster.adoptions() == 0:
                raise mw.Failure("no session was adopted")

    def check_sessions(self):
        """Each can be explained and is at rest, and costs what was charged."""
        if self.point == "worker.settle.after":
            # The errand that it left is for whoever lives.
            self.wait_for(lambda: not self.open_sessions(), STRIKE_SECONDS,
                          "the settled session to be archived")
        fates = {line["session_id"]: line["fate"] for line in self.sweep()}
        if not set(fates.values()) <= {"settled", "superseded"}:
            raise mw.Failure(f"sessions that were left are {fates}")
        if left := self.open_sessions():
            raise mw.Failure(f"sessions are not archived: {left}")
        self.say("account", "reconcile", "default", "--base-url",
                 self.cluster.harness_url, "--api-key-file", self.cluster.key)

    def open_sessions(self):
        return mw.read_harness(
            self.cluster.harness_db, "SELECT title, status FROM session WHERE "
            "archived_at IS NULL")


def run_alone(binary, folder, fault):
    """`midwatch run`, struck, and run again."""
    batch = work.write_batch(folder, "plain")
    results = folder / "results"
    command = [pathlib.Path(binary).resolve(), "--state-dir", folder / "state",
               "run", batch, "--jobs", "3", "--results", results]
    for strike, wanted in ((fault.partition("@")[0], -signal.SIGKILL),
                           ("", 0)):
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True,
            check=False, cwd=folder, timeout=DONE_SECONDS,
            env={**os.environ, "MIDWATCH_FAULT": strike})
        if done.returncode != wanted:
            raise mw.Failure(f"a run ended with {done.returncode}, and not "
                             f"{wanted}: {done.stdout}{done.stderr}")
    names = work.names_of("plain")
    (folder / "names").write_text("".join(f"{name}\n" for name in names))
    tasks = mw.run_checker(folder / "state" / "harness" / "harness.db",
                           results / "results.jsonl", folder / "names")
    for task in tasks:
        work.check_task(task)
        out = results / "outputs" / task["name"] / "out.txt"
        if out.read_text() != f"{task['name']}\n":
            raise mw.Failure(f"{out} holds {out.read_text()}")


def run_case(binary, fault, case):
    began = time.monotonic()
    with mw.scratch_folder(fault.replace("@", "-")) as folder:
        if fault.endswith("@run"):
            run_alone(binary, folder, fault)
            return time.monotonic() - began
        run = Run(binary, folder, fault, case)
        try:
            run.run()
        finally:
            run.close()
    return time.monotonic() - began


def main():
    binary, *wanted = sys.argv[1:]
    cases = all_cases()
    if wanted:
        cases = {fault: case for fault, case in cases.items()
                 if any(fault.startswith(each) for each in wanted)}
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(run_case, binary, fault, case): fault
                   for fault, case in cases.items()}
        for done in concurrent.futures.as_completed(running):
            fault = running[done]
            try:
                print(f"fault_points_test: {fault}: OK, "
                      f"{done.result():.0f} s", flush=True)
            except (mw.Failure, subprocess.SubprocessError, OSError) as error:
                failed += 1
                print(f"fault_points_test: {fault}: {error}", flush=True)
    print(f"fault_points_test: {len(cases)} cases, {failed} failed")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
