#!/usr/bin/env python3
"""Checks the job's answer against ones that share nothing with it but the data.

usage: check.py RESULTS [MINIMAP2.paf]     (the folder of the last stage's results)

What was placed of each read is compared with every place of the genome, on both strands: the fewest edits that
make it out of some stretch of the genome, by Myers' algorithm on integers as long as the read. It has no words, no
chains and no band, so it misses nothing; it takes about half a minute. With the output of Debian's minimap2,

    minimap2 -cx map-ont ../kmers/data/lambda.fa data/reads.fastq.gz > minimap2.paf

the places are also compared with those.
"""

import gzip
import sys
from pathlib import Path

HERE = Path(__file__).parent
COMPLEMENT = str.maketrans("ACGT", "TGCA")
AGREEMENT = 0.99  # the share of reads that must agree
NEAR = 50  # bases
EXCESS = 0.001  # of all edits: how many there may be more than the fewest possible
NOTHING_THERE = 0.38  # of a read's bases: a whole read that needs as many edits may be unplaced
BINS = 100  # bases of a bin


def main(results, paf=None):
    fasta = (HERE / "../kmers/data/lambda.fa").read_text().split()
    genome = "".join(line for line in fasta if set(line) <= set("ACGT"))
    lines = gzip.decompress((HERE / "data/reads.fastq.gz").read_bytes()).decode().split("\n")
    reads = {name[1:].split()[0]: bases for name, bases in zip(lines[0::4], lines[1::4])}
    table = read_table(Path(results) / "reads.tsv")
    checks = [
        tell("reads", list(table) == list(reads), f"{len(table)}, in the order of the file"),
        fewest_edits(genome, reads, table),
        covered(genome, Path(results), table),
    ]
    if paf:
        checks.append(minimap2(Path(paf), table))
    return 0 if all(checks) else 1


def tell(what, good, how):
    print(f"{what}: {how}" if good else f"{what}: WRONG: {how}")
    return good


def read_table(path):
    head, *lines = path.read_text().splitlines()
    rows = (dict(zip(head.split("\t"), line.split("\t"))) for line in lines)
    words = ("read", "strand")
    return {row["read"]: {key: value if key in words else int(value) for key, value in row.items()} for row in rows}


def unique(row):
    return row["strand"] != "*" and row["second"] <= row["score"] // 2


def fewest_edits(genome, reads, table):
    """The part of each read that was placed: fewer edits are nowhere, and so few only there."""
    theirs, fewest, as_few, near, placed, bad = 0, 0, 0, 0, 0, []
    for name, bases in reads.items():
        row = table[name]
        if row["strand"] == "*":
            edits = min(best_ends(genome, oriented)[0] for oriented in (bases, reverse(bases)))
            if edits < NOTHING_THERE * len(bases):
                bad.append(f"{name} is unplaced, but needs {edits} edits only")
            continue
        part = bases[row["read_start"] : row["read_end"]]
        found = {"+": best_ends(genome, part), "-": best_ends(genome, reverse(part))}
        (here, ends), (elsewhere, _) = found[row["strand"]], found["-" if row["strand"] == "+" else "+"]
        placed += 1
        if row["edits"] < here:
            bad.append(f"{name} cannot have so few edits as {row['edits']}")
        theirs += row["edits"]
        fewest += here
        as_few += row["edits"] == here
        good = here < elsewhere and min(abs(row["end"] - end) for end in ends) <= NEAR
        near += good
        if not good:
            there = f"{here} edits up to {ends[0]} on this strand and {elsewhere} on the other"
            print(f"  {name}: {there}, not {row['edits']} up to {row['end']}")
    how = f"{near} of {placed} placed reads are within {NEAR} bases of the best of all places; {as_few} have the "
    how += f"fewest edits possible, all {theirs} instead of {fewest}; {len(reads) - placed} are unplaced"
    good = not bad and placed > 0 and near >= AGREEMENT * placed and theirs <= fewest * (1 + EXCESS)
    return tell("edits", good, "; ".join([how, *bad]))


def reverse(bases):
    return bases.translate(COMPLEMENT)[::-1]


def best_ends(genome, read):
    """The fewest edits between the read and a stretch of the genome, and all ends of such stretches."""
    size = len(read)
    mask, top = (1 << size) - 1, 1 << (size - 1)
    matching = {base: int("".join("01"[letter == base] for letter in reversed(read)), 2) for base in "ACGT"}
    rises, falls, edits, least, ends = mask, 0, size, size, [0]
    for place, base in enumerate(genome, 1):
        equal = matching[base]
        vertical = equal | falls
        diagonal = (((equal & rises) + rises) ^ rises) | equal
        up, down = falls | (mask & ~(diagonal | rises)), rises & diagonal
        edits += bool(up & top) - bool(down & top)
        up, down = up << 1 & mask, down << 1 & mask
        rises, falls = down | (mask & ~(vertical | up)), up & vertical
        if edits < least:
            least, ends = edits, []
        if edits == least:
            ends.append(place)
    return least, ends


def covered(genome, results, table):
    """What the table of reads says about places, matches and edits must be what the bins add up to."""
    head, *lines = (results / "coverage.tsv").read_text().splitlines()
    bins = [dict(zip(head.split("\t"), map(float, line.split("\t")))) for line in lines]
    placed = [row for row in table.values() if row["strand"] != "*"]
    sums = {key: int(sum(row[key] for row in bins)) for key in head.split("\t")[3:]}
    bases = sums["forward"] + sums["reverse"]
    good = bases - sums["mismatched"] == sum(row["matches"] for row in placed)
    good &= sums["mismatched"] + sums["deleted"] + sums["inserted"] == sum(row["edits"] for row in placed)
    good &= bases + sums["deleted"] == sum(row["end"] - row["start"] for row in placed)
    good &= bases + sums["inserted"] == sum(row["read_end"] - row["read_start"] for row in placed)
    good &= len(bins) == -(-len(genome) // BINS)
    return tell("coverage", good, f"{len(bins)} bins with {bases} aligned bases, as many as the reads have")


def minimap2(path, table):
    """Both strands and both ends of the reads that both have in one place only."""
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    theirs = {}
    for row in rows:
        theirs.setdefault(row[0], []).append((row[4], int(row[7]), int(row[8]), int(row[11])))
    single = {name: found[0] for name, found in theirs.items() if len(found) == 1 and found[0][3] == 60}
    both = [name for name in single if name in table and unique(table[name])]
    near = 0
    for name in both:
        strand, start, end, _ = single[name]
        row = table[name]
        # One of the two may have left off a bad end of a read: the stretches must be the same but for that.
        shared = min(end, row["end"]) - max(start, row["start"])
        good = strand == row["strand"] and shared >= 0.9 * min(end - start, row["end"] - row["start"])
        near += good
        if not good:
            print(f"  {name}: {strand} {start} to {end} there, {row['strand']} {row['start']} to {row['end']} here")
    lost = [name for name in single if table.get(name, {"strand": "*"})["strand"] == "*"]
    how = f"{near} of {len(both)} reads that both have in one place only lie in the same; it finds {len(theirs)} reads"
    how += f", {len(lost)} of them not found here"
    return tell("minimap2", len(both) > 0 and near >= AGREEMENT * len(both) and not lost, how)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) in (2, 3) else __doc__)
