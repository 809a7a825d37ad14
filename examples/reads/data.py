#!/usr/bin/env python3
"""Takes reads out of the source of racon 1.5.0: the way data/reads.fastq.gz was made.

usage: data.py racon_1.5.0.orig.tar.gz 128 data/reads.fastq.gz     (236 for all that there are)
"""

import gzip
import sys
import tarfile
from itertools import islice

MEMBER = "racon-1.5.0/test/data/sample_reads.fastq.gz"


def main(archive, count, path):
    with tarfile.open(archive) as files, gzip.open(files.extractfile(MEMBER), "rt") as lines:
        reads = list(islice(whole_reads(line.rstrip("\n") for line in lines), int(count)))
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write("".join(f"@{name}\n{bases}\n+\n{quality}\n" for name, bases, quality in reads).encode())
    print(f"{len(reads)} reads, {sum(len(bases) for _, bases, _ in reads)} bases")


def whole_reads(lines):
    """There, bases and qualities are broken into lines of eighty."""
    for name in lines:
        bases = "".join(iter(lambda: next(lines), "+"))
        quality = ""
        while len(quality) < len(bases):
            quality += next(lines)
        yield name[1:], bases, quality


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) == 4 else __doc__)
