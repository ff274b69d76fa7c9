#!/usr/bin/env python3
"""A canary and a stop rule as their user meets them: exit codes, what is said,
and what becomes of a verdict when the process that made it is killed.

  canary_test.py MIDWATCH
"""

import json
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import unittest

import cluster as mw

BINARY = None  # of the command line

GOOD = ["echo done > /mnt/session/outputs/out.txt"]
BAD = ["true"] * 12  # a cent each: more than it may cost
PAUSED = 3  # the exit code
RUN_SECONDS = 240


class CanaryTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="midwatch-canary-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.file = self.folder / "batch.json"

    def command(self, *arguments):
        return [str(part) for part in (
            BINARY, "--state-dir", self.folder / "state", *arguments)]

    def midwatch(self, *arguments, code=0):
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True,
            check=False, cwd=self.folder, timeout=RUN_SECONDS)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def write(self, prompts, **rules):
        mw.write_batch(self.file, "careful", prompts, max_cost="0.05",
                       retry={"max_failures": 1})
        batch = json.loads(self.file.read_text())
        self.file.write_text(json.dumps({**batch, **rules}))

    def batch(self):
        listed = self.midwatch("--output", "json", "batch", "list")
        return json.loads(listed.splitlines()[0])

    def test_a_canary_passes_and_the_others_follow(self):
        self.write({f"t{i}": GOOD for i in range(6)},
                   canary={"tasks": 2, "min_success": 1, "max_cost": "$1"})
        said = self.midwatch("run", self.file, "--jobs", 6)
        self.assertIn("the canary passed: 2 of 2 done", said)
        journal = [json.loads(line)["kind"] for line in self.midwatch(
            "--output", "json", "journal", "--all").splitlines()]
        verdict = journal.index("canary_passed")
        self.assertEqual(journal[:verdict].count("granted"), 2)
        self.assertEqual(journal.count("granted"), 6)

    def test_a_failed_canary_asks_and_goes_on_once_it_is_resumed(self):
        self.write({"t0": BAD, **{f"t{i}": GOOD for i in range(1, 6)}},
                   canary={"tasks": 1}, stop_when={"failed": 3})
        said = self.midwatch("run", self.file, code=PAUSED)
        self.assertIn("the batch is paused: the canary failed: 1 of its 1 task",
                      said)
        # Another run of the same file asks again, and starts nothing.
        self.midwatch("run", self.file, code=PAUSED)
        batch = self.batch()
        self.assertEqual(batch["canary"]["verdict"], "failed")
        self.assertEqual(batch["counts"]["queued"], 5)
        shown = self.midwatch("batch", "get", batch["batch_id"])
        self.assertIn("canary      failed: 1 of its 1 task", shown)
        self.assertIn("stop when   once 3 failed; so far 1 of 1", shown)
        self.midwatch("batch", "resume", batch["batch_id"])
        self.midwatch("run", self.file, code=1)
        batch = self.batch()
        self.assertEqual(batch["canary"]["verdict"], "overruled")
        self.assertEqual(batch["counts"]["succeeded"], 5)

    def test_a_stop_outlives_the_process_that_made_it(self):
        self.write({f"t{i}": BAD for i in range(20)}, stop_when={"failed": 3})
        process = subprocess.Popen(
            self.command("run", self.file, "--jobs", 1),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd=self.folder)
        try:
            # The moment the third has failed, or soon after.
            mw.wait_until(lambda: self.ended() >= 3 or process.poll(), 60,
                          "three failures")
            process.send_signal(signal.SIGKILL)
        finally:
            process.kill()
            process.wait()
        self.midwatch("run", self.file, "--jobs", 1, code=PAUSED)
        batch = self.batch()
        self.assertTrue(batch["stop_when"]["stopped"])
        self.assertIn("3 tasks failed, and stop_when.failed is 3",
                      batch["pause"]["reason"])
        self.assertEqual(batch["counts"]["failed"], 3)
        self.midwatch("batch", "resume", batch["batch_id"])
        self.midwatch("run", self.file, "--jobs", 1, code=PAUSED)
        self.assertEqual(self.batch()["counts"]["failed"], 6)

    def ended(self):
        database = self.folder / "state" / "queue.db"
        try:
            return mw.read_harness(
                database, "SELECT count(*) FROM task WHERE state = 7")[0][0]
        except sqlite3.OperationalError:  # it is not there yet
            return 0


if __name__ == "__main__":
    BINARY = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
