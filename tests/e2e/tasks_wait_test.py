#!/usr/bin/env python3
"""Of two budgets over the same tasks, the one that has no room for the next is
the one that says so, and the other does not.

  tasks_wait_test.py MIDWATCH
"""

import json
import sys

import cluster as mw

TASKS = 4
# Two tasks fit into the queue's budget at once, a thousand into the tenant's.
MAX_COST = "0.10"
LIMITS = {"tenant": "100", "queue": "0.25"}


def budgets(cluster):
    return {budget["scope"]: budget for budget in mw.json_lines(
        cluster.midwatch("--output", "json", "budget", "list"))}


def run(cluster, folder):
    cluster.start_all()
    for scope, limit in LIMITS.items():
        cluster.midwatch("budget", "set", limit, f"--{scope}", "default")
    mw.write_batch(folder / "batch.json", "waits",
                   {f"t{number}": ["sleep 60"] for number in range(TASKS)},
                   max_cost=MAX_COST)
    cluster.midwatch("submit", folder / "batch.json")
    found = mw.wait_until(
        lambda: (now := budgets(cluster))["queue"]["tasks_wait"] and now, 30,
        "the queue's budget to hold tasks back")
    if found["tenant"]["tasks_wait"]:
        raise mw.Failure(f"nothing waits for this: {json.dumps(found['tenant'])}")
    print("tasks_wait_test: the queue's budget alone holds tasks back",
          flush=True)


def main():
    with mw.scratch_folder("tasks-wait") as folder:
        cluster = mw.Cluster(sys.argv[1], folder, workers=1)
        try:
            run(cluster, folder)
        finally:
            cluster.stop_all()


if __name__ == "__main__":
    main()
