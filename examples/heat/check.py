#!/usr/bin/env python3
"""Checks the picture against the closed form: no step is made here, however many the job has made.

On a plate with cold edges each pattern sin(pi p x/n) sin(pi q y/n) keeps its shape and fades at its own rate.
The start is taken apart into such patterns, each is faded, and they are added up again.

usage: check.py HEAT.png     (the last stage's)
"""

import sys
import zlib
from math import cos, pi, sin
from pathlib import Path

SIDE, PER_SIDE = 96, 4
STEPS = [0, 10, 25, 50, 100, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200, 4000]
N = SIDE - 1
INNER = range(1, N)


def main(path):
    rows = pixels(Path(path).read_bytes())
    waves = [[sin(pi * p * x / N) for x in INNER] for p in INNER]
    patterns = both(waves, [[start(x, y) for x in INNER] for y in INNER])
    worst = 0
    for at, steps in enumerate(STEPS):
        plate = both(waves, faded(patterns, steps))
        top, left = at // PER_SIDE * SIDE + 1, at % PER_SIDE * SIDE + 1
        for y, cells in enumerate(plate):
            row = rows[top + y][3 * left : 3 * (left + N - 1)]
            ours = [shade(3 * cell - colour) for cell in cells for colour in range(3)]
            worst = max(worst, max(abs(a - b) for a, b in zip(row, ours)))
    # A half may be rounded up here and down there.
    verdict = "the same" if worst <= 1 else "DIFFERENT"
    print(f"{verdict}: {len(STEPS)} plates, no colour off by more than {worst} of 255")
    return 0 if worst <= 1 else 1


def start(x, y):
    across, down = 16 * x // SIDE, 16 * y // SIDE
    if 2 <= down < 10 and across in (3, 7):
        return 1.0
    return 0.75 if 9 <= down < 13 and 9 <= across < 13 else 0.0


def faded(patterns, steps):
    fade = [[0.2 + 0.4 * (cos(pi * p / N) + cos(pi * q / N)) for p in INNER] for q in INNER]
    scale = (2 / N) ** 2
    return [[v * f**steps * scale for v, f in zip(*rows)] for rows in zip(patterns, fade)]


def both(waves, cells):
    """The sine transform of rows and columns, which is its own inverse but for a factor."""
    return product(waves, transposed(product(waves, transposed(cells))))


def product(a, b):
    columns = transposed(b)
    return [[sum(x * y for x, y in zip(row, column)) for column in columns] for row in a]


def transposed(cells):
    return list(map(list, zip(*cells)))


def shade(value):
    return int(255 * min(1, max(0, value)) + 0.5)


def pixels(png):
    """The rows of a PNG with 8 bits for each of three colours."""
    at, data, width = 8, b"", 0
    while at < len(png):
        size, kind = int.from_bytes(png[at : at + 4], "big"), png[at + 4 : at + 8]
        body = png[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width = int.from_bytes(body[:4], "big")
        data += body if kind == b"IDAT" else b""
        at += 12 + size
    lines, length, above, rows = zlib.decompress(data), 3 * width + 1, bytes(3 * width), []
    for line in (lines[i : i + length] for i in range(0, len(lines), length)):
        above = unfiltered(line[0], line[1:], above)
        rows.append(above)
    return rows


def unfiltered(kind, line, above):
    row = bytearray(line)
    for i in range(len(row)):
        left, up, corner = (row[i - 3], above[i], above[i - 3]) if 3 <= i else (0, above[i], 0)
        nearest = min((left, up, corner), key=lambda v: abs(left + up - corner - v))
        row[i] = row[i] + (0, left, up, (left + up) // 2, nearest)[kind] & 255
    return bytes(row)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) == 2 else __doc__)
