#!/usr/bin/env python3
"""Budgets on tenant, queue and batch, sessions that overshoot theirs, and a
scheduler and workers that are killed: no admission over a limit, and a journal
that is the harness's own sum.

  budget_test.py MIDWATCH
"""

import json
import random
import sys
import time

import cluster as mw
import ledger

TASKS = 40
KILLS = 5
# One task in five makes three requests of 4 cents against a max_cost of 10.
OVERSHOOT_EVERY = 5
OVERSHOOT_MICROS = 20_000
MAX_COST = 100_000
LIMITS = {"tenant": 2_200_000, "queue": 2_150_000, "batch": 2_100_000}
DONE_SECONDS = 240


def dollars(micros):
    return f"{micros / 1e6:.6f}"


def write_batch(path):
    prompts = {}
    for number in range(TASKS):
        prompts[f"t{number:03}"] = [
            f"sleep 0.{number % 7}; echo {number}",
            f"echo {number} > /mnt/session/outputs/out.txt"]
    mw.write_batch(path, "budgets", prompts, max_cost=dollars(MAX_COST))
    batch = json.loads(path.read_text())
    batch["budget"] = dollars(LIMITS["batch"])
    for number, task in enumerate(batch["tasks"]):
        if number % OVERSHOOT_EVERY == 0:
            task["parameters"]["blocks"] = (
                "runbook: cents-per-request 4\n" + task["parameters"]["blocks"])
    path.write_text(json.dumps(batch))
    return prompts


def kill_some(cluster, rng):
    for number in range(KILLS):
        name = ("scheduler", "worker-1", "worker-2")[number % 3]
        mw.wait_until(lambda: cluster.sessions_running() > 0, 60,
                      "work under way")
        time.sleep(rng.uniform(0.1, 0.6))  # when, not whether
        cluster[name].kill()
        time.sleep(rng.uniform(0, 0.5))
        cluster.start(name)
        cluster.look_after()


def check_money(cluster, tasks):
    books = ledger.check(cluster, MAX_COST, tasks)
    if books.limits != {scope: [limit] for scope, limit in LIMITS.items()}:
        raise mw.Failure(f"the journal has limits {books.limits}")
    # Nobody foresees the first; later ones are set aside as far as there is
    # room, and then are none.
    most = OVERSHOOT_MICROS * len(range(0, TASKS, OVERSHOOT_EVERY))
    if not OVERSHOOT_MICROS <= books.overshoot <= most:
        raise mw.Failure(f"{books.overshoot} overshot")
    if not any(books.full.values()):
        raise mw.Failure("no budget bound, so this proves nothing")


def run(binary, folder):
    rng = random.Random(7)
    batch_file = folder / "batch.json"
    prompts = write_batch(batch_file)
    cluster = mw.Cluster(binary, folder)
    try:
        cluster.start_all()
        cluster.midwatch("budget", "set", dollars(LIMITS["tenant"]),
                         "--tenant", "default")
        cluster.midwatch("budget", "set", dollars(LIMITS["queue"]),
                         "--queue", "default")
        batch_id = cluster.midwatch("submit", batch_file).strip()
        kill_some(cluster, rng)
        cluster.finish(batch_id, DONE_SECONDS)
        tasks = cluster.check([batch_id], prompts)
        states = {task["state"] for task in tasks}
        if states != {"succeeded"}:
            raise mw.Failure(f"tasks ended {states}")
        check_money(cluster, tasks)
    finally:
        cluster.stop_all()


def main():
    with mw.scratch_folder("budget") as folder:
        run(sys.argv[1], folder)


if __name__ == "__main__":
    main()
