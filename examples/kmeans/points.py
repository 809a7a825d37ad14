#!/usr/bin/env python3
"""Scatters points around five places, from a seeded generator: points.py > data/points.txt"""

MASK = (1 << 64) - 1
# A place, how far points stray from it, and how many there are.
CLUSTERS = [(220, 230, 110, 500), (760, 210, 140, 700), (500, 520, 90, 400), (240, 780, 150, 800), (790, 760, 120, 600)]


def dice(state):
    """SplitMix64's number for a state, between 0 and 1."""
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return ((z ^ (z >> 31)) >> 11) / (1 << 53)


def points():
    """Each coordinate strays by the sum of eight dice, which is bell-shaped."""
    rolled = 0
    for x, y, spread, count in CLUSTERS:
        for _ in range(count):
            stray = [sum(dice(0x5EED + rolled + 8 * axis + i) - 0.5 for i in range(8)) for axis in (0, 1)]
            rolled += 16
            place = (x + spread * stray[0] * 0.9, y + spread * stray[1] * 0.9)
            yield dice(rolled << 20), [min(999, max(0, round(v))) for v in place]


if __name__ == "__main__":
    # Shuffled, so that no part of the file is one cluster.
    for _, (x, y) in sorted(points()):
        print(x, y)
