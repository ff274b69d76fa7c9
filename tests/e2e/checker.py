#!/usr/bin/env python3
"""Checks what a batch did against what the harness saw.

Shares nothing with the product: it reads the harness's database, whose tables
are a contract (docs/harness-log.md), and `midwatch export`, and wants

  - every task of the batch in the export once, and ended;
  - at most one charged session for each attempt, and it is the one exported;
  - nothing said to a session that no attempt ended with, and the first message
    once to each of the others;
  - every session with our mark explained by the export, and the reverse;
  - what the harness charged, task by task, in the export to the micro-dollar.

Prints counts, then each breach; exits with 1 if there is one.

  checker.py HARNESS_DB EXPORT_JSONL TASK_NAMES
"""

import collections
import contextlib
import json
import sqlite3
import sys
import types

FINAL = {"succeeded", "failed", "cancelled", "skipped"}


def read_sessions(path):
    """Every session with our mark, by id.

    cost: by its own account; charged: by its model requests; worked: a message
    was processed or a model asked, which is what is charged for.
    """
    sessions = {}
    uri = f"file:{path}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
        for session_id, metadata, cost in db.execute(
                "SELECT id, metadata, cost_usd_micros FROM session"):
            metadata = json.loads(metadata)
            if "midwatch_task" in metadata:
                sessions[session_id] = types.SimpleNamespace(
                    id=session_id, key=(metadata["midwatch_task"],
                                        int(metadata["midwatch_attempt"])),
                    cost=cost, charged=0, messages=[], worked=False)
        for session_id, kind, processed_at, body in db.execute(
                "SELECT session_id, type, processed_at, body FROM event"
                " WHERE type IN ('user.message', 'span.model_request_start')"
                " ORDER BY session_id, seq"):
            if session := sessions.get(session_id):
                session.worked |= processed_at is not None
                if kind == "user.message":
                    session.messages.append(json.loads(body)["content"])
        for session_id, price in db.execute(
                "SELECT session_id, price_usd_micros FROM model_request"):
            if session := sessions.get(session_id):
                session.charged += price
                session.worked = True
    return sessions


def check(sessions, tasks, names):
    """The breaches, one sentence each."""
    breaches = []
    breach = breaches.append
    exported = collections.Counter(task["name"] for task in tasks)
    for name in sorted(set(names) | set(exported)):
        if exported[name] != names.count(name):
            breach(f"task {name}: {exported[name]} times in the export, "
                   f"{names.count(name)} times in the batch")
    ids = {task["task_id"] for task in tasks}
    if len(ids) != len(tasks):
        breach("two tasks have the same id")
    of_attempt = collections.defaultdict(list)  # charged sessions
    of_task = collections.Counter()  # what the harness charged
    for session in sessions.values():
        if session.key[0] not in ids:
            breach(f"session {session.id}: task {session.key[0]} is unknown")
        if session.cost != session.charged:
            breach(f"session {session.id}: cost {session.cost}, its model "
                   f"requests {session.charged}")
        of_task[session.key[0]] += session.charged
        if session.worked:
            of_attempt[session.key].append(session.id)
        if session.messages.count((session.messages or [""])[0]) > 1:
            breach(f"session {session.id}: its first message was sent twice")
    for (task, number), charged in sorted(of_attempt.items()):
        if len(charged) > 1:
            breach(f"task {task} attempt {number}: {len(charged)} charged "
                   f"sessions, {', '.join(charged)}")
    recorded = set()
    for task in tasks:
        for attempt in task["attempt_list"]:
            key = (task["task_id"], attempt["number"])
            where = f"task {key[0]} attempt {key[1]}"
            session_id = attempt["session_id"]
            session = sessions.get(session_id)
            recorded.add(session_id)
            if session_id and session is None:
                breach(f"{where}: the harness has no session {session_id}")
            if session and session.key != key:
                breach(f"{where}: session {session_id} is another attempt's")
            saw = session.charged if session else 0
            if attempt["charged_usd_micros"] != saw:
                breach(f"{where}: {attempt['charged_usd_micros']} in the "
                       f"export, the harness charged {saw}")
        where = f"task {task['task_id']}"
        numbers = [attempt["number"] for attempt in task["attempt_list"]]
        if numbers != list(range(1, task["attempts"] + 1)):
            breach(f"{where}: its attempts are {numbers}")
        if task["charged_usd_micros"] != of_task[task["task_id"]]:
            breach(f"{where}: {task['charged_usd_micros']} in the export, the "
                   f"harness charged {of_task[task['task_id']]}")
        if task["state"] not in FINAL:
            breach(f"{where}: {task['state']} is no final state")
        session = sessions.get(task["session_id"])
        if task["state"] == "succeeded" and not (session and session.worked):
            breach(f"{where}: succeeded without a session that worked")
    for session in sessions.values():
        if session.messages and session.id not in recorded:
            breach(f"session {session.id}: sent to, though never recorded")
    return breaches


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    _, harness, export, names = sys.argv
    sessions = read_sessions(harness)
    with open(export, encoding="utf-8") as lines:
        tasks = [json.loads(line) for line in lines]
    with open(names, encoding="utf-8") as lines:
        names = [line.rstrip("\n") for line in lines]
    breaches = check(sessions, tasks, names)
    states = collections.Counter(task["state"] for task in tasks)
    print(f"checker: tasks={len(tasks)} {dict(states)}"
          f" attempts={sum(len(task['attempt_list']) for task in tasks)}"
          f" sessions={len(sessions)}"
          f" worked={sum(s.worked for s in sessions.values())}"
          f" charged_usd_micros={sum(s.charged for s in sessions.values())}"
          f" exported={sum(task['charged_usd_micros'] for task in tasks)}"
          f" breaches={len(breaches)}")
    for breach in breaches:
        print(f"checker: {breach}")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
