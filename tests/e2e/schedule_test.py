#!/usr/bin/env python3
"""A schedule fires by the real clock, and each firing is one whole batch though
the scheduler is killed in the middle of it.

  schedule_test.py MIDWATCH
"""

import concurrent.futures
import json
import re
import signal
import sys
import time

import cluster as mw

TASKS = 5
# Steps of a submission that are durable when the scheduler dies: open, lines,
# seal.
STRIKES = ("scheduler.firing.after:1", "scheduler.submit.after:1",
           "scheduler.submit.after:2", "scheduler.submit.after:3")
FIRES_SECONDS = 90  # a minute, and a slow machine's


def batches(cluster):
    return mw.json_lines(cluster.midwatch("--output", "json", "batch", "list"))


def schedule(cluster, name):
    return json.loads(cluster.midwatch("--output", "json", "schedule", "get",
                                       name))


def check_whole(batch):
    if (batch["state"], batch["counts"]["queued"]) != ("sealed", TASKS):
        raise mw.Failure(f"not one whole batch: {batch}")


def run_struck(cluster, pool, strike):
    """`schedule run`, while the scheduler dies of it; the batch's id."""
    scheduler = cluster["scheduler"]
    scheduler.kill()
    cluster.start("scheduler", {"MIDWATCH_FAULT": strike})
    running = pool.submit(cluster.midwatch, "schedule", "run", "by-hand")
    mw.wait_until(lambda: scheduler.exit_code() == -signal.SIGKILL, 60,
                  f"a death at {strike}")
    cluster.start("scheduler")
    return running.result().strip()


def run(binary, folder):
    cluster = mw.Cluster(binary, folder, workers=0)
    batch_file = folder / "batch.json"
    mw.write_batch(batch_file, "work", {f"t{n}": ["true"]
                                        for n in range(TASKS)})
    pool = concurrent.futures.ThreadPoolExecutor(1)
    try:
        cluster.start("scheduler")
        # It waits for its minute beside all that follows.
        cluster.midwatch("schedule", "create", batch_file, "--name", "minutely",
                         "--cron", "* * * * *", "--zone", "Asia/Kolkata")
        made_at = time.time()
        cluster.midwatch("schedule", "create", batch_file, "--name", "by-hand",
                         "--cron", "0 0 29 2 *")
        ids = []
        for strike in STRIKES:
            ids.append(run_struck(cluster, pool, strike))
            print(f"struck at {strike}", flush=True)
        by_hand = [batch for batch in batches(cluster)
                   if batch["name"].startswith("by-hand-run-")]
        if sorted(batch["batch_id"] for batch in by_hand) != sorted(ids):
            raise mw.Failure(f"{ids} were fired, and there are {by_hand}")
        for batch in by_hand:
            check_whole(batch)

        def fired():
            return [firing for firing in schedule(cluster, "minutely")["firings"]
                    if firing["state"] == "fired"]

        first = mw.wait_until(fired, FIRES_SECONDS, "the minute")[-1]
        waited = time.time() - made_at
        if not re.fullmatch(r"minutely-\d{4}-\d\d-\d\dT\d\d:\d\d",
                            first["batch_name"]):
            raise mw.Failure(f"an odd name: {first}")
        minutely = [batch for batch in batches(cluster)
                    if batch["name"].startswith("minutely-")]
        # Nobody works, so the second minute is passed over.
        if [batch["batch_id"] for batch in minutely] != [first["batch_id"]]:
            raise mw.Failure(f"{first} fired, and there are {minutely}")
        check_whole(minutely[0])
    finally:
        cluster.stop_all()
        pool.shutdown(wait=False)
    print(f"schedule_test: {len(ids)} batches through {len(STRIKES)} deaths, "
          f"and one by the clock within {waited:.0f} s", flush=True)


def main():
    with mw.scratch_folder("schedule") as folder:
        run(sys.argv[1], folder)


if __name__ == "__main__":
    main()
