#!/usr/bin/env python3
"""A night in which all goes wrong at once: the service limits rates, answers
429, 529 and 500, loses answers, cuts, slows and doubles streams, hides new
sessions from lists and overshoots budgets, two budgets run out and are raised,
and every process is killed again and again. No attempt is charged twice,
nothing is admitted over a budget, and the journal is the harness's own sum.

  bad_night_test.py MIDWATCH [SEED]

The seed (also MIDWATCH_SEED) fixes the tasks, the faults and the plan of kills.
"""

import collections
import contextlib
import json
import os
import random
import sys
import time

import cluster as mw
import killer
import ledger

TASKS = 300
KILLS_EACH = 4
KILL_EVERY = (1.5, 4.0)  # seconds
BACK_AFTER = (0.1, 1.5)
ADOPTIONS_MIN = 20
DONE_SECONDS = 300
LOOK_EVERY = 0.5  # seconds, between two looks at budgets and faults
# Nobody told the workers: they run into these, and come back as they are told.
LIMITS = "create=1500,read=3000,files=2400,burst=15"
# A 429 without a time to come back reads as a spend cap: the account rests for
# an hour, unless somebody opens it (Watch).
FAULTS = ("429-bare=0.002,429=0.02,529=0.02,500=0.02,lost=0.03,late-list=30s,cut=8s,slow=0.1,"
          "double=0.1,overshoot=0.2")
# How often each must have come to pass, else the night was not bad enough.
FAULTS_MIN = {"429-bare": 1, "429": 15, "529": 10, "500": 10, "lost": 15, "cut": 15,
              "slow": 10, "double": 50, "overshoot": 20, "late-list": 1,
              "over_limit": 1}
MAX_COST = 100_000
# All cost $15 in the mean, with a deviation of 50 cents. The queue, and later
# the tenant, have no room for the next task before that, and are raised. The
# batch has enough, but for a time not for what dead workers still hold.
BUDGETS = {"tenant": 10_000_000, "queue": 5_000_000, "batch": 18_500_000}
RAISED = {"tenant": [19_000_000], "queue": [19_500_000]}


def dollars(micros):
    return f"{micros / 1e6:.6f}"


def write_batch(path, rng):
    prompts = {}
    for number in range(TASKS):
        blocks = [f"sleep {rng.uniform(0.05, 0.5):.2f}; echo step {step}"
                  for step in range(rng.randrange(1, 3))]
        blocks.append(f"echo task {number} > /mnt/session/outputs/out.txt")
        prompts[f"t{number:03}"] = blocks
    mw.write_batch(path, "bad-night", prompts, max_cost=dollars(MAX_COST))
    batch = json.loads(path.read_text())
    batch["budget"] = dollars(BUDGETS["batch"])
    path.write_text(json.dumps(batch))
    return prompts


class Watch:
    """Whoever is awake: raises a budget that holds tasks back, and counts the
    faults. Looks every LOOK_EVERY, unless what it would ask is down."""

    def __init__(self, cluster):
        self.raised = []
        self.opened = 0
        self.faults = collections.Counter()
        self._cluster = cluster
        self._next_look = 0

    def look(self):
        if (time.monotonic() < self._next_look
                or not self._cluster["scheduler"].is_ready()
                or not self._cluster["harness"].is_ready()):
            return
        self._next_look = time.monotonic() + LOOK_EVERY
        with contextlib.suppress(mw.Failure):
            self._open_account()
        with contextlib.suppress(mw.Failure):
            for budget in mw.json_lines(self._cluster.midwatch(
                    "--output", "json", "budget", "list")):
                self._raise(budget)
        with contextlib.suppress(OSError):
            # What lists sessions of our own does so too rarely to count on.
            self._cluster.ask_harness("/v1/sessions?limit=20")
        with contextlib.suppress(OSError):
            self.faults = self._cluster.count_faults()

    def _open_account(self):
        [account] = mw.json_lines(self._cluster.midwatch(
            "--output", "json", "account", "list"))
        if account["state"] != "open":
            self._cluster.midwatch("account", "resume", "default")
            self.opened += 1

    def _raise(self, budget):
        scope = budget["scope"]
        room = (budget["limit_usd_micros"] - budget["charged_usd_micros"]
                - budget["reserved_usd_micros"])
        if (budget["tasks_wait"] and room < MAX_COST
                and scope in RAISED.keys() - self.raised):
            self._cluster.midwatch("budget", "set", dollars(*RAISED[scope]),
                                   f"--{scope}", budget["name"])
            self.raised.append(scope)


def check_limits(books):
    want = {scope: [limit, *RAISED.get(scope, ())]
            for scope, limit in BUDGETS.items()}
    if books.limits != want:
        raise mw.Failure(f"the journal has limits {books.limits}")


def check_enough_happened(kills, watch, adoptions, books):
    few = {fault: watch.faults[fault] for fault, least in FAULTS_MIN.items()
           if watch.faults[fault] < least}
    not_full = [scope for scope in RAISED if not books.full[scope]]
    if (few or not_full or min(kills.values()) < KILLS_EACH
            or adoptions < ADOPTIONS_MIN):
        raise mw.Failure(f"too little happened for this to prove anything: "
                         f"kills={kills}, adoptions={adoptions}, never full: "
                         f"{not_full}, too few of {few}")


def run(binary, seed, folder):
    rng = random.Random(seed)
    batch_file = folder / "batch.json"
    prompts = write_batch(batch_file, rng)
    cluster = mw.Cluster(
        binary, folder, jobs=12,
        harness_options=("--limits", LIMITS, "--faults", FAULTS,
                         "--fault-seed", seed % 1000))
    watch = Watch(cluster)
    try:
        cluster.start_all()
        for scope in RAISED:
            cluster.midwatch("budget", "set", dollars(BUDGETS[scope]),
                             f"--{scope}", "default")
        batch_id = cluster.midwatch("submit", batch_file).strip()
        began = time.monotonic()
        killer.kill_each(cluster, rng, KILLS_EACH, KILL_EVERY, BACK_AFTER,
                         watch.look)
        batch = cluster.finish(batch_id, DONE_SECONDS, watch.look)
        took = time.monotonic() - began
        watch.look()
        tasks = cluster.check([batch_id], prompts)
        books = ledger.check(cluster, MAX_COST, tasks)
    finally:
        cluster.stop_all()

    kills = {name: process.kills
             for name, process in cluster.processes.items()}
    adoptions = cluster.adoptions()
    print(f"bad_night_test: seed={seed} took={took:.0f}s kills={kills} "
          f"adoptions={adoptions} raised={watch.raised} "
          f"opened={watch.opened} "
          f"attempts={sum(task['attempts'] for task in tasks)} "
          f"counts={batch['counts']} faults={dict(watch.faults)}", flush=True)
    # What the service broke is not the task's failure.
    for task in tasks:
        if task["state"] != "succeeded" or task["failures"] != 0:
            raise mw.Failure(f"task {task['name']} is {task['state']} with "
                             f"{task['failures']} failures: {task['reason']}")
    check_limits(books)
    check_enough_happened(kills, watch, adoptions, books)


def main():
    binary = sys.argv[1]
    seed = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("MIDWATCH_SEED")
    seed = int(seed) if seed else random.SystemRandom().randrange(2**32)
    print(f"bad_night_test: seed={seed}", flush=True)
    with mw.scratch_folder("bad-night") as folder:
        run(binary, seed, folder)


if __name__ == "__main__":
    main()
