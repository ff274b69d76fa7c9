#!/usr/bin/env python3
"""A copy of the database does not start, and so ends nothing and pays for
nothing twice; a database that was moved goes on once it is told so.

  copy_test.py MIDWATCH
"""

import shutil
import subprocess
import sys

import cluster as mw

TASKS = 8
EXIT_BAD_INPUT = 2


def start_copy(cluster, folder, *options):
    """A scheduler on a copied state directory, which ought not to serve."""
    command = [cluster.binary, "scheduler", "--state-dir", folder, "--listen",
               f"127.0.0.1:{mw.free_port()}", *options]
    return subprocess.run([str(part) for part in command], capture_output=True,
                          text=True, timeout=30, check=False)


def run(binary, folder):
    cluster = mw.Cluster(binary, folder, workers=1, jobs=4)
    prompts = {f"t{n}": ["sleep 2\necho done > /mnt/session/outputs/out.txt"]
               for n in range(TASKS)}
    batch_file = folder / "batch.json"
    mw.write_batch(batch_file, "copy", prompts)
    try:
        cluster.start_all()
        batch_id = cluster.midwatch("submit", batch_file).strip()
        mw.wait_until(lambda: cluster.sessions_running() >= 2, 60,
                      "tasks to run")

        # In the middle of it, as a careless backup does.
        copy = folder / "copy"
        shutil.copytree(folder / "scheduler", copy,
                        ignore=shutil.ignore_patterns("*.sock"))
        refused = start_copy(cluster, copy)
        if refused.returncode != EXIT_BAD_INPUT or "--moved" not in refused.stderr:
            raise mw.Failure(f"the copy was not refused: exit code "
                             f"{refused.returncode}, {refused.stderr}")
        print(refused.stderr.strip(), flush=True)
        if cluster.batch(batch_id)["state"] == "done":
            raise mw.Failure("done before the copy was tried")

        # Moved for good: the original is gone, and the copy is told so.
        for name in ("worker-1", "scheduler"):
            cluster[name].kill()
        moved = folder / "moved"
        shutil.copytree(folder / "scheduler", moved,
                        ignore=shutil.ignore_patterns("*.sock"))
        shutil.rmtree(folder / "scheduler")
        shutil.copytree(moved, folder / "scheduler")
        if start_copy(cluster, folder / "scheduler").returncode != EXIT_BAD_INPUT:
            raise mw.Failure("what was moved started without a word")
        cluster["scheduler"].start_with("--moved")
        mw.wait_until(cluster["scheduler"].is_ready, 60, "the scheduler")
        cluster["scheduler"].kill()
        cluster.start("scheduler")  # once was enough
        cluster.start("worker-1")
        cluster.finish(batch_id, 120)
        tasks = cluster.check([batch_id], prompts)
        adoptions = cluster.adoptions()
    finally:
        cluster.stop_all()
    if any(task["state"] != "succeeded" or task["attempts"] != 1
           for task in tasks) or adoptions < 1:
        raise mw.Failure("the tasks did not end in the sessions they had")
    print(f"copy_test: {TASKS} tasks, {adoptions} adopted after the move",
          flush=True)


def main():
    with mw.scratch_folder("copy") as folder:
        run(sys.argv[1], folder)


if __name__ == "__main__":
    main()
