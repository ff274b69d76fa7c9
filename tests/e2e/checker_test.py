#!/usr/bin/env python3
"""Each thing that the checker and the ledger look for, once broken: they must
say so."""

import json
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import unittest

import ledger

CHECKER = pathlib.Path(__file__).resolve().parent / "checker.py"

SCHEMA = """
CREATE TABLE session(id TEXT, metadata TEXT, cost_usd_micros INTEGER);
CREATE TABLE event(session_id TEXT, seq INTEGER, type TEXT,
                   processed_at INTEGER, body TEXT);
CREATE TABLE model_request(session_id TEXT, price_usd_micros INTEGER);
"""


class World:
    """A batch of two tasks, the second of which needed two attempts, and a
    session whose create's answer was lost: all as it should be."""

    def __init__(self):
        self.db = sqlite3.connect(":memory:")
        self.db.executescript(SCHEMA)
        self.names = ["one", "two"]
        self.tasks = [
            self.task("T1", "one", [self.attempt(1, "s1", 30)]),
            self.task("T2", "two", [self.attempt(1, "s2", 10),
                                    self.attempt(2, "s3", 20)]),
        ]
        self.session("s1", "T1", 1, 30)
        self.say("s1", "do one")
        self.session("s2", "T2", 1, 10)
        self.say("s2", "do two")
        self.session("s3", "T2", 2, 20)
        self.say("s3", "do two")
        self.session("idle", "T2", 2, 0)
        self.session("foreign", None, 0, 70)
        self.say("foreign", "hello")

    @staticmethod
    def attempt(number, session_id, charged):
        return {"number": number, "session_id": session_id,
                "charged_usd_micros": charged}

    @staticmethod
    def task(task_id, name, attempts):
        return {"task_id": task_id, "name": name, "state": "succeeded",
                "attempts": len(attempts), "attempt_list": attempts,
                "session_id": attempts[-1]["session_id"],
                "charged_usd_micros": sum(attempt["charged_usd_micros"]
                                          for attempt in attempts)}

    def session(self, session_id, task, attempt, charged):
        metadata = {"midwatch_task": task, "midwatch_attempt": str(attempt)}
        self.db.execute("INSERT INTO session VALUES (?, ?, ?)",
                        (session_id, json.dumps(metadata if task else {}),
                         charged))
        if charged:
            self.charge(session_id, charged)

    def charge(self, session_id, charged):
        self.db.execute("INSERT INTO model_request VALUES (?, ?)",
                        (session_id, charged))

    def say(self, session_id, text, processed=True):
        body = {"content": [{"type": "text", "text": text}]}
        self.db.execute(
            "INSERT INTO event VALUES (?, (SELECT count(*) FROM event),"
            " 'user.message', ?, ?)",
            (session_id, 1 if processed else None, json.dumps(body)))

    def check(self):
        """The checker's exit code and what it printed."""
        with tempfile.TemporaryDirectory() as folder:
            harness, export, names = (
                pathlib.Path(folder, name) for name in ("h.db", "e", "n"))
            self.db.commit()
            with sqlite3.connect(harness) as file:
                self.db.backup(file)
            file.close()
            export.write_text(
                "".join(json.dumps(task) + "\n" for task in self.tasks))
            names.write_text("".join(name + "\n" for name in self.names))
            done = subprocess.run(
                [sys.executable, CHECKER, harness, export, names],
                stdout=subprocess.PIPE, text=True, check=False)
            return done.returncode, done.stdout


