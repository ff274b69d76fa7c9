#!/usr/bin/env python3
"""A night in which all goes wrong at once: the service limits rates, answers
429, 529 and 500, loses answers, cuts, slows and doubles streams, hides new
sessions from lists and overshoots budgets, while every process is killed again
and again. No attempt is charged twice, nothing is admitted over a budget, and
the journal is the harness's own sum.

  bad_night_test.py MIDWATCH [SEED]

The seed (also MIDWATCH_SEED) fixes the tasks, the faults and the plan of kills.
"""

import heapq
import json
import os
import random
import sys
import time

import cluster as mw

TASKS = 60
KILL_EVERY = (1.5, 4.0)  # seconds
KILLING_SECONDS = 20
DONE_SECONDS = 300
# Nobody told the workers: they run into these, and come back as they are told.
LIMITS = "create=1500,read=3000,files=2400,burst=15"
# All but 429-bare: after that an account rests for an hour.
FAULTS = ("429=0.04,529=0.02,500=0.02,lost=0.03,late-list=30s,cut=8s,slow=0.1,"
          "double=0.1,overshoot=0.2")
# How often each must have come to pass, else the night was not bad enough.
AT_LEAST = {"429": 5, "529": 2, "500": 2, "lost": 3, "cut": 3, "slow": 2,
            "double": 10, "overshoot": 3, "over_limit": 1}
KILLS_MIN = 4
MAX_COST = 100_000
BUDGETS = {"tenant": 4_400_000, "queue": 4_300_000, "batch": 4_200_000}


def dollars(micros):
    return f"{micros / 1e6:.6f}"


def write_batch(path, rng):
    prompts = {}
    for number in range(TASKS):
        blocks = [f"sleep {rng.uniform(0.05, 0.8):.2f}; echo step {step}"
                  for step in range(rng.randrange(1, 3))]
        blocks.append(f"echo task {number} > /mnt/session/outputs/out.txt")
        prompts[f"t{number:03}"] = blocks
    mw.write_batch(path, "bad-night", prompts, max_cost=dollars(MAX_COST))
    batch = json.loads(path.read_text())
    batch["budget"] = dollars(BUDGETS["batch"])
    path.write_text(json.dumps(batch))
    return prompts


def kill_now_and_then(cluster, rng, done):
    """A random process every few seconds, back a moment later."""
    names = list(cluster.processes)
    until = time.monotonic() + KILLING_SECONDS
    down = []  # (when to start again, name)
    while time.monotonic() < until and not done():
        name = rng.choice(names)
        pause = time.monotonic() + rng.uniform(*KILL_EVERY)
        back_after = rng.uniform(0.1, 1.5)

        def due():
            now = time.monotonic()
            while down and down[0][0] <= now:
                cluster[heapq.heappop(down)[1]].start()
            cluster.look_after(down={dead for _, dead in down})
            return now >= pause and cluster[name].is_ready()

        mw.wait_until(due, 90, f"{name} to be up, to kill it")
        cluster[name].kill()
        heapq.heappush(down, (time.monotonic() + back_after, name))
    for when, name in sorted(down):
        time.sleep(max(0, when - time.monotonic()))
        cluster[name].start()


def check_money(cluster, journal, budgets):
    """Adds the journal up, row by row. How often a budget binds is up to the
    kills; that one does is budget_test's to see."""
    reserved = charged = over = admissions = waits = 0
    for entry in journal:
        reserved += entry["reserved_usd_micros"]
        charged += entry["charged_usd_micros"]
        over += entry["overshoot_usd_micros"]
        if entry["kind"] == "granted":
            admissions += 1
            for scope, limit in BUDGETS.items():
                if charged + reserved > limit:
                    raise mw.Failure(
                        f"journal {entry['sequence']}: {charged + reserved} "
                        f"charged and reserved, the {scope}'s limit is {limit}")
            waits += charged + reserved + MAX_COST > min(BUDGETS.values())
    spent = mw.read_harness(
        cluster.harness_db,
        "SELECT sum(price_usd_micros) FROM model_request")[0][0]
    if (reserved, charged) != (0, spent):
        raise mw.Failure(f"the journal has {charged} charged and {reserved} "
                         f"reserved; the harness charged {spent}")
    for budget in budgets:
        sums = (budget["reserved_usd_micros"], budget["charged_usd_micros"],
                budget["overshoot_usd_micros"])
        if sums != (reserved, charged, over):
            raise mw.Failure(f"the journal has {(reserved, charged, over)}, "
                             f"the budget {budget}")
    if {budget["scope"] for budget in budgets} != set(BUDGETS):
        raise mw.Failure(f"there are budgets {budgets}")
    print(f"bad_night_test: admissions={admissions} at_the_limit={waits} "
          f"charged={charged} overshoot={over} harness={spent}", flush=True)


def json_lines(text):
    return [json.loads(line) for line in text.splitlines()]


def run(binary, seed, folder):
    rng = random.Random(seed)
    batch_file = folder / "batch.json"
    prompts = write_batch(batch_file, rng)
    cluster = mw.Cluster(
        binary, folder, jobs=12,
        harness_options=("--limits", LIMITS, "--faults", FAULTS,
                         "--fault-seed", seed % 1000))
    try:
        cluster.start_all()
        for scope in ("tenant", "queue"):
            cluster.midwatch("budget", "set", dollars(BUDGETS[scope]),
                             f"--{scope}", "default")
        batch_id = cluster.midwatch("submit", batch_file).strip()
        began = time.monotonic()
        kill_now_and_then(cluster, rng, lambda: False)
        batch = cluster.finish(batch_id, DONE_SECONDS)
        took = time.monotonic() - began
        tasks = cluster.check([batch_id], prompts)
        journal = json_lines(cluster.midwatch("--output", "json", "journal",
                                              "--batch", batch_id))
        budgets = json_lines(cluster.midwatch("--output", "json", "budget",
                                              "list"))
        check_money(cluster, journal, budgets)
    finally:
        cluster.stop_all()

    kills = sum(process.kills for process in cluster.processes.values())
    faults = cluster.faults_injected()
    print(f"bad_night_test: seed={seed} took={took:.0f}s kills={kills} "
          f"adoptions={cluster.adoptions()} "
          f"attempts={sum(task['attempts'] for task in tasks)} "
          f"counts={batch['counts']} faults={dict(faults)}", flush=True)
    # What the service broke is not the task's failure.
    for task in tasks:
        if task["state"] != "succeeded" or task["failures"] != 0:
            raise mw.Failure(f"task {task['name']} is {task['state']} with "
                             f"{task['failures']} failures: {task['reason']}")
    few = {fault: faults[fault] for fault, least in AT_LEAST.items()
           if faults[fault] < least}
    if few or kills < KILLS_MIN:
        raise mw.Failure(f"too little happened for this to prove anything: "
                         f"kills={kills}, too few of {few}")


def main():
    binary = sys.argv[1]
    seed = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("MIDWATCH_SEED")
    seed = int(seed) if seed else random.SystemRandom().randrange(2**32)
    print(f"bad_night_test: seed={seed}", flush=True)
    with mw.scratch_folder("bad-night") as folder:
        run(binary, seed, folder)


if __name__ == "__main__":
    main()
