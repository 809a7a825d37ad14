#!/usr/bin/env python3
"""Checks the job's answer against one that shares nothing with it but the genome.

usage: check.py SUMMARY TABLE.tsv     (the last stage's stdout and its kmers.tsv)
"""

import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

K, BLOCK, TOP = 8, 1024, 20
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def main(summary_path, table_path):
    lines = (Path(__file__).parent / "data" / "lambda.fa").read_text().split()
    genome = "".join(line for line in lines if set(line) <= set("ACGT"))
    counts = count(genome)
    table = "".join(f"{kmer}\t{n}\n" for kmer, n in sorted(counts.items()))
    same = [
        compare("summary", Path(summary_path).read_text(), summary(genome, counts)),
        compare("table", Path(table_path).read_text(), table),
    ]
    return 0 if all(same) else 1


def count(genome):
    """Each k-mer under the first, in the alphabet, of its two spellings."""
    kmers = (genome[i : i + K] for i in range(len(genome) - K + 1))
    return Counter(min(kmer, kmer.translate(COMPLEMENT)[::-1]) for kmer in kmers)


def summary(genome, counts):
    a, c, g, t = (genome.count(base) for base in "ACGT")
    starts = range(0, len(genome), BLOCK)
    parts = [(start, min(start + BLOCK, len(genome))) for start in starts]
    gc = {part: Fraction(sum(map(genome[slice(*part)].count, "CG")), part[1] - part[0]) for part in parts}
    low, high = (
        f"{float(100 * gc[part]):.2f} % ({part[0]} to {part[1]})"
        for part in (min(parts, key=gc.get), max(parts, key=gc.get))
    )
    once = sum(n == 1 for n in counts.values())
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP]
    lines = [
        f"bases      {len(genome)} (A {a}, C {c}, G {g}, T {t})",
        f"GC         {100 * (c + g) / len(genome):.2f} %; by parts from {low} to {high}",
        f"GC skew    {(g - c) / (g + c):.4f}",
        f"{K}-mers     {sum(counts.values())}, of them {len(counts)} distinct, {once} occur once",
        f"the {TOP} most frequent, either strand:",
    ] + [f"  {kmer}  {n}" for kmer, n in top]
    return "\n".join(lines) + "\n"


def compare(what, theirs, ours):
    if theirs == ours:
        print(f"{what}: the same, {len(ours.splitlines())} lines")
        return True
    pairs = zip(theirs.splitlines() + ["(end)"], ours.splitlines() + ["(end)"])
    first = next((pair for pair in pairs if pair[0] != pair[1]), ("(line ends differ)", ""))
    print(f"{what}: DIFFERENT\n  the job: {first[0]}\n  here:    {first[1]}")
    return False


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) == 3 else __doc__)
