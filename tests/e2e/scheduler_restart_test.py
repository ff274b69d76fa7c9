#!/usr/bin/env python3
"""A scheduler that dies and comes back costs its workers nothing: they keep
their leases, go on with what they run, and are granted more.

  scheduler_restart_test.py MIDWATCH
"""

import sys

import cluster as mw

TASKS = 4
# Together longer than a worker goes without renewing its term: all of them have
# to make themselves known to the new scheduler.
STEPS = ["sleep 5"] * 3
FINISH_SECONDS = 120


def main():
    output = "echo done > /mnt/session/outputs/out.txt"
    prompts = {f"t{number}": [*STEPS, output] for number in range(TASKS)}
    with mw.scratch_folder("restart") as folder:
        mw.write_batch(folder / "first.json", "first", prompts)
        mw.write_batch(folder / "second.json", "second",
                       {"later": [output]})
        cluster = mw.Cluster(sys.argv[1], folder, workers=2, jobs=3)
        try:
            cluster.start_all()
            first = cluster.midwatch("submit", folder / "first.json").strip()
            mw.wait_until(lambda: cluster.sessions_running() == TASKS, 60,
                          "all tasks to run")
            cluster["scheduler"].kill()
            cluster.start("scheduler")
            second = cluster.midwatch("submit", folder / "second.json").strip()
            cluster.finish(second, FINISH_SECONDS)
            cluster.finish(first, FINISH_SECONDS)
            tasks = [mw.json.loads(line) for batch in (first, second)
                     for line in
                     cluster.midwatch("export", batch).splitlines()]
        finally:
            cluster.stop_all()
        for task in tasks:
            if (task["state"], task["attempts"]) != ("succeeded", 1):
                raise mw.Failure(f"task {task['name']} is {task['state']} "
                                 f"after {task['attempts']} attempts")
        freed = cluster["scheduler"].said(" lease freed ")
        if freed or cluster.adoptions() > 0:
            raise mw.Failure("a worker that lives lost its leases: "
                             f"{freed}, {cluster.adoptions()} adoptions")


if __name__ == "__main__":
    main()
