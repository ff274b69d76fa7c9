#!/usr/bin/env python3
"""A batch of 200 tasks, in the middle of which every process is killed, several
times, at random moments: each task succeeds, and nothing is paid for twice.

  crash_test.py MIDWATCH [SEED]

The seed (also MIDWATCH_SEED) fixes the tasks and the plan of kills; what is
under way at each moment is up to the machine.
"""

import os
import random
import sys
import time

import cluster as mw
import killer

TASKS = 200
KILLS_EACH = 5
KILLS_EACH_MIN = 3
KILL_EVERY = (0.3, 2.0)  # seconds
BACK_AFTER = (0, 2.0)
DONE_SECONDS = 480


def make_prompts(rng):
    """Two to four steps of 0.05 to 0.6 s; the last leaves the output."""
    prompts = {}
    for number in range(TASKS):
        blocks = [f"sleep {rng.uniform(0.05, 0.6):.2f}; echo step {step}"
                  for step in range(rng.randrange(1, 4))]
        blocks.append(f"sleep {rng.uniform(0.05, 0.6):.2f}\n"
                      f"echo task {number} > /mnt/session/outputs/out.txt")
        prompts[f"t{number:03}"] = blocks
    return prompts


def run(binary, seed, folder):
    rng = random.Random(seed)
    prompts = make_prompts(rng)
    batch_file = folder / "batch.json"
    mw.write_batch(batch_file, "crash", prompts)
    cluster = mw.Cluster(binary, folder)
    try:
        cluster.start_all()
        batch_id = cluster.midwatch("submit", batch_file).strip()
        began = time.monotonic()
        killer.kill_each(cluster, rng, KILLS_EACH, KILL_EVERY, BACK_AFTER)
        batch = cluster.finish(batch_id, DONE_SECONDS)
        took = time.monotonic() - began
        tasks = cluster.check([batch_id], prompts)
    finally:
        cluster.stop_all()

    kills = {name: process.kills
             for name, process in cluster.processes.items()}
    adoptions = cluster.adoptions()
    attempts = sum(task["attempts"] for task in tasks)
    print(f"crash_test: seed={seed} took={took:.0f}s kills={kills} "
          f"adoptions={adoptions} attempts={attempts} "
          f"counts={batch['counts']}", flush=True)
    # What the service or we ourselves broke is not the task's failure.
    for task in tasks:
        if task["state"] != "succeeded" or task["failures"] != 0:
            raise mw.Failure(f"task {task['name']} is {task['state']} with "
                             f"{task['failures']} failures: {task['reason']}")
        if [output["path"] for output in task["outputs"]] != ["out.txt"]:
            raise mw.Failure(f"task {task['name']} left {task['outputs']}")
    if min(kills.values()) < KILLS_EACH_MIN or adoptions < 1:
        raise mw.Failure("too little happened for this to prove anything")


def main():
    binary = sys.argv[1]
    seed = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("MIDWATCH_SEED")
    seed = int(seed) if seed else random.SystemRandom().randrange(2**32)
    print(f"crash_test: seed={seed}", flush=True)
    with mw.scratch_folder("crash") as folder:
        run(binary, seed, folder)


if __name__ == "__main__":
    main()
