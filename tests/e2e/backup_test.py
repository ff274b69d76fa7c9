#!/usr/bin/env python3
"""A backup is taken while tasks run and others are submitted; the original goes
on for a while and is lost. What is restored from the backup finishes the batch:
sessions that the backup knows are gone on with and paid once, and what started
after it is paid again, and nothing else.

  backup_test.py MIDWATCH
"""

import collections
import json
import shutil
import subprocess
import sys
import threading

import checker
import cluster as mw

TASKS = 24
JOBS = 5
EXIT_BAD_INPUT = 2


class Submitter(threading.Thread):
    """Submits small batches until it is told to end; how long each took."""

    def __init__(self, cluster, file):
        super().__init__()
        self.cluster, self.file = cluster, file
        self.batches, self.error = [], None
        self.ended = threading.Event()

    def run(self):
        try:
            while not self.ended.is_set():
                self.batches.append(self.cluster.midwatch(
                    "submit", "--new", self.file).strip())
        except (mw.Failure, subprocess.TimeoutExpired) as failure:
            self.error = failure

    def end(self):
        self.ended.set()
        self.join()
        if self.error:
            raise self.error


def restore(cluster, backup, state_dir):
    command = [cluster.binary, "restore", backup, "--state-dir", state_dir]
    return subprocess.run([str(part) for part in command], capture_output=True,
                          text=True, timeout=120, check=False)


def export(cluster, batch_ids):
    return [task for batch_id in batch_ids
            for task in mw.json_lines(cluster.midwatch("export", batch_id))]


def batches_of(cluster):
    return [batch["batch_id"] for batch in mw.json_lines(cluster.midwatch(
        "--output", "json", "batch", "list", "--limit", "10000"))]


def sessions_of(tasks):
    return {attempt["session_id"] for task in tasks
            for attempt in task["attempt_list"] if attempt["session_id"]}


def run(binary, folder):
    cluster = mw.Cluster(binary, folder, workers=1, jobs=JOBS)
    prompts = {f"t{n}": [f"sleep 3\necho {n} > /mnt/session/outputs/out.txt"]
               for n in range(TASKS)}
    mw.write_batch(folder / "batch.json", "night", prompts)
    # Of a lower rank: they wait behind it.
    mw.write_batch(folder / "more.json", "more", {"m": ["echo m > /mnt/session/outputs/out.txt"]}, priority=0)
    backup = folder / "backup"
    try:
        cluster.start_all()
        batch_id = cluster.midwatch("submit", folder / "batch.json").strip()
        mw.wait_until(
            lambda: cluster.batch(batch_id)["counts"]["succeeded"] >= JOBS
            and cluster.sessions_running() >= 2, 120, "tasks to be done")
        submitter = Submitter(cluster, folder / "more.json")
        submitter.start()
        mw.wait_until(lambda: submitter.batches or submitter.error, 60,
                      "a batch beside it")
        made = json.loads(cluster.midwatch("--output", "json", "backup",
                                           backup))
        submitter.end()
        again = subprocess.run(
            [str(cluster.binary), "--server", cluster.server, "backup",
             str(backup)], capture_output=True, text=True, check=False)
        if again.returncode != EXIT_BAD_INPUT or "already" not in again.stderr:
            raise mw.Failure(f"written over a backup: {again}")

        # The original goes on, with tasks that the backup has as waiting.
        known = cluster.batch(batch_id)["counts"]["succeeded"]
        mw.wait_until(
            lambda: cluster.batch(batch_id)["counts"]["succeeded"]
            >= known + JOBS, 120, "the original to go on")
        cluster["worker-1"].kill()
        before = export(cluster, batches_of(cluster))
        cluster["scheduler"].kill()

        # Not over what is there; then in its place.
        refused = restore(cluster, backup, folder / "scheduler")
        if refused.returncode != EXIT_BAD_INPUT or "not empty" not in refused.stderr:
            raise mw.Failure(f"restored over the original: {refused}")
        shutil.move(folder / "scheduler", folder / "lost")
        restored = restore(cluster, backup, folder / "scheduler")
        print(restored.stdout.strip(), flush=True)
        if restored.returncode != 0:
            raise mw.Failure(f"not restored: {restored.stderr}")
        cluster.start("scheduler")
        batches = batches_of(cluster)
        in_backup = export(cluster, batches)
        # One may have been on its way in; its client knows nothing of this.
        for each in [each for each in batches
                     if cluster.batch(each)["state"] == "open"]:
            cluster.midwatch("batch", "cancel", each)
            batches.remove(each)
        cluster.start("worker-1")
        for each in batches:
            cluster.finish(each, 240)
        tasks = export(cluster, batches)
        adoptions = cluster.adoptions()
    finally:
        cluster.stop_all()

    judge(cluster, made, submitter.batches, batches, before, in_backup, tasks)
    print(f"backup_test: {made['tasks']} tasks in the backup, {len(tasks)} in "
          f"the end, {adoptions} sessions gone on with", flush=True)


def judge(cluster, made, submitted, batches, before, in_backup, tasks):
    breaches = []
    if any(task["state"] != "succeeded" for task in tasks):
        breaches.append("not all succeeded")
    if made["tasks"] != len(in_backup) or len(in_backup) < TASKS + 1:
        breaches.append(f"{made['tasks']} tasks were backed up, "
                        f"{len(in_backup)} are there")
    if made["missing_artifacts"] != 0 or made["artifacts"] < JOBS:
        breaches.append(f"artifacts: {made}")
    # What was acknowledged before the backup began is in it.
    if submitted[0] not in batches:
        breaches.append("a batch that was submitted before it is not in it")

    # Sessions that the original recorded after the backup are nobody's now.
    states = collections.Counter(task["state"] for task in in_backup)
    if min(states["running"], states["queued"], states["succeeded"]) < 1:
        breaches.append(f"backed up too early or too late: {states}")
    kept, now = sessions_of(in_backup), sessions_of(tasks)
    lost = sessions_of(before) - kept
    if not kept <= now:
        breaches.append(f"sessions {kept - now} of the backup were given up")
    if lost & now:
        breaches.append(f"sessions {lost & now} were not in the backup")

    # Those alone were paid beside what the restored queue knows of.
    sessions = checker.read_sessions(cluster.harness_db)
    beside = {session_id for session_id, session in sessions.items()
              if session.worked and session_id not in now}
    if not beside <= lost:
        breaches.append(f"sessions {beside - lost} worked for nobody")
    twice = {task["task_id"] for task in before
             if sessions_of([task]) & beside}
    if not twice or len(beside) != len(twice):
        breaches.append(f"{len(beside)} sessions of {len(twice)} tasks were "
                        "paid beside the restored queue")
    ours = {session_id: session for session_id, session in sessions.items()
            if session_id not in lost}
    breaches += [breach for breach in checker.check(
        ours, tasks, [task["name"] for task in tasks])
        # Created in the original's last moment, and never recorded.
        if "is unknown" not in breach]
    if breaches:
        raise mw.Failure("\n".join(breaches[:20]))
    print(f"backup_test: {len(kept)} sessions of the backup kept and paid once,"
          f" {len(beside)} of later ones paid beside them", flush=True)


def main():
    with mw.scratch_folder("backup") as folder:
        run(sys.argv[1], folder)


if __name__ == "__main__":
    main()
