"""Adds a journal up, row by row, and shares nothing with the product.

Scopes are "tenant", "queue" and "batch"; the journal is of one of each, so that
every row counts in all of them.
"""

import collections
import re
import types

import cluster as mw

_BUDGET_SET = re.compile(r"(tenant|queue|batch)\b.*: (\d+) micro-dollars")


def audit(entries, next_cost):
    """The sums of `entries`, and the breaches, one sentence each: money set
    aside past a limit, and more charged than a limit and what was overshot.

    limits: by scope, the limits that it had, one after the other, as
    "budget_set" rows say; it is for the caller to know them.
    full: by scope, how many admissions came after one that had left no room for
    `next_cost`, and so had to wait.
    """
    books = types.SimpleNamespace(
        reserved=0, charged=0, overshoot=0, admissions=0, breaches=[],
        full=collections.Counter(), of_task=collections.Counter(),
        limits=collections.defaultdict(list))
    limits = {}
    full = []
    for entry in entries:
        if entry["kind"] == "budget_set":
            scope, limit = _BUDGET_SET.fullmatch(entry["reason"]).groups()
            if limits.get(scope) != int(limit):  # else it was said again
                limits[scope] = int(limit)
                books.limits[scope].append(int(limit))
            continue
        books.reserved += entry["reserved_usd_micros"]
        books.charged += entry["charged_usd_micros"]
        books.overshoot += entry["overshoot_usd_micros"]
        books.of_task[entry["task_id"]] += entry["charged_usd_micros"]
        taken = books.reserved + books.charged
        admits = entry["reserved_usd_micros"] > 0
        if admits:
            books.admissions += 1
            books.full.update(full)
            full = [scope for scope, limit in limits.items()
                    if taken + next_cost > limit]
        where = f"journal {entry['sequence']}"
        for scope, limit in limits.items():
            if admits and taken > limit:
                books.breaches.append(
                    f"{where}: {taken} charged and reserved, the {scope}'s "
                    f"limit is {limit}")
            if books.charged > limit + books.overshoot:
                books.breaches.append(
                    f"{where}: {books.charged} charged with {books.overshoot} "
                    f"overshot, the {scope}'s limit is {limit}")
    return books


def check(cluster, next_cost, tasks, scopes=("tenant", "queue", "batch")):
    """The audited journal of all that the cluster did, once all is settled.
    Failure where it has a breach, or where the harness, the tasks or the
    balances that `midwatch budget list` shows, one for each of `scopes`, say
    otherwise."""
    books = audit(cluster.journal("--all"), next_cost)
    breaches = books.breaches
    spent = mw.read_harness(
        cluster.harness_db,
        "SELECT sum(price_usd_micros) FROM model_request")[0][0]
    if (books.reserved, books.charged) != (0, spent):
        breaches.append(f"the journal has {books.charged} charged and "
                        f"{books.reserved} reserved; the harness charged "
                        f"{spent}")
    for task in tasks:
        if books.of_task[task["task_id"]] != task["charged_usd_micros"]:
            breaches.append(f"task {task['name']}: its journal differs")
    budgets = mw.json_lines(cluster.midwatch("--output", "json", "budget",
                                             "list"))
    sums = (books.reserved, books.charged, books.overshoot)
    for budget in budgets:
        shown = (budget["reserved_usd_micros"], budget["charged_usd_micros"],
                 budget["overshoot_usd_micros"])
        if shown != sums:
            breaches.append(f"the journal has {sums}, the budget {budget}")
    if {budget["scope"] for budget in budgets} != set(scopes):
        breaches.append(f"there are budgets {budgets}")
    if breaches:
        raise mw.Failure("\n".join(breaches[:20]))
    print(f"ledger: admissions={books.admissions} full={dict(books.full)} "
          f"charged={books.charged} overshoot={books.overshoot} "
          f"harness={spent}", flush=True)
    return books
