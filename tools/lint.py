#!/usr/bin/env python3
"""Checks the tracked files without running them; `./dev lint` calls it.

Prints a line for each check, with its time, and what a failed one said. All
checks run, whatever the others say; exits 1 if any failed.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/lint"
BIN = ROOT / "build/npm/node_modules/.bin"

CLANG_FORMAT = "clang-format-14"
# 16 knows the most about optionals and moves of those that Debian 12 has.
CLANG_TIDY = "clang-tidy-16"

# What buildifier advises for newer Bazels than Debian's 4.2.3: there cc_library
# and the others are native, and load() of them is a stub.
NEW_BAZEL_WARNINGS = [
    "native-cc-binary", "native-cc-common", "native-cc-debug-package-info",
    "native-cc-fdo-prefetch-hints", "native-cc-fdo-profile",
    "native-cc-import", "native-cc-info", "native-cc-library",
    "native-cc-memprof-profile", "native-cc-objc-import",
    "native-cc-objc-library", "native-cc-propeller-optimize",
    "native-cc-proto", "native-cc-shared-library",
    "native-cc-shared-library-info", "native-cc-test", "native-cc-toolchain",
    "native-cc-toolchain-suite", "native-java-binary", "native-java-library",
    "native-proto", "native-py", "native-sh-binary", "native-sh-library",
    "native-sh-test",
    # A rule in WORKSPACE has no name to hand on, and one line is docstring
    # enough.
    "unnamed-macro", "module-docstring", "function-docstring",
    "function-docstring-header", "function-docstring-args",
    "function-docstring-return",
]

# What a check found. `summary` goes on its line; `problems` are shown where
# there are any, and then `mend` says what to do.
Result = collections.namedtuple("Result", "summary problems mend")


def run(*command, **kwargs):
    """Runs a command from the root; returns (exit code, output)."""
    done = subprocess.run([str(c) for c in command], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, **kwargs)
    return done.returncode, done.stdout.strip()


def tracked(*patterns):
    code, out = run("git", "ls-files", *patterns)
    if code != 0:
        raise RuntimeError(out)
    return [name for name in out.splitlines() if (ROOT / name).exists()]


def problems_of(code, out):
    if code == 0:
        return []
    return out.splitlines() or [f"exit code {code}, and not a word"]


def count(files, noun="file"):
    return f"{len(files)} {noun}" + ("" if len(files) == 1 else "s")


def check_protos():
    return Result("", problems_of(*run(BIN / "buf", "lint")),
                  "mend the proto; an exception needs its reason in buf.yaml")


def check_proto_format():
    code, out = run(BIN / "buf", "format", "--diff", "--exit-code")
    return Result("", problems_of(code, out), "run ./dev format")


def check_breaking():
    code, tag = run("git", "describe", "--tags", "--abbrev=0",
                    "--match", "v[0-9]*")
    if code != 0:
        return Result("no release tag (v*) to compare with yet", [], "")
    with tempfile.TemporaryDirectory() as before:
        archive = subprocess.run(
            ["git", "archive", tag, "--", "proto", "buf.yaml"], cwd=ROOT,
            stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(["tar", "-x", "-C", before], input=archive, check=True)
        code, out = run(BIN / "buf", "breaking", "--against", before)
    return Result(f"against {tag}", problems_of(code, out),
                  "keep what clients were promised: add a field or a method, "
                  "and mark the old one deprecated")


def check_cc_format():
    files = tracked("*.cc", "*.h")
    code, out = run(CLANG_FORMAT, "--dry-run", "-Werror", *files)
    # Each with its line; the excerpts under it help nobody.
    problems = [line.split(": error:")[0] for line in out.splitlines()
                if ": error:" in line]
    if code != 0 and not problems:
        problems = problems_of(code, out)
    return Result(count(files), problems, "run ./dev format")


def check_bazel():
    files = tracked("WORKSPACE", "*.bazel", "*.bzl", "*BUILD")
    if not files:
        return Result("no Bazel files", [], "")
    warnings = ",".join("-" + name for name in NEW_BAZEL_WARNINGS)
    # Lists stand in the order of CMakeLists.txt, not of the alphabet.
    code, out = run(BIN / "buildifier", "-mode=check",
                    "-buildifier_disable=listsort", "-lint=warn",
                    f"-warnings={warnings}", *files)
    return Result(count(files), problems_of(code, out),
                  "run ./dev format; what is left is to mend by hand")


def shell_scripts():
    for name in tracked():
        if name.endswith(".sh"):
            yield name
        elif (ROOT / name).is_file():
            with (ROOT / name).open("rb") as file:
                first = file.readline(100)
            if re.match(rb"#!.*\b(ba|da)?sh\b", first):
                yield name


def check_shell():
    files = list(shell_scripts())
    return Result(count(files),
                  problems_of(*run("shellcheck", "--format=gcc", *files)),
                  "mend the script")


def check_links():
    code, out = run("/usr/bin/python3", "tests/tidy/links_test.py")
    return Result(out.splitlines()[-1] if out else "", problems_of(code, out),
                  "mend the link, or what it names")


def changed_sources():
    """The sources that differ from main, and those of headers that do."""
    code, base = run("git", "merge-base", "HEAD", "main")
    if code != 0:
        raise RuntimeError("no branch 'main' to compare with")
    names = run("git", "diff", "--name-only", "--diff-filter=d",
                base, "--", "*.cc", "*.h")[1].splitlines()
    names += run("git", "ls-files", "--others", "--exclude-standard",
                 "*.cc", "*.h")[1].splitlines()
    sources = {re.sub(r"\.h$", ".cc", name) for name in names}
    return sorted(name for name in sources if (ROOT / name).exists())


def tidy_one(name):
    # The flags are gcc's, of which clang does not know all.
    return run(CLANG_TIDY, "-p", BUILD, "--quiet",
               "--extra-arg=-Wno-unknown-warning-option", name)


def check_tidy(only_changed):
    built = {os.path.relpath(entry["file"], ROOT) for entry in
             json.loads((BUILD / "compile_commands.json").read_text())}
    wanted = changed_sources() if only_changed else tracked("*.cc")
    files = [name for name in wanted if name in built]
    left_out = [name for name in wanted if name not in built]
    summary = count(files)
    if left_out:
        summary += (f"; {count(left_out)} not in this build: "
                    + ", ".join(left_out[:3] + ["..."] * (len(left_out) > 3)))
    # The largest first: they decide when the last one ends.
    files.sort(key=lambda name: -(ROOT / name).stat().st_size)
    problems = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for code, out in pool.map(tidy_one, files):
            if code == 0:
                continue
            # A header's finding comes with each file that includes it.
            for line in out.splitlines():
                if line not in problems and not re.match(r"\d+ warning", line):
                    problems.append(line)
    if only_changed is False and not files:
        problems.append("no file to check: is build/lint configured?")
    return Result(summary, problems,
                  "mend it; .clang-tidy says what each check is for")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changed", action="store_true",
                        help="clang-tidy only on what differs from main")
    args = parser.parse_args()
    checks = [
        ("protos: lint", check_protos),
        ("protos: format", check_proto_format),
        ("protos: breaking changes", check_breaking),
        ("C++: format", check_cc_format),
        ("Bazel: buildifier", check_bazel),
        ("shell: shellcheck", check_shell),
        ("documents: links", check_links),
        ("C++: clang-tidy", lambda: check_tidy(args.changed)),
    ]
    failed = []
    for name, check in checks:
        start = time.monotonic()
        try:
            result = check()
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            result = Result("", [f"{type(error).__name__}: {error}"],
                            "the check itself did not run")
        verdict = "FAILED" if result.problems else "ok"
        line = f"{verdict:6}  {time.monotonic() - start:6.1f} s  {name}"
        print(line + (f" ({result.summary})" if result.summary else ""))
        if result.problems:
            failed.append(name)
            for problem in result.problems:
                print("    " + problem)
            print("    => " + result.mend)
        sys.stdout.flush()
    if failed:
        print(f"{len(failed)} of {len(checks)} checks failed: "
              + ", ".join(failed))
        sys.exit(1)


if __name__ == "__main__":
    main()
