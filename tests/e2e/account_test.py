#!/usr/bin/env python3
"""An account that refuses in the middle of a batch: a key that is revoked, and
a monthly spend cap. Nothing fails, nothing is paid twice, the account says why
it is shut and until when, and all goes on once it works again. And one that a
person pauses.

  account_test.py MIDWATCH
"""

import collections
import contextlib
import datetime
import json
import random
import subprocess
import sys
import time

import capping_proxy
import cluster as mw

REFUSE_AT = 50
REVOKED_TASKS = 1000
CAPPED_TASKS = 300
JOBS = 8  # of each of two workers
HELD_MIN = 1  # sessions that were under way and kept
CENT = 10_000
TASK_CENTS = 2  # a command and what is said of it
DONE_SECONDS = 200
FEW = 4
PAUSE_SECONDS = 5


def submit(cluster, folder, name, tasks):
    batch_file = folder / "batch.json"
    prompts = {f"t{number:03}": [
        f"sleep 0.{number % 4}; echo {number} > /mnt/session/outputs/out.txt"]
        for number in range(tasks)}
    mw.write_batch(batch_file, name, prompts)
    return cluster.midwatch("submit", batch_file).strip(), prompts


def account(cluster):
    return json.loads(cluster.midwatch("--output", "json", "account", "list"))


def await_tasks(cluster, batch_id, number):
    mw.wait_until(
        lambda: cluster.batch(batch_id)["counts"]["succeeded"] >= number, 120,
        f"{number} tasks to succeed")


def await_shut(cluster, batch_id, state):
    shut = mw.wait_until(
        lambda: (now := account(cluster))["state"] == state and now, 60,
        f"the account to be {state}")
    trouble = cluster.batch(batch_id)["account_trouble"]
    if not trouble or trouble["state"] != state or not trouble["reason"]:
        raise mw.Failure(f"the batch says of its account: {trouble}")
    return shut


def expect_shown(cluster, *words):
    shown = cluster.midwatch("account", "show", "default")
    for word in words:
        if word not in shown:
            raise mw.Failure(f"`account show` did not say {word!r}:\n{shown}")


def check_all_well(cluster, batch_id, prompts):
    """All succeeded in their first session, but for what the account broke."""
    cluster.finish(batch_id, DONE_SECONDS)
    tasks = cluster.check([batch_id], prompts)
    states = {task["state"] for task in tasks}
    if states != {"succeeded"} or any(task["failures"] for task in tasks):
        raise mw.Failure(f"tasks ended {states}, or with failures")
    charged = sum(task["charged_usd_micros"] for task in tasks)
    if charged != len(tasks) * TASK_CENTS * CENT:
        raise mw.Failure(f"{len(tasks)} tasks cost {charged} micro-dollars")
    if account(cluster)["state"] != "open":
        raise mw.Failure(f"the account is {account(cluster)}")
    kinds = collections.Counter(
        entry["kind"] for entry in cluster.journal("--all"))
    if not kinds["account_shut"] or not kinds["account_opened"]:
        raise mw.Failure(f"the account was never shut: {kinds}")
    return kinds


@contextlib.contextmanager
def watching(cluster, batch_id):
    """`batch watch`, whose output is checked for the pause at the end."""
    command = [cluster.binary, "--server", cluster.server, "--state-dir",
               cluster.folder / "client", "batch", "watch", batch_id]
    with (cluster.folder / "watch").open("wb") as out:
        watch = subprocess.Popen([str(part) for part in command], stdout=out,
                                 stderr=out, stdin=subprocess.DEVNULL)
        try:
            yield
            watch.wait(60)
        finally:
            watch.kill()
            watch.wait()


def await_rest(cluster, batch_id):
    """How many tasks have succeeded, once what ran has ended and the rest
    waits."""
    def at_rest():
        now = cluster.batch(batch_id)["counts"]
        return not now["running"] and now
    counts = mw.wait_until(at_rest, 60, "running tasks to end")
    done, left = counts["succeeded"], counts["queued"]
    sessions = mw.read_harness(cluster.harness_db,
                               "SELECT count(*) FROM session")[0][0]
    if done + left != CAPPED_TASKS or not left or sessions != done:
        raise mw.Failure(f"capped with {sessions} sessions, and {counts}")
    return done


def check_watch(cluster, words):
    said = (cluster.folder / "watch").read_text(errors="replace")
    for word in (*words, "account default is open again"):
        if word not in said:
            raise mw.Failure(f"`batch watch` did not say {word!r}:\n{said}")


