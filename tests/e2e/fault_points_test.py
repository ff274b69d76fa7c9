#!/usr/bin/env python3
"""Kills the process at each named fault point (base/fault_points.cc) in turn,
starts it again, and lets the checker judge what the batch came to.

  fault_points_test.py MIDWATCH [NAME:COUNT ...]
"""

import concurrent.futures
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

import cluster as mw

FAULT_POINTS = (pathlib.Path(__file__).resolve().parents[2] / "base" /
                "fault_points.cc")
TASKS = 8
COUNT = 3
# Points that are passed often are also struck late, amid the batch.
LATE_COUNT = 45
OFTEN = ("store.", "harness.")
AT_ONCE = 6  # clusters; most of a case's time is waiting for a term to lapse
STRIKE_SECONDS = 120
DONE_SECONDS = 240

OWNERS = {"store": "scheduler", "worker": "worker-1", "harness": "harness"}


def all_cases():
    names = re.findall(r'^    "([a-z.]+)",', FAULT_POINTS.read_text(),
                       re.MULTILINE)
    if not names:
        raise mw.Failure(f"{FAULT_POINTS} names no fault point")
    return ([f"{name}:{COUNT}" for name in names] +
            [f"{name}:{LATE_COUNT}" for name in names
             if name.startswith(OFTEN)])


def submit(cluster, batch_file):
    """Submits from beside the test, and again where the scheduler went away: a
    batch that was begun is continued."""
    while True:
        try:
            return cluster.midwatch("submit", batch_file).strip()
        except mw.Failure as failure:
            if f"exit code {mw.EXIT_UNREACHABLE}" not in str(failure):
                raise


def strike(cluster, victim, fault):
    """Starts all but the second worker, and waits for the victim's death."""
    for name in cluster.processes:
        if name != "worker-2":
            cluster.start(name,
                          {"MIDWATCH_FAULT": fault} if name == victim else {})

    def died():
        cluster.look_after(down={"worker-2", victim})
        code = cluster[victim].exit_code()
        if code not in (None, -signal.SIGKILL):
            raise mw.Failure(f"{victim} ended with {code}")
        return code is not None

    mw.wait_until(died, STRIKE_SECONDS, f"{victim} to die at {fault}")


def expect_traces(cluster, point, tasks):
    """What must be seen of a death at this very point."""
    sessions = {row[0] for row in mw.read_harness(
        cluster.harness_db, "SELECT id FROM session")}
    recorded = {attempt["session_id"] for task in tasks
                for attempt in task["attempt_list"]}
    if point in ("worker.create.after", "worker.record.after"):
        # Created, and never sent to.
        if not sessions - recorded:
            raise mw.Failure("no session was given up")
    if point in ("worker.record.after", "worker.send.after",
                 "worker.outputs.after"):
        if cluster.adoptions() == 0:
            raise mw.Failure("no session was adopted")


def run_case(binary, fault):
    point = fault.split(":")[0]
    victim = OWNERS[point.split(".")[0]]
    rng = random.Random(fault)
    prompts = {
        f"t{number}": [f"sleep {rng.uniform(0.05, 0.4):.2f}",
                       f"echo {number} > /mnt/session/outputs/out.txt"]
        for number in range(TASKS)}
    began = time.monotonic()
    with mw.scratch_folder(fault) as folder:
        batch_file = folder / "batch.json"
        mw.write_batch(batch_file, "faults", prompts)
        cluster = mw.Cluster(binary, folder, workers=2, jobs=3)
        try:
            with concurrent.futures.ThreadPoolExecutor(1) as beside:
                submitting = beside.submit(submit, cluster, batch_file)
                strike(cluster, victim, fault)
                cluster[victim].start()
                cluster["worker-2"].start()
                batch_id = submitting.result()
            cluster.finish(batch_id, DONE_SECONDS)
            tasks = cluster.check([batch_id], prompts)
            for task in tasks:
                if task["state"] != "succeeded" or task["failures"] != 0:
                    raise mw.Failure(f"task {task['name']} is {task['state']}: "
                                     f"{task['reason']}")
            expect_traces(cluster, point, tasks)
        finally:
            cluster.stop_all()
    return time.monotonic() - began


def main():
    binary = sys.argv[1]
    cases = sys.argv[2:] or all_cases()
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(run_case, binary, fault): fault
                   for fault in cases}
        for done in concurrent.futures.as_completed(running):
            fault = running[done]
            try:
                print(f"fault_points_test: {fault}: OK, "
                      f"{done.result():.0f} s", flush=True)
            except (mw.Failure, subprocess.SubprocessError, OSError) as error:
                failed += 1
                print(f"fault_points_test: {fault}: {error}", flush=True)
    print(f"fault_points_test: {len(cases)} cases, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
