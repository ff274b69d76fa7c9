#!/usr/bin/env python3
"""Checks with readelf that the binary is hardened: a flag that is lost on its
way to the compiler or linker would be missed by nobody else.

usage: hardening_test.py BINARY
"""

import re
import subprocess
import sys

# What must be in which part of readelf's output.
WANTED = [
    ("position independent", "--file-header", r"Type: +DYN "),
    ("relocations are read-only", "--program-headers", r"GNU_RELRO"),
    ("bound at start", "--dynamic", r"FLAGS_1.*\bNOW\b"),
    ("an executable, not a library", "--dynamic", r"FLAGS_1.*\bPIE\b"),
    ("the stack is not executable", "--program-headers",
     r"GNU_STACK(?: +0x[0-9a-f]+)+ +RW +0x"),
    ("stack protector", "--dyn-syms", r"\b__stack_chk_fail\b"),
    ("fortified calls", "--dyn-syms", r"\b__\w+_chk\b"),
    ("the library's assertions", "--dyn-syms", r"__glibcxx_assert_fail"),
]


def main():
    binary = sys.argv[1]
    missing = 0
    for what, part, pattern in WANTED:
        text = subprocess.run(["readelf", "--wide", part, binary], check=True,
                              capture_output=True, text=True).stdout
        if not re.search(pattern, text):
            print(f"{binary}: missing: {what} (readelf {part})")
            missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
