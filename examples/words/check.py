#!/usr/bin/env python3
"""Checks the job's answer against a count that shares nothing with it but the text.

usage: check.py STDOUT WORDS.txt     (the last stage's stdout and its words.txt)
"""

import sys
from collections import Counter
from pathlib import Path

TOP = 20


def main(stdout_path, table_path):
    counts = Counter((Path(__file__).parent / "data" / "text.txt").read_bytes().split())
    table = b"".join(b"%s %d\n" % item for item in sorted(counts.items()))
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP]
    head = b"%d words, %d different; the most frequent:\n" % (sum(counts.values()), len(counts))
    stdout = head + b"".join(b"%s %d\n" % item for item in top)
    same = [
        compare("top list", Path(stdout_path).read_bytes(), stdout),
        compare("table", Path(table_path).read_bytes(), table),
    ]
    return 0 if all(same) else 1


def compare(what, theirs, ours):
    lines = len(ours.splitlines())
    print(f"{what}: the same, {lines} lines" if theirs == ours else f"{what}: DIFFERENT")
    return theirs == ours


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) == 3 else __doc__)
