#!/usr/bin/env python3
"""A queue, a batch and caps in a person's hands while real processes run: a
pause that outlives the scheduler and ends at its time, one that ends when it is
resumed, and caps that are lowered and raised under what runs.

  control_test.py MIDWATCH
"""

import json
import subprocess
import sys
import time

import cluster as mw

TASKS = 24
PAUSE_SECONDS = 8
SLEEP = 1
DONE_SECONDS = 120
PAUSED = 3  # the exit code


def submit(cluster, folder, name):
    batch_file = folder / f"{name}.json"
    prompts = {f"{name}-{number}": [
        f"sleep {SLEEP}; echo {number} > /mnt/session/outputs/out.txt"]
        for number in range(TASKS)}
    mw.write_batch(batch_file, name, prompts)
    return cluster.midwatch("submit", batch_file).strip(), prompts


def command(cluster, *arguments):
    return json.loads(cluster.midwatch("--output", "json", *arguments))


def sessions(cluster):
    return mw.read_harness(cluster.harness_db,
                           "SELECT count(*) FROM session")[0][0]


def pause_outlives_the_scheduler(cluster, folder):
    """Nothing starts before the pause is over, whoever dies, and then all does
    by itself."""
    began = time.time()
    cluster.midwatch("queue", "pause", "default", "--reason", "moving",
                     "--until", f"{PAUSE_SECONDS}s")
    batch_id, prompts = submit(cluster, folder, "for-a-while")
    cluster["scheduler"].kill()
    cluster.start("scheduler")
    batch = cluster.batch(batch_id)
    if batch["queue_pause"]["reason"] != "moving":
        raise mw.Failure(f"another scheduler says {batch['queue_pause']}")
    mw.wait_until(lambda: cluster.batch(batch_id)["counts"]["running"], 60,
                  "the pause to end")
    waited = time.time() - began
    if waited < PAUSE_SECONDS - 0.5:
        raise mw.Failure(f"paused for {PAUSE_SECONDS} s, started after "
                         f"{waited:.1f} s")
    cluster.finish(batch_id, DONE_SECONDS)
    print(f"control_test: paused for {PAUSE_SECONDS} s, on again after "
          f"{waited:.1f} s", flush=True)
    return batch_id, prompts


def pause_in_the_middle(cluster, folder):
    """What runs goes on; whoever watches is told; the rest comes later."""
    batch_id, prompts = submit(cluster, folder, "in-the-middle")
    mw.wait_until(lambda: cluster.batch(batch_id)["counts"]["running"] >= 4,
                  60, "tasks to run")
    paused = command(cluster, "batch", "pause", batch_id)
    if paused["pause"] is None:
        raise mw.Failure(f"paused, and {paused}")
    watch = subprocess.run(
        [str(cluster.binary), "--server", cluster.server, "--state-dir",
         str(cluster.folder / "client"), "batch", "watch", batch_id],
        capture_output=True, text=True, timeout=60)
    if watch.returncode != PAUSED or "batch is paused" not in watch.stdout:
        raise mw.Failure(f"`batch watch` ended {watch.returncode}: "
                         f"{watch.stdout}{watch.stderr}")
    counts = cluster.batch(batch_id)["counts"]
    if counts["running"] or counts["failed"] or not counts["queued"]:
        raise mw.Failure(f"paused in the middle, and {counts}")
    before = sessions(cluster)
    # A new worker finds nothing to do either.
    cluster["worker-1"].kill()
    cluster.start("worker-1")
    time.sleep(2 * SLEEP)
    if sessions(cluster) != before:
        raise mw.Failure("a session began in a paused batch")
    cluster.midwatch("batch", "resume", batch_id)
    cluster.finish(batch_id, DONE_SECONDS)
    print(f"control_test: paused with {counts['succeeded']} of {TASKS} done",
          flush=True)
    return batch_id, prompts


def caps_change(cluster, folder):
    """Down below what runs, and up again."""
    batch_id, prompts = submit(cluster, folder, "capped")

    def running():
        return cluster.batch(batch_id)["counts"]["running"]

    mw.wait_until(lambda: running() >= 6, 60, "tasks to run")
    cluster.midwatch("queue", "set", "default", "--max-running", "2")
    mw.wait_until(lambda: running() <= 2, 60, "so many to have ended")
    most = 0
    until = time.monotonic() + 3 * SLEEP
    while time.monotonic() < until:
        most = max(most, running())
    if most > 2:
        raise mw.Failure(f"{most} ran under a cap of 2")
    if cluster.batch(batch_id)["full_cap"] != "queue":
        raise mw.Failure(f"its queue is full: {cluster.batch(batch_id)}")
    cluster.midwatch("queue", "set", "default", "--max-running", "0")
    cluster.finish(batch_id, DONE_SECONDS)
    print(f"control_test: at most {most} ran under a cap of 2", flush=True)
    return batch_id, prompts


def main():
    with mw.scratch_folder("control") as folder:
        cluster = mw.Cluster(sys.argv[1], folder)
        try:
            cluster.start_all()
            batch_ids, prompts = [], {}
            for case in (pause_outlives_the_scheduler, pause_in_the_middle,
                         caps_change):
                batch_id, of_batch = case(cluster, folder)
                batch_ids.append(batch_id)
                prompts.update(of_batch)
            for task in cluster.check(batch_ids, prompts):
                if task["state"] != "succeeded" or task["attempts"] != 1:
                    raise mw.Failure(f"held back, and it ended so: {task}")
        finally:
            cluster.stop_all()


if __name__ == "__main__":
    main()
