#!/usr/bin/env python3
"""Checks that the fault points are one list: each name in base/fault_points.cc
is one place in the product, each place has its name there, and the sweep
(tests/e2e/fault_points_test.py) has a case for each.

Prints each breach as FILE: what, and fails if there is one.
"""

import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = "base/fault_points.cc"
SWEEP = "tests/e2e/fault_points_test.py"

NAME = r'"((?:[a-z]+\.)+(?:before|after))"'
LISTED = re.compile(rf"^ +{NAME},", re.MULTILINE)
CALL = re.compile(r"\bFaultPoint\(\s*([^)]*?)\s*\)")
# A call whose name comes from elsewhere; that is still a literal somewhere.
NAMED_ELSEWHERE = {"base/fault_points.h", "store/group_commit.cc",
                   "scheduler/worker_api.cc"}


def sources():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard",
         "*.cc", "*.h"],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in sorted(listed.split()):
        if not name.startswith(("tests/", "bench/")) and name != LIST:
            yield name, (ROOT / name).read_text(encoding="utf-8")


def main():
    listed = LISTED.findall((ROOT / LIST).read_text(encoding="utf-8"))
    breaches = [f"{LIST}: {name} is there twice"
                for name, times in collections.Counter(listed).items()
                if times > 1]
    places = collections.Counter()
    for file, text in sources():
        for name in re.findall(NAME, text):
            places[name] += 1
            if name not in listed:
                breaches.append(f"{file}: {name} is not in {LIST}")
        for argument in CALL.findall(text):
            if not re.fullmatch(NAME, argument) and file not in NAMED_ELSEWHERE:
                breaches.append(f"{file}: FaultPoint({argument}): no name")
    for name in listed:
        if places[name] != 1:
            breaches.append(f"{LIST}: {name} is {places[name]} places")
    # As it is written: no module of another folder is loaded.
    cases = re.findall(rf"^ +{NAME}:", (ROOT / SWEEP).read_text(
        encoding="utf-8"), re.MULTILINE)
    for name in sorted(set(listed) ^ set(cases)):
        breaches.append(f"{SWEEP}: {name}: " + (
            "has no case" if name in listed else "is no fault point"))
    for breach in breaches:
        print(breach)
    print(f"{len(listed)} fault points checked, {len(breaches)} breaches")
    # A check of nothing passes nothing.
    sys.exit(1 if breaches or len(listed) < 50 else 0)


if __name__ == "__main__":
    main()
