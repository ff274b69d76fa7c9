"""A batch whose sessions reach the harness's own spend cap in the middle of a
model request, which says nothing of when the cap ends, and what lets it go on.
"""

import json

import cluster as mw

# All under way at once, so that it is model requests that meet the cap first.
TASKS = 8
JOBS = 4  # of each of two workers
CAP = 0.10  # of the 24 cents that they cost
CAP_RAISED = 10
DONE_SECONDS = 60


def make_cluster(binary, folder):
    return mw.Cluster(binary, folder, jobs=JOBS,
                      harness_options=("--spend-cap", CAP))


def account(cluster):
    return json.loads(cluster.midwatch("--output", "json", "account", "show",
                                       "default"))


def run_into_the_cap(cluster, folder):
    """The batch and its tasks, as soon as the account is shut."""
    cluster.start_all()
    prompts = {f"t{number}": ["sleep 1", "echo done"]
               for number in range(TASKS)}
    mw.write_batch(folder / "batch.json", "capped", prompts, expect={})
    batch_id = cluster.midwatch("submit", folder / "batch.json").strip()
    mw.wait_until(lambda: account(cluster)["state"] == "at its spend cap", 60,
                  "the cap")
    if "billing_error" not in account(cluster)["reason"]:
        raise mw.Failure(f"no session met the cap first: {account(cluster)}")
    return batch_id, prompts


def go_on(cluster, batch_id, prompts):
    """Raises the cap, and resumes."""
    cluster["harness"].set_option("--spend-cap", CAP_RAISED)
    cluster["harness"].kill()
    cluster.start("harness")
    cluster.midwatch("account", "resume", "default")
    cluster.finish(batch_id, DONE_SECONDS)
    tasks = cluster.check([batch_id], prompts)
    if any(task["state"] != "succeeded" or task["failures"] for task in tasks):
        raise mw.Failure("the cap failed tasks")
