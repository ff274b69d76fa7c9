#!/usr/bin/env python3
"""Sessions that nobody remembers are found, explained and ended; what cannot be
explained is left alone.

  sweep_test.py MIDWATCH

A worker dies between the answer to a create and its record, with other creates
under way: their sessions are orphans. Beside them stand a session with a forged
nonce and one of another queue. `account sweep` tells them apart, `--end` ends
the orphans alone, and `account reconcile` finds every cent where it belongs.
"""

import json
import sys
import urllib.request

import cluster as mw

TASKS = 12
DIE_AT = {"MIDWATCH_FAULT": "worker.create.after:3"}


class Service:
    """The harness as anybody with the key sees it."""

    def __init__(self, cluster):
        self._url = cluster.harness_url
        self._key = cluster.key.read_text().strip()

    def ask(self, path, body=None):
        request = urllib.request.Request(
            self._url + path, None if body is None else json.dumps(body).encode(),
            {"x-api-key": self._key, "anthropic-version": "2023-06-01",
             "anthropic-beta": "managed-agents-2026-04-01",
             "content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def sessions(self):
        """All that are not archived, by id."""
        page = self.ask("/v1/sessions?limit=100")
        return {session["id"]: session for session in page["data"]}


def sweep(cluster, *options):
    """What `account sweep` says of each session, by its id."""
    out = cluster.midwatch(
        "--output", "json", "account", "sweep", "default", "--base-url",
        cluster.harness_url, "--api-key-file", cluster.key, *options)
    lines = [json.loads(line) for line in out.splitlines()]
    return {line["session_id"]: line for line in lines}


def leave_orphans(cluster):
    """Kills the worker with creates under way; the sessions it leaves."""
    cluster.start("harness")
    cluster.start("scheduler")
    prompts = {f"t{n:02}": ["sleep 0.2\necho done > /mnt/session/outputs/out.txt"]
               for n in range(TASKS)}
    batch_file = cluster.folder / "batch.json"
    mw.write_batch(batch_file, "sweep", prompts)
    batch_id = cluster.midwatch("submit", batch_file).strip()
    cluster["worker-1"].start(DIE_AT)
    mw.wait_until(lambda: not cluster["worker-1"].running(), 60,
                  "the worker to die at its fault point")
    return batch_id, prompts


def plant(service, like, **metadata):
    """A session like another, with other words in its metadata."""
    body = {"agent": {"type": "agent", "id": like["agent"]["id"]},
            "environment_id": like["environment_id"],
            "metadata": {**like["metadata"], **metadata}}
    return service.ask("/v1/sessions", body)["id"]


def expect(condition, what):
    if not condition:
        raise mw.Failure(what)


def run(binary, folder):
    cluster = mw.Cluster(binary, folder, workers=1)
    try:
        batch_id, prompts = leave_orphans(cluster)
        service = Service(cluster)
        left = service.sessions()
        expect(left, "the worker left no session")
        like = next(iter(left.values()))
        forged = plant(service, like, midwatch_nonce="forged-0123456789abcdef")
        foreign = plant(service, like, midwatch_cluster="zzzz")

        # Nobody runs the tasks meanwhile, so what was begun may yet be recorded.
        found = sweep(cluster)
        expect(found[forged]["fate"] == "unexplained", found[forged])
        expect(found[foreign]["fate"] == "of another queue", found[foreign])
        fates = {found[session]["fate"] for session in left}
        expect(fates <= {"pending", "live"} and "pending" in fates, fates)

        # Another worker runs them; a create that was never recorded is then
        # that of an attempt which is over.
        cluster.start("worker-1")
        cluster.finish(batch_id, 120)
        orphans = {session for session in left
                   if found[session]["fate"] == "pending"}
        mw.wait_until(lambda: set(service.sessions()) ==
                      orphans | {forged, foreign}, 60,
                      "the sessions of settled attempts to be archived")
        told = sweep(cluster)
        expect(all(told[session]["fate"] == "superseded" for session in orphans),
               told)
        expect(set(service.sessions()) == orphans | {forged, foreign},
               "a sweep without --end ended something")
        ended = sweep(cluster, "--end")
        expect(all(ended[session]["ended_now"] for session in orphans), ended)
        expect(set(service.sessions()) == {forged, foreign},
               "more or less than the orphans was ended")
        expect("superseded" in cluster.midwatch("journal", "--all", "--kind",
                                                "swept"), "not in the journal")

        report = json.loads(cluster.midwatch(
            "--output", "json", "account", "reconcile", "default", "--base-url",
            cluster.harness_url, "--api-key-file", cluster.key))
        expect(report["sessions"] == TASKS and not report["differences"] and
               report["service_usd_micros"] == report["charged_usd_micros"] > 0,
               report)
        cluster.check([batch_id], prompts)
    finally:
        cluster.stop_all()
    print(f"sweep_test: {len(orphans)} orphans of {len(left)} sessions were "
          f"ended, a forged and a foreign one left alone", flush=True)


def main():
    with mw.scratch_folder("sweep") as folder:
        run(sys.argv[1], folder)


if __name__ == "__main__":
    main()
