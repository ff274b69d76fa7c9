#!/usr/bin/env python3
"""The scheduler is killed twice in the middle of a batch's deletion, which goes
on by itself, and the command that asked for it ends well. Then a scheduler that
keeps no batch and no task deletes those that ran; their money stays in the
journal and in the budget.

  delete_test.py MIDWATCH
"""

import json
import subprocess
import sys

import cluster as mw

TASKS = 4000
EXIT_BAD_INPUT = 2


def count(cluster, rows):
    return mw.read_harness(cluster.folder / "scheduler" / "queue.db",
                           f"SELECT count(*) FROM {rows}")[0][0]


def rows_left(cluster):
    """Tasks of the batch that is being deleted."""
    return count(cluster, "task t JOIN batch b ON b.id = t.batch "
                 "WHERE b.deleted_at IS NOT NULL")


def client(cluster, *arguments):
    command = [cluster.binary, "--server", cluster.server, "--state-dir",
               cluster.folder / "client", *arguments]
    return subprocess.Popen([str(part) for part in command],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def refused(cluster, code, words, *arguments):
    process = client(cluster, *arguments)
    _, err = process.communicate(timeout=60)
    if process.returncode != code or words not in err:
        raise mw.Failure(f"{arguments}: {process.returncode}, {err}")


def run(binary, folder):
    cluster = mw.Cluster(binary, folder, workers=1)
    cluster.start_all()
    try:
        play(cluster)
    finally:
        cluster.stop_all()


def submit(cluster, name, prompts):
    file = cluster.folder / f"{name}.json"
    mw.write_batch(file, name, prompts)
    return cluster.midwatch("submit", file, seconds=300).strip()


def charged(cluster, *options):
    return sum(entry["charged_usd_micros"]
               for entry in cluster.journal("--all", *options))


def play(cluster):
    out = "/mnt/session/outputs/out.txt"
    cluster.midwatch("budget", "set", "$100", "--tenant", "default")
    ran = submit(cluster, "ran", {"one": [f"echo hi > {out}"],
                                  "two": [f"echo ho > {out}"]})
    cluster.finish(ran, 120)
    # A task of no batch.
    tasks = mw.json_lines(cluster.midwatch("--output", "json", "task", "list",
                                           "--batch", ran))
    again = cluster.midwatch("task", "retry", tasks[0]["task_id"]).strip()
    mw.wait_until(lambda: count(cluster, "task WHERE batch = 0 AND state = 6"),
                  120, "the retry")
    spent = charged(cluster)
    if spent <= 0:
        raise mw.Failure("what ran cost nothing")

    # Many tasks that never ran.
    cluster.midwatch("queue", "pause", "default")
    many = submit(cluster, "many", {f"t{i}": ["true"] for i in range(TASKS)})
    refused(cluster, EXIT_BAD_INPUT, "--yes", "batch", "delete", many)
    refused(cluster, EXIT_BAD_INPUT, "no batch's id", "batch", "delete",
            "--yes", "many")
    refused(cluster, EXIT_BAD_INPUT, "cancel it first", "batch", "delete", "--yes",
            many)
    cluster.midwatch("batch", "cancel", many)
    cluster.finish(many, 60)

    command = client(cluster, "batch", "delete", "--yes", "--reason", "tidying",
                     many)
    for _ in range(2):
        before = rows_left(cluster)
        mw.wait_until(lambda: 0 < rows_left(cluster) < (before or TASKS),
                      60, "some of it to be gone")
        cluster["scheduler"].kill()
        left = rows_left(cluster)
        if not 0 < left < TASKS:
            raise mw.Failure(f"killed too early or too late: {left} left")
        cluster.start("scheduler")
        listed = mw.json_lines(cluster.midwatch("--output", "json", "batch",
                                                "list"))
        if [batch["batch_id"] for batch in listed] != [ran]:
            raise mw.Failure(f"listed: {listed}")
    output, err = command.communicate(timeout=120)
    if command.returncode != 0 or f"{TASKS} tasks" not in output:
        raise mw.Failure(f"{command.returncode}: {output}{err}")
    mw.wait_until(lambda: rows_left(cluster) == 0, 60, "its end")
    refused(cluster, EXIT_BAD_INPUT, "deleted", "batch", "delete", "--yes", many)
    refused(cluster, EXIT_BAD_INPUT, "deleted", "batch", "get", many)
    kinds = [entry["kind"] for entry in
             cluster.journal("--all", "--batch", many)]
    if kinds != ["batch_done", "batch_deleted"]:
        raise mw.Failure(f"its journal: {kinds}")

    # What is not archived has to stay.
    mw.wait_until(lambda: count(cluster, "errand") == 0, 120, "archives")
    cluster["scheduler"].stop()
    cluster["scheduler"].start_with("--keep-batches-count", "0",
                                    "--keep-tasks-count", "0")
    mw.wait_until(lambda: cluster["scheduler"].is_ready(), 30, "scheduler")
    mw.wait_until(lambda: count(cluster, "task") == 0, 60,
                  "the other batch and the task to be deleted by themselves")
    refused(cluster, EXIT_BAD_INPUT, "no such task", "task", "get", again)
    kinds = [entry["kind"] for entry in cluster.journal("--all")]
    if kinds.count("tasks_deleted") < 2 or "granted" in kinds:
        raise mw.Failure(f"the journal: {kinds}")
    if charged(cluster) != spent:
        raise mw.Failure(f"{charged(cluster)} charged, not {spent}")
    budget = mw.json_lines(cluster.midwatch("--output", "json", "budget",
                                            "list"))[0]
    if budget["charged_usd_micros"] != spent:
        raise mw.Failure(f"{budget}, not {spent}")
    if cluster.midwatch("task", "list", "--output", "json").strip():
        raise mw.Failure("tasks are left")
    backup = json.loads(cluster.midwatch(
        "--output", "json", "backup", cluster.folder / "backup"))
    if (backup["batches"], backup["tasks"]) != (0, 0):
        raise mw.Failure(f"{backup}")
    print(f"delete_test: {TASKS} tasks deleted with two kills, {spent} "
          "micro-dollars where they were", flush=True)


def main():
    with mw.scratch_folder("delete") as folder:
        run(sys.argv[1], folder)


if __name__ == "__main__":
    main()
