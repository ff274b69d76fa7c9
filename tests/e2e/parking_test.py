#!/usr/bin/env python3
"""A hundred tasks that wait for a person outlive everything: the scheduler and
the workers are killed while they are parked and while they are answered. Each
one ends as it was told, or for want of an answer and not before its time, at
the cost of what it did. One whose session has spent its budget goes on in it
once the budget is raised.

  parking_test.py MIDWATCH
"""

import datetime
import json
import sys

import cluster as mw

ANSWERED_EACH = 20  # of three kinds
LEFT = 40
RAISED = 6
# Long enough for all to be parked together, on a slow machine too.
ANSWER_WITHIN_SECONDS = 30
PARK_SECONDS = 60
FINISH_SECONDS = 180
CENT = 10_000
AGENT = {
    "name": "asks", "model": "runbook",
    "tools": [
        {"type": "agent_toolset_20260401",
         "default_config": {"permission_policy": {"type": "always_ask"}}},
        {"type": "custom", "name": "lookup", "description": "Looks up.",
         "input_schema": {"type": "object"}}]}
QUIET = {"name": "quiet", "model": "runbook",
         "tools": [{"type": "agent_toolset_20260401"}]}
CALL = "```tool lookup\n{\"key\": \"k\"}\n```"
COMMAND = "```sh\necho ran\n```"
# What is answered, the state and the cost in cents that follow, and what the
# agent says last.
KINDS = {
    "approve": (["--approve"], "succeeded", 2, "ran"),
    "deny": (["--deny", "not today"], "succeeded", 2, "Denied: not today"),
    "result": (["--result", "42 it is"], "succeeded", 2, "42 it is"),
}


def write_batch(path, name, prompts, **more):
    defaults = {"agent": AGENT, "prompt": "{{text}}"} | more
    tasks = [{"name": task, "parameters": {"text": text}}
             for task, text in prompts.items()]
    path.write_text(json.dumps(
        {"name": name, "defaults": defaults, "tasks": tasks}))


def tasks_of(cluster, batch):
    lines = cluster.midwatch("export", batch).splitlines()
    return {task["name"]: task for task in map(json.loads, lines)}


def waiting(cluster, batch):
    lines = cluster.midwatch("--output", "json", "task", "list", "--batch",
                             batch, "--state", "waiting").splitlines()
    return [json.loads(line) for line in lines]


def kill_all(cluster):
    for name in ("scheduler", "worker-1", "worker-2"):
        cluster[name].kill()
    for name in ("scheduler", "worker-1", "worker-2"):
        cluster.start(name)


def expect(task, state, cents, text):
    said = (task["state"], task["charged_usd_micros"], task["attempts"],
            task["reserved_usd_micros"])
    if said != (state, cents * CENT, 1, 0):
        raise mw.Failure(f"task {task['name']}: {said}, {task['reason']}")
    if text not in task["final_message"] + task["reason"]:
        raise mw.Failure(f"task {task['name']} does not say '{text}': {task}")


def submit(cluster, folder, name, prompts, **more):
    path = folder / f"{name}.json"
    write_batch(path, name, prompts, **more)
    return cluster.midwatch("submit", path).strip()


def await_parked(cluster, batch, number):
    mw.wait_until(lambda: len(waiting(cluster, batch)) == number, PARK_SECONDS,
                  f"{number} tasks to ask")


def answer(cluster, parked):
    """All of them, and in the middle of it all processes are killed."""
    for number, task in enumerate(parked):
        if task["reserved_usd_micros"] == 0 or len(task["questions"]) != 1:
            raise mw.Failure(f"parked, without money or question: {task}")
        options = KINDS[task["name"].split("-")[0]][0]
        cluster.midwatch("task", "answer", task["task_id"], *options)
        if number == len(parked) // 2:
            kill_all(cluster)


