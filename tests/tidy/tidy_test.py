#!/usr/bin/env python3
"""Checks the tree itself: who includes whom, and what only one file may use.

Run by ctest; prints each breach as FILE:LINE: why, and fails if there is one.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A folder may include itself and these (ARCHITECTURE.md, "Folders"). "proto"
# stands for the generated headers.
MAY_INCLUDE = {
    "base": set(),
    "net": {"base"},
    "artifacts": {"base", "net"},
    "store": {"base", "proto"},
    "scheduler": {"base", "net", "proto", "store", "artifacts"},
    "agents": {"base", "net"},
    "worker": {"base", "net", "proto", "agents", "artifacts"},
    "harness": {"base", "net", "artifacts"},
    "node": {"base", "net", "proto", "store", "artifacts", "scheduler",
             "agents", "worker", "harness"},
    "cli": {"base", "net", "proto", "store", "artifacts", "scheduler",
            "agents", "worker", "harness", "node"},
}

# Seams: what reaches outside the program stands in one file each, so that the
# simulator can take its place.
ONLY_IN = {
    r"\bsteady_timer\b": {"base/real_executor.cc"},
    r"\bsystem_clock\b": set(),
    r"\babsl::Now\b": {"base/real_clock.cc"},
    r"\bclock_gettime\b": {"base/real_clock.cc"},
    r"\brandom_device\b": set(),
    r"\babsl::BitGen\b": set(),
    r"\bgetrandom\b": {"base/random.cc"},
    r"\bstd::thread\b": {"base/thread.h", "base/thread.cc"},
    # Only tests take guards away, or end a process otherwise than by its end.
    r"\bguard_internal\b": {"base/guard.h", "base/guard.cc"},
    r"\bSetEndProcess\b": {"base/end_process.h", "base/end_process.cc"},
    r"\bsleep_for\b|\babsl::SleepFor\b|\busleep\(": set(),
}

# Their order changes from process to process, and a seed would not replay.
UNORDERED = re.compile(r"\b(flat_hash_(map|set)|unordered_(map|set))\b")
ORDERED_FOLDERS = {"scheduler", "worker", "store"}

# Headers that make every file that includes them slow to compile. Only sources,
# and headers that are private to one target, may name them.
HEAVY = re.compile(r'#include <(grpcpp/|boost/beast|curl/|boost/asio/co_spawn)')
HEAVY_HEADERS = {"scheduler/grpc_unary.h"}

# In a header of the curl, Beast and gRPC shells themselves.
SHELL_HEADER = re.compile(r"^(net/(curl|http_connection)|worker/grpc_"
                          r"|cli/(batch_watch|scheduler_connection))")

INCLUDE = re.compile(r'#include "([^"]+)"')


def sources():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard",
         "*.cc", "*.h"],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in sorted(listed.split()):
        path = ROOT / name
        if path.exists():
            yield name, path.read_text(encoding="utf-8").splitlines()


def code_of(line):
    return line.split("//", 1)[0]


def check(name, lines):
    folder = name.split("/", 1)[0]
    product = folder in MAY_INCLUDE
    for number, line in enumerate(lines, 1):
        where = f"{name}:{number}"
        found = INCLUDE.search(line)
        if found and product:
            target = found.group(1).split("/", 1)[0]
            if target == "midwatch":
                target = "proto"
            known = target in MAY_INCLUDE or target in ("proto", "tests", "cli")
            if known and target != folder and target not in MAY_INCLUDE[folder]:
                yield f"{where}: {folder}/ may not include {target}/"
        if product:
            code = code_of(line)
            for pattern, allowed in ONLY_IN.items():
                if name not in allowed and re.search(pattern, code):
                    yield f"{where}: uses {pattern}: go through its seam"
            if folder in ORDERED_FOLDERS and UNORDERED.search(code):
                yield f"{where}: an unordered container: use std::map or set"
        if (name.endswith(".h") and product and HEAVY.search(line)
                and name not in HEAVY_HEADERS and not SHELL_HEADER.match(name)):
            yield f"{where}: a heavy header: keep it in a source file"
    if name.endswith(".h"):
        guard = "MIDWATCH_" + re.sub(r"[^A-Za-z0-9]", "_", name).upper() + "_"
        if f"#ifndef {guard}" not in lines:
            yield f"{name}:1: expected the include guard {guard}"


def main():
    checked = 0
    breaches = []
    for name, lines in sources():
        checked += 1
        breaches.extend(check(name, lines))
    for breach in breaches:
        print(breach)
    print(f"{checked} files checked, {len(breaches)} breaches")
    # A check of nothing passes nothing.
    sys.exit(1 if breaches or checked < 50 else 0)


if __name__ == "__main__":
    main()
