#!/usr/bin/env python3
"""Checks the job's answer against k-means on all points at once, in fractions instead of whole numbers.

usage: check.py STDOUT     (the last stage's)
"""

import sys
from fractions import Fraction
from pathlib import Path

DATA = Path(__file__).parent / "data"


def main(stdout_path):
    points = [complex(*map(int, line.split())) for line in (DATA / "points.txt").read_text().splitlines()]
    start = [complex(*map(int, line.split())) / 100 for line in (DATA / "start.txt").read_text().splitlines()]
    rounds, centres, clusters = kmeans(points, start)
    lines = [f"after {rounds} rounds:", "centre            points"]
    lines += [f"{c.real:6.2f}, {c.imag:6.2f}  {len(own):8}" for c, own in zip(centres, clusters)]
    theirs = Path(stdout_path).read_text().splitlines()
    same = theirs == lines
    print(f"the same, {len(lines)} lines" if same else f"DIFFERENT\n{theirs}\n{lines}")
    return 0 if same else 1


def kmeans(points, centres):
    rounds = 0
    while True:
        rounds += 1
        clusters = [[] for _ in centres]
        for point in points:
            distances = [abs(point - centre) for centre in centres]
            clusters[distances.index(min(distances))].append(point)
        moved = [mean(own) if own else centre for own, centre in zip(clusters, centres)]
        if moved == centres:
            return rounds, centres, clusters
        centres = moved


def mean(points):
    """To hundredths, as the job has centres; halves up."""
    parts = ([int(p.real) for p in points], [int(p.imag) for p in points])
    x, y = (int(Fraction(100 * sum(part), len(part)) + Fraction(1, 2)) / 100 for part in parts)
    return complex(x, y)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) == 2 else __doc__)