def check_waited(cluster, batch):
    """Each of them for as long as it was to wait, and for one answer."""
    at = {}
    for entry in cluster.journal("--batch", batch, "--all"):
        if entry["kind"] in ("parked", "unanswered"):
            when = datetime.datetime.fromisoformat(entry["at"])
            at.setdefault(entry["kind"], {})[entry["task_name"]] = when
    if [len(at[kind]) for kind in ("parked", "unanswered")] != [LEFT, LEFT]:
        raise mw.Failure(f"of {LEFT}: {at}")
    waits = [(at["unanswered"][name] - parked).total_seconds()
             for name, parked in at["parked"].items()]
    if min(waits) < ANSWER_WITHIN_SECONDS - 0.01:  # "at" is in milliseconds
        raise mw.Failure(f"given up after {min(waits)} s")
    return max(waits)


def check_rest(cluster):
    """No session works on, and what all cost is what was stated for each."""
    mw.wait_until(lambda: not mw.read_harness(
        cluster.harness_db, "SELECT id FROM session WHERE status = 'running'"),
        10, "all sessions to rest")
    charged = mw.read_harness(cluster.harness_db,
                              "SELECT count(DISTINCT session_id), "
                              "sum(price_usd_micros) FROM model_request")[0]
    answered = ANSWERED_EACH * len(KINDS) + 2 * RAISED
    if charged != (answered + LEFT, (2 * answered + LEFT) * CENT):
        raise mw.Failure(f"charged sessions and their cost: {charged}")


def run(cluster, folder):
    asked = {f"{kind}-{number}": CALL if kind == "result" else COMMAND
             for kind in KINDS for number in range(ANSWERED_EACH)}
    left = {f"left-{number}": COMMAND for number in range(LEFT)}
    # The first of two requests spends the budget.
    dear = {f"dear-{number}": COMMAND for number in range(RAISED)}
    raised = submit(cluster, folder, "dear", dear, agent=QUIET,
                    max_cost="0.01", on_budget="ask")
    # Their policy raises it, with nobody asked, in the same session.
    policy = {f"raised-{number}": COMMAND for number in range(RAISED)}
    by_policy = submit(cluster, folder, "by-policy", policy, agent=QUIET,
                       max_cost="0.01", on_budget="raise", raise_to="0.05")
    answered = submit(cluster, folder, "asked", asked)
    await_parked(cluster, answered, len(asked))
    await_parked(cluster, raised, len(dear))
    # Last, so that they do not wait for the others.
    unanswered = submit(cluster, folder, "left", left,
                        answer_within=f"{ANSWER_WITHIN_SECONDS}s")
    await_parked(cluster, unanswered, LEFT)
    kill_all(cluster)
    parked = waiting(cluster, answered)
    still = [len(parked), len(waiting(cluster, unanswered))]
    if still != [len(asked), LEFT]:
        raise mw.Failure(f"{still} tasks are parked after the kill")
    for task in waiting(cluster, raised):
        cluster.midwatch("task", "answer", task["task_id"], "--raise", "0.05")
    answer(cluster, parked)
    batches = (answered, unanswered, raised, by_policy)
    for batch in batches:
        cluster.finish(batch, FINISH_SECONDS)
    for name, task in tasks_of(cluster, answered).items():
        expect(task, *KINDS[name.split("-")[0]][1:])
    for batch in (raised, by_policy):
        for task in tasks_of(cluster, batch).values():
            expect(task, "succeeded", 2, "ran")
    for task in tasks_of(cluster, unanswered).values():
        expect(task, "failed", 1, "none came in time")
    waited = check_waited(cluster, unanswered)
    check_rest(cluster)
    cluster.check(batches, [*asked, *left, *dear, *policy])
    print(f"parking_test: {len(asked)} answered, {LEFT} left to expire after "
          f"at most {waited:.1f} s, {RAISED} raised, {RAISED} raised by policy, "
          f"over {cluster['scheduler'].kills} kills of all processes",
          flush=True)


def main():
    with mw.scratch_folder("parking") as folder:
        cluster = mw.Cluster(sys.argv[1], folder, workers=2, jobs=4)
        try:
            cluster.start_all()
            run(cluster, folder)
        finally:
            cluster.stop_all()


if __name__ == "__main__":
    main()