class CheckerTest(unittest.TestCase):
    def setUp(self):
        self.world = World()

    def expect_breach(self, *sentences):
        code, printed = self.world.check()
        self.assertEqual(code, 1, printed)
        breaches = [line for line in printed.splitlines()
                    if "breaches=" not in line]
        self.assertEqual([f"checker: {sentence}" for sentence in sentences],
                         breaches)

    def test_nothing_to_say(self):
        code, printed = self.world.check()
        self.assertEqual(code, 0, printed)
        self.assertIn("tasks=2 {'succeeded': 2} attempts=3 sessions=4 worked=3 "
                      "charged_usd_micros=60 exported=60 breaches=0", printed)

    def test_task_missing(self):
        self.world.names.append("three")
        self.expect_breach(
            "task three: 0 times in the export, 1 times in the batch")

    def test_task_twice(self):
        again = dict(self.world.tasks[0], task_id="T9", attempts=0,
                     attempt_list=[], charged_usd_micros=0)
        self.world.tasks.append(again)
        self.expect_breach(
            "task one: 2 times in the export, 1 times in the batch")

    def test_task_nobody_asked_for(self):
        self.world.names.remove("two")
        self.expect_breach(
            "task two: 1 times in the export, 0 times in the batch")

    def test_id_twice(self):
        self.world.names.append("three")
        self.world.tasks.append(dict(self.world.tasks[0], name="three"))
        self.expect_breach("two tasks have the same id")

    def test_task_not_ended(self):
        self.world.tasks[0]["state"] = "running"
        self.expect_breach("task T1: running is no final state")

    def test_attempt_missing(self):
        self.world.tasks[1]["attempts"] = 3
        self.expect_breach("task T2: its attempts are [1, 2]")

    def test_succeeded_without_work(self):
        self.world.names.append("three")
        self.world.session("s4", "T3", 1, 0)
        self.world.tasks.append(
            self.world.task("T3", "three", [self.world.attempt(1, "s4", 0)]))
        self.expect_breach("task T3: succeeded without a session that worked")

    def test_two_charged_sessions(self):
        # The second is free only in money: its message was processed.
        self.world.session("dup", "T1", 1, 0)
        self.world.say("dup", "do one")
        self.expect_breach(
            "task T1 attempt 1: 2 charged sessions, s1, dup",
            "session dup: sent to, though never recorded")

    def test_unrecorded_session_sent_to(self):
        self.world.say("idle", "do two", processed=False)
        self.expect_breach("session idle: sent to, though never recorded")

    def test_first_message_twice(self):
        self.world.say("s1", "go on")
        self.world.say("s1", "do one", processed=False)
        self.expect_breach("session s1: its first message was sent twice")

    def test_session_of_unknown_task(self):
        self.world.session("stray", "T7", 1, 0)
        self.expect_breach("session stray: task T7 is unknown")

    def test_exported_session_missing(self):
        self.world.names.append("three")
        task = self.world.task("T3", "three",
                               [self.world.attempt(1, "gone", 0)])
        self.world.tasks.append(dict(task, state="failed"))
        self.expect_breach(
            "task T3 attempt 1: the harness has no session gone")

    def test_session_of_another_attempt(self):
        first, second = self.world.tasks[1]["attempt_list"]
        first["session_id"], second["session_id"] = "s3", "s2"
        first["charged_usd_micros"], second["charged_usd_micros"] = 20, 10
        self.expect_breach(
            "task T2 attempt 1: session s3 is another attempt's",
            "task T2 attempt 2: session s2 is another attempt's")

    def test_attempt_charged_otherwise(self):
        first, second = self.world.tasks[1]["attempt_list"]
        first["charged_usd_micros"] += 5
        second["charged_usd_micros"] -= 5
        self.expect_breach(
            "task T2 attempt 1: 15 in the export, the harness charged 10",
            "task T2 attempt 2: 15 in the export, the harness charged 20")

    def test_task_charged_otherwise(self):
        self.world.tasks[0]["charged_usd_micros"] = 29
        self.expect_breach("task T1: 29 in the export, the harness charged 30")

    def test_session_cost_otherwise(self):
        self.world.db.execute(
            "UPDATE session SET cost_usd_micros = 31 WHERE id = 's1'")
        self.expect_breach("session s1: cost 31, its model requests 30")


class LedgerTest(unittest.TestCase):
    """Two tasks of 10 each under a limit of 25 on all scopes; the second
    overshoots by 4, and a third has to wait until the queue's limit rises."""

    def setUp(self):
        self.rows = [
            self.limit("tenant acme", 60),
            self.limit("queue default", 25),
            self.limit("batch", 60),
            self.row("granted", "T1", reserved=10),
            self.row("granted", "T2", reserved=10),
            self.row("settled", "T1", reserved=-10, charged=5),
            self.row("settled", "T2", reserved=-10, charged=14, overshoot=4),
            self.limit("queue default", 40),
            self.row("granted", "T3", reserved=10),
            self.row("settled", "T3", reserved=-10, charged=10),
        ]

    @staticmethod
    def row(kind, task, reserved=0, charged=0, overshoot=0, reason=""):
        return {"kind": kind, "task_id": task, "reason": reason,
                "reserved_usd_micros": reserved, "charged_usd_micros": charged,
                "overshoot_usd_micros": overshoot}

    @classmethod
    def limit(cls, of, amount):
        return cls.row("budget_set", "",
                       reason=f"{of}, in total: {amount} micro-dollars")

    def audit(self):
        for sequence, row in enumerate(self.rows):
            row["sequence"] = sequence
        return ledger.audit(self.rows, next_cost=10)

    def test_nothing_to_say(self):
        books = self.audit()
        self.assertEqual(books.breaches, [])
        self.assertEqual((books.admissions, books.reserved, books.charged,
                          books.overshoot), (3, 0, 29, 4))
        self.assertEqual(books.full, {"queue": 1})
        self.assertEqual(books.limits,
                         {"tenant": [60], "queue": [25, 40], "batch": [60]})
        self.assertEqual(books.of_task, {"T1": 5, "T2": 14, "T3": 10})

    def test_admission_over_a_limit(self):
        del self.rows[7]
        self.assertEqual(self.audit().breaches, [
            "journal 7: 29 charged and reserved, the queue's limit is 25"])

    def test_limit_that_falls(self):
        self.rows[7] = self.limit("tenant acme", 20)
        self.assertIn(
            "journal 8: 29 charged and reserved, the tenant's limit is 20",
            self.audit().breaches)

    def test_more_charged_than_limit_and_overshoot(self):
        self.rows[6]["charged_usd_micros"] = 25
        self.assertIn("journal 6: 30 charged with 4 overshot, the queue's "
                      "limit is 25", self.audit().breaches)


if __name__ == "__main__":
    unittest.main()
