#!/usr/bin/env python3
"""Commands of the worker's own look at what tasks left: what passes, what fails
with its last line, what is not there; a worker that dies amid a check. And
`midwatch run` runs the commands of its own command line when something happens.

  check_test.py MIDWATCH
"""

import json
import subprocess
import sys

import cluster as mw

CHECK = """#!/bin/sh
echo "$MIDWATCH_TASK_ID $MIDWATCH_ATTEMPT" >> {calls}
test -z "$ANTHROPIC_API_KEY" || exit 9
grep -q . || {{ echo "there is no message"; exit 1; }}
sleep 1
if grep -q good out.txt; then exit 0; fi
echo "some words before"
echo "out.txt: $(cat out.txt) is not good" >&2
exit 1
"""
TASKS = {"good": ["echo good > /mnt/session/outputs/out.txt"],
         "bad": ["echo poor > /mnt/session/outputs/out.txt"]}


def write_checks(folder):
    program = folder / "check.sh"
    program.write_text(CHECK.format(calls=folder / "calls"))
    program.chmod(0o755)
    tools = folder / "tools.yaml"
    tools.write_text("checks:\n"
                     "  good: {command: [./check.sh], timeout: 20s}\n")
    return tools


def write_batch(path, check, **top):
    mw.write_batch(path, "checked", TASKS, retry={"max_failures": 2},
                   expect={"files": ["out.txt"], "check": check})
    path.write_text(json.dumps({**json.loads(path.read_text()), **top}))


def calls(folder):
    path = folder / "calls"
    return path.read_text().split("\n")[:-1] if path.exists() else []


def run_cluster(binary, folder):
    tools = write_checks(folder)
    cluster = mw.Cluster(binary, folder, workers=1,
                         worker_options=("--tools", tools))
    try:
        cluster.start_all()
        write_batch(folder / "batch.json", "good")
        batch_id = cluster.midwatch("submit", folder / "batch.json").strip()
        mw.wait_until(lambda: calls(folder), 60, "a check to begin")
        cluster["worker-1"].kill()
        cluster.start("worker-1")
        cluster.finish(batch_id, 180)
        tasks = {task["name"]: task
                 for task in cluster.check([batch_id], list(TASKS))}
        write_batch(folder / "missing.json", "missing")
        missing_id = cluster.midwatch("submit", folder / "missing.json").strip()
        missing = cluster.finish(missing_id, 60)
        page = cluster.midwatch("export", missing_id)
    finally:
        cluster.stop_all()
    if tasks["good"]["state"] != "succeeded":
        raise mw.Failure(f"good: {tasks['good']}")
    bad = tasks["bad"]
    wanted = "check failed: 'good': out.txt: poor is not good"
    if bad["state"] != "failed" or wanted not in bad["reason"]:
        raise mw.Failure(f"bad: {bad}")
    attempts = {call.split()[1] for call in calls(folder)}
    if attempts != {"1", "2"}:
        raise mw.Failure(f"attempts {attempts} were checked")
    if missing["counts"]["failed"] != 2 or missing["cost_usd"] != 0:
        raise mw.Failure(f"a check that is not there: {missing}")
    if "none of the worker's checks" not in page:
        raise mw.Failure(f"no word of why: {page}")
    print(f"cluster: {len(calls(folder))} checks", flush=True)


def run_alone(binary, folder):
    tools = write_checks(folder)
    batch = folder / "alone.json"
    write_batch(batch, "good")

    def midwatch(*options):
        command = [binary, "--state-dir", folder / "state", "run", batch,
                   "--results", folder / "results", *options]
        return subprocess.run([str(part) for part in command], text=True,
                              capture_output=True, check=False, timeout=300)

    refused = midwatch()
    if refused.returncode != 2 or "--tools" not in refused.stderr:
        raise mw.Failure(f"without checks: {refused}")
    # Long over before its tasks are: it is late without a forecast.
    content = json.loads(batch.read_text())
    content["defaults"]["deadline"] = "2s"
    batch.write_text(json.dumps(content))
    done = midwatch(
        "--tools", tools,
        "--on-finish", f"cat > '{folder}/finish'; test -d '{folder}/results'",
        "--on-failure", f"cat > '{folder}/failure'; echo no pager; exit 4",
        "--on-risk", f"cat > '{folder}/risk'; echo $MIDWATCH_HOOK")
    if done.returncode != 1:
        raise mw.Failure(f"its exit code is of its tasks: {done}")
    if ("warning: the command of on_failure exited with 4: no pager"
            not in done.stderr or "on_finish" in done.stderr):
        raise mw.Failure(f"what it warns of: {done.stderr}")
    said = {name: json.loads((folder / name).read_text())
            for name in ("finish", "failure", "risk")}
    kinds = {name: body["type"] for name, body in said.items()}
    if kinds != {"finish": "batch.finished", "failure": "batch.task_failed",
                 "risk": "batch.at_risk"}:
        raise mw.Failure(f"told of {kinds}")
    counts = said["finish"]["data"]["counts"]
    if (counts["succeeded"], counts["failed"]) != (1, 1):
        raise mw.Failure(f"counts {counts}")
    if said["failure"]["data"]["task"]["name"] != "bad":
        raise mw.Failure(f"another task: {said['failure']}")
    batches = {body["data"]["batch_id"] for body in said.values()}
    if len(batches) != 1 or "" in batches:
        raise mw.Failure(f"of other batches: {said}")
    risk = said["risk"]["data"]["risk"]
    if not risk["over_deadline"] or "has passed" not in risk["reason"]:
        raise mw.Failure(f"another risk: {risk}")
    print("run: all three were told", flush=True)


def main():
    with mw.scratch_folder("check-run") as folder:
        run_alone(sys.argv[1], folder)
    with mw.scratch_folder("check") as folder:
        run_cluster(sys.argv[1], folder)


if __name__ == "__main__":
    main()