def pause(binary, folder):
    """A person shuts the account: for a while, and until they open it."""
    cluster = mw.Cluster(binary, folder)
    try:
        cluster.start_all()
        until = (datetime.datetime.now(datetime.timezone.utc)
                 + datetime.timedelta(seconds=PAUSE_SECONDS))
        cluster.midwatch("account", "pause", "default", "--reason", "moving",
                         "--until", until.strftime("%Y-%m-%dT%H:%M:%SZ"))
        first, _ = submit(cluster, folder, "for-a-while", FEW)
        shut = await_shut(cluster, first, "paused")
        if shut["reason"] != "moving" or not shut["until"]:
            raise mw.Failure(f"paused for a while, but {shut}")
        cluster.finish(first, 60)
        cluster.midwatch("account", "pause", "default", "--reason", "new key")
        second, prompts = submit(cluster, folder, "for-good", FEW)
        await_shut(cluster, second, "paused")
        # Another life of the scheduler knows it too.
        cluster["scheduler"].kill()
        cluster.start("scheduler")
        await_shut(cluster, second, "paused")
        counts = cluster.batch(second)["counts"]
        if counts["queued"] != FEW:
            raise mw.Failure(f"paused, and {counts}")
        cluster.midwatch("account", "resume", "default")
        cluster.finish(second, 60)
        sessions = mw.read_harness(cluster.harness_db,
                                   "SELECT count(*) FROM session")[0][0]
        if sessions != 2 * FEW:
            raise mw.Failure(f"{sessions} sessions for {2 * FEW} tasks")
        print("account_test: paused until a time, and until resumed",
              flush=True)
    finally:
        cluster.stop_all()


def revoke(binary, folder):
    """The key of both workers, while they are in the middle of it."""
    cluster = mw.Cluster(binary, folder, jobs=JOBS)
    try:
        cluster.start_all()
        began = time.monotonic()
        batch_id, prompts = submit(cluster, folder, "revoked", REVOKED_TASKS)
        with watching(cluster, batch_id):
            await_tasks(cluster, batch_id, REFUSE_AT)
            # The harness reads it with each request, a worker once.
            cluster.key.write_text(
                random.SystemRandom().randbytes(16).hex() + "\n")
            shut = await_shut(cluster, batch_id, "refused")
            counts = cluster.batch(batch_id)["counts"]
            if counts["failed"] or counts["succeeded"] > REVOKED_TASKS / 2:
                raise mw.Failure(f"refused, and {counts}")
            expect_shown(cluster, "account default is refused: ", "401",
                         "restart its worker with the right key")
            for name in ("worker-1", "worker-2"):
                cluster[name].kill()
                cluster.start(name)
            kinds = check_all_well(cluster, batch_id, prompts)
        check_watch(cluster, ["account default is refused: "])
        if kinds["held"] < HELD_MIN:
            raise mw.Failure(f"no session was kept through it: {kinds}")
        print(f"account_test: revoked at {counts['succeeded']} of "
              f"{REVOKED_TASKS}: {shut['reason']}; {kinds['held']} kept, "
              f"{time.monotonic() - began:.0f} s", flush=True)
    finally:
        cluster.stop_all()


def spend_cap(binary, folder):
    """Of an organization, by the month: it refuses new sessions, and those that
    it has go on."""
    cluster = mw.Cluster(binary, folder, jobs=JOBS, proxy_port=mw.free_port())
    try:
        with capping_proxy.serve(cluster) as service:
            cap(cluster, folder, service)
    finally:
        cluster.stop_all()


def cap(cluster, folder, service):
    cluster.start_all()
    began = time.monotonic()
    batch_id, prompts = submit(cluster, folder, "capped", CAPPED_TASKS)
    with watching(cluster, batch_id):
        await_tasks(cluster, batch_id, REFUSE_AT)
        service.cap.set()
        shut = await_shut(cluster, batch_id, "at its spend cap")
        since = datetime.datetime.fromisoformat(shut["since"])
        month = since.replace(day=1) + datetime.timedelta(days=32)
        if not shut["until"].startswith(f"{month:%Y-%m}-01T00:00:00"):
            raise mw.Failure(f"the cap ends with the month, not {shut}")
        until = datetime.datetime.fromisoformat(shut["until"]).astimezone()
        expect_shown(cluster, "account default is at its spend cap: ",
                     f"until {until:%Y-%m-%d %H:%M:%S}")
        # A probe is asked for, and is refused: all stays as it is.
        before = service.refused
        cluster.midwatch("account", "resume", "default")
        mw.wait_until(lambda: service.refused > before, 60, "a probe")
        if account(cluster)["state"] != "at its spend cap":
            raise mw.Failure("a refused probe opened the account")
        at_rest = await_rest(cluster, batch_id)
        service.cap.clear()
        cluster.midwatch("account", "resume", "default")
        check_all_well(cluster, batch_id, prompts)
    check_watch(cluster, ["account default is at its spend cap: "])
    print(f"account_test: capped at {at_rest} of {CAPPED_TASKS} until "
          f"{shut['until']}, {service.refused} creates refused, "
          f"{time.monotonic() - began:.0f} s", flush=True)


def main():
    for case in (pause, revoke, spend_cap):
        with mw.scratch_folder("account") as folder:
            case(sys.argv[1], folder)


if __name__ == "__main__":
    main()
