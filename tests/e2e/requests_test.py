#!/usr/bin/env python3
"""What a task costs in requests to the service, by class: no more than what
rates are planned with, and what a night's length is estimated by.

  requests_test.py MIDWATCH
"""

import json
import sys

import cluster as mw

TASKS = 24
DONE_SECONDS = 120
# Of a short task, whose stream is never cut. One new input and one output, and
# without files.
WITH_FILES = {"create": 1, "write": 2, "read": 2, "files": 4}
WITHOUT_FILES = {"create": 1, "write": 2, "read": 2, "files": 2}
# Made once for an account, whatever the number of tasks.
ONCE = ("POST /v1/agents", "POST /v1/environments")


def totals(stats):
    return {name: {route: count for route, count in routes.items()
                   if route not in ONCE}
            for name, routes in stats["requests"].items()}


def minus(after, before):
    return {name: {route: count - before[name].get(route, 0)
                   for route, count in routes.items()
                   if count != before[name].get(route, 0)}
            for name, routes in after.items()}


def write_batch(folder, name, with_files):
    prompts = {f"t{number:03}": [f"echo {number}"] for number in range(TASKS)}
    defaults = {} if with_files else {"expect": {}}
    path = folder / f"{name}.json"
    if with_files:
        for task, blocks in prompts.items():
            (folder / f"{task}.txt").write_text(f"input of {task}\n")
            blocks[0] = ("cat /mnt/session/uploads/in.txt"
                         " > /mnt/session/outputs/out.txt")
    mw.write_batch(path, name, prompts, **defaults)
    batch = json.loads(path.read_text())
    if with_files:
        for task in batch["tasks"]:
            task["inputs"] = [{"path": f"{task['name']}.txt",
                               "mount": "in.txt"}]
    path.write_text(json.dumps(batch))
    return path


def measure(cluster, folder, name, with_files, bounds):
    """Runs a batch; requests by class and route, of all its tasks."""
    batch_file = write_batch(folder, name, with_files)
    before = totals(cluster.harness_stats())
    batch_id = cluster.midwatch("submit", batch_file).strip()
    batch = cluster.finish(batch_id, DONE_SECONDS)
    if batch["counts"]["succeeded"] != TASKS:
        raise mw.Failure(f"{name}: {batch['counts']}")

    def archived():
        routes = minus(totals(cluster.harness_stats()), before)["write"]
        return routes.get("POST /v1/sessions/{}/archive", 0) >= TASKS

    mw.wait_until(archived, 60, "all sessions to be archived")
    seen = minus(totals(cluster.harness_stats()), before)
    for kind, routes in seen.items():
        each = sum(routes.values()) / TASKS
        print(f"requests_test: {name}: {kind} {each:.2f} a task, at most "
              f"{bounds[kind]}: "
              + ", ".join(f"{route} {count / TASKS:.2f}"
                          for route, count in sorted(routes.items())),
              flush=True)
    return [f"{name}: {sum(routes.values()) / TASKS:.2f} {kind} requests a "
            f"task, more than {bounds[kind]}"
            for kind, routes in seen.items()
            if sum(routes.values()) > bounds[kind] * TASKS]


def run(binary, folder):
    cluster = mw.Cluster(binary, folder, workers=1, jobs=8)
    try:
        cluster.start_all()
        breaches = measure(cluster, folder, "without_files", False,
                           WITHOUT_FILES)
        breaches += measure(cluster, folder, "with_files", True, WITH_FILES)
    finally:
        cluster.stop_all()
    if breaches:
        raise mw.Failure("; ".join(breaches))


def main():
    with mw.scratch_folder("requests") as folder:
        run(sys.argv[1], folder)


if __name__ == "__main__":
    main()
