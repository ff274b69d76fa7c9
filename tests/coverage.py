#!/usr/bin/env python3
"""Lists how many lines of each folder the tests ran. ./dev coverage calls it.

usage: coverage.py BUILD_FOLDER, which holds tests.profdata

What a killed process ran is not counted: it had no time to write it down.
"""

import collections
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


def binaries(build):
    for folder in ("tests", "cli"):
        for path in sorted((build / folder).rglob("*")):
            if path.is_file() and os.access(path, os.X_OK) and not path.suffix:
                yield path


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    first, *others = binaries(build)
    command = ["llvm-cov-16", "export", "--summary-only",
               f"--instr-profile={build / 'tests.profdata'}", str(first)]
    for path in others:
        command += ["--object", str(path)]
    report = json.loads(
        subprocess.run(command, check=True, capture_output=True).stdout)

    reached, lines = collections.Counter(), collections.Counter()
    for file in report["data"][0]["files"]:
        path = pathlib.Path(file["filename"])
        if build in path.parents or ROOT not in path.parents:
            continue  # generated, or a library's
        folder = path.relative_to(ROOT).parts[0]
        if folder == "tests":
            continue
        for key in (folder, "all"):
            reached[key] += file["summary"]["lines"]["covered"]
            lines[key] += file["summary"]["lines"]["count"]
    for key in sorted(lines, key=lambda k: (k == "all", k)):
        print(f"{key:12}{reached[key]:7} of {lines[key]:6} lines"
              f"{100 * reached[key] / lines[key]:7.1f} %")


if __name__ == "__main__":
    main()
