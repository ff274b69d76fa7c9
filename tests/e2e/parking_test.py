#!/usr/bin/env python3
"""Tasks that wait for a person outlive everything: the scheduler and the
workers are killed while they are parked and while they are answered. Each one
ends as it was told, or for want of an answer, at the cost of what it did. One
whose session has spent its budget goes on in it once the budget is raised.

  parking_test.py MIDWATCH
"""

import json
import sys

import cluster as mw

EACH = 6
# Long enough for all to be parked together, on a slow machine too.
ANSWER_WITHIN_SECONDS = 20
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


def run(cluster, folder):
    asked = {f"{kind}-{number}": CALL if kind == "result" else COMMAND
             for kind in KINDS for number in range(EACH)}
    left = {f"left-{number}": COMMAND for number in range(EACH)}
    write_batch(folder / "asked.json", "asked", asked)
    write_batch(folder / "left.json", "left", left,
                answer_within=f"{ANSWER_WITHIN_SECONDS}s")
    # The first of two requests spends the budget.
    dear = {f"dear-{number}": COMMAND for number in range(EACH)}
    write_batch(folder / "dear.json", "dear", dear, agent=QUIET,
                max_cost="0.01", on_budget="ask")
    raised = cluster.midwatch("submit", folder / "dear.json").strip()
    answered = cluster.midwatch("submit", folder / "asked.json").strip()
    unanswered = cluster.midwatch("submit", folder / "left.json").strip()
    # Their policy raises it, with nobody asked, in the same session.
    write_batch(folder / "by-policy.json", "by-policy",
                {f"raised-{number}": COMMAND for number in range(EACH)},
                agent=QUIET, max_cost="0.01", on_budget="raise",
                raise_to="0.05")
    by_policy = cluster.midwatch("submit", folder / "by-policy.json").strip()
    mw.wait_until(lambda: len(waiting(cluster, answered)) == len(asked) and
                  len(waiting(cluster, raised)) == len(dear), 60,
                  "all tasks to ask")
    kill_all(cluster)
    parked = waiting(cluster, answered)
    if len(parked) != len(asked):
        raise mw.Failure(f"{len(parked)} of {len(asked)} tasks are parked")
    for task in waiting(cluster, raised):
        cluster.midwatch("task", "answer", task["task_id"], "--raise", "0.05")
    for number, task in enumerate(parked):
        if task["reserved_usd_micros"] == 0 or len(task["questions"]) != 1:
            raise mw.Failure(f"parked, without money or question: {task}")
        options = KINDS[task["name"].split("-")[0]][0]
        cluster.midwatch("task", "answer", task["task_id"], *options)
        if number == len(parked) // 2:
            kill_all(cluster)
    for batch in (answered, unanswered, raised, by_policy):
        cluster.finish(batch, FINISH_SECONDS)
    for name, task in tasks_of(cluster, answered).items():
        expect(task, *KINDS[name.split("-")[0]][1:])
    for batch in (raised, by_policy):
        for task in tasks_of(cluster, batch).values():
            expect(task, "succeeded", 2, "ran")
    for task in tasks_of(cluster, unanswered).values():
        expect(task, "failed", 1, "none came in time")
    mw.wait_until(lambda: not mw.read_harness(
        cluster.harness_db, "SELECT id FROM session WHERE status = 'running'"),
        10, "all sessions to rest")
    charged = mw.read_harness(cluster.harness_db,
                              "SELECT count(DISTINCT session_id), "
                              "sum(price_usd_micros) FROM model_request")[0]
    if charged != (6 * EACH, (5 * EACH * 2 + EACH) * CENT):
        raise mw.Failure(f"charged sessions and their cost: {charged}")
    print(f"{3 * EACH} answered, {EACH} raised, {EACH} raised by policy, {EACH} left to expire, over "
          f"{cluster['scheduler'].kills} kills of all processes", flush=True)


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
