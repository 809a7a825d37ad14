// Counts the k-mers that start in one part of a genome: base counts and a sorted table on stdout.
//
// A k-mer and its reverse complement are the same stretch of DNA seen from its two strands; both
// count for whichever comes first in the alphabet (the canonical one).

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { K_MAX = 11, GENOME_BYTES_MAX = 1 << 24 };
enum { NOT_A_BASE = 4 };
static const char BASES[] = "ACGT";

static int code(char letter) {
    switch (letter) {
    case 'A': case 'a': return 0;
    case 'C': case 'c': return 1;
    case 'G': case 'g': return 2;
    case 'T': case 't': return 3;
    default: return NOT_A_BASE;
    }
}

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(2);
}

// The bases of a FASTA file as codes, without its headers and line ends.
static char *read_genome(const char *path, long *length) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        fail("the genome cannot be read");
    long size = ftell(file);
    if (size < 0 || size > GENOME_BYTES_MAX)
        fail("the genome is larger than 16 MiB");
    rewind(file);
    char *genome = malloc((size_t)size + 1);
    if (!genome || fread(genome, 1, (size_t)size, file) != (size_t)size)
        fail("the genome cannot be read");
    fclose(file);
    *length = 0;
    for (long i = 0, header = 0; i < size; i++) {
        char letter = genome[i];
        header = letter == '>' || (header && letter != '\n');
        if (!header && letter > ' ')
            genome[(*length)++] = (char)code(letter);
    }
    return genome;
}

// Adds the k-mers that start from `start` to before `end`; the last ones reach beyond `end`, so
// that parts which touch lose nothing and count nothing twice.
static void count(const char *genome, long length, long start, long end, int k, uint32_t *counts) {
    uint32_t mask = (1u << 2 * k) - 1, forward = 0, backward = 0;
    int known = 0;
    for (long i = start; i < length && i < end + k - 1; i++) {
        if (genome[i] == NOT_A_BASE) {
            known = 0;
            continue;
        }
        uint32_t base = (uint32_t)genome[i];
        forward = (forward << 2 | base) & mask;
        backward = backward >> 2 | (3 - base) << 2 * (k - 1);
        if (++known >= k)
            counts[forward < backward ? forward : backward]++;
    }
}

static void print(const uint32_t *counts, int k) {
    for (uint32_t kmer = 0; kmer >> 2 * k == 0; kmer++) {
        if (!counts[kmer])
            continue;
        for (int i = k - 1; i >= 0; i--)
            putchar(BASES[kmer >> 2 * i & 3]);
        printf("\t%u\n", counts[kmer]);
    }
}

int main(int argc, char **argv) {
    if (argc != 3 && argc != 5)
        fail("usage: kmers GENOME.fa K [START END]");
    int k = atoi(argv[2]);
    if (k < 1 || k > K_MAX)
        fail("K must be from 1 to 11");
    long length;
    char *genome = read_genome(argv[1], &length);
    long start = argc == 5 ? atol(argv[3]) : 0, end = argc == 5 ? atol(argv[4]) : length;
    end = end < length ? end : length;
    if (start < 0 || end < start)
        fail("START must not be beyond END or the genome");
    uint32_t *counts = calloc((size_t)1 << 2 * k, sizeof *counts);
    if (!counts)
        fail("out of memory");

    long bases[NOT_A_BASE + 1] = {0};
    for (long i = start; i < end; i++)
        bases[(int)genome[i]]++;
    printf("# %ld %ld %ld %ld %ld %ld\n", start, end, bases[0], bases[1], bases[2], bases[3]);
    count(genome, length, start, end, k, counts);
    print(counts, k);
    return ferror(stdout) ? 1 : 0;
}
