// Adds up the tables that `kmers` printed for the parts of a genome: a summary and one whole table.

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { K_MAX = 11, LINE_BYTES_MAX = 256, PATH_BYTES_MAX = 512 };
static const char BASES[] = "ACGT";

// A part of the genome and how many of its bases are G or C.
typedef struct {
    long start, end, gc;
} Part;

typedef struct {
    int k;
    uint32_t *counts; // one place per k-mer, in alphabetical order
    long bases[4];
    Part poorest, richest;
} Sums;

static void fail(const char *what, const char *which) {
    fprintf(stderr, "%s: %s\n", which, what);
    exit(2);
}

static size_t places(const Sums *sums) {
    return (size_t)1 << 2 * sums->k;
}

static double gc_percent(Part part) {
    return 100.0 * (double)part.gc / (double)(part.end - part.start);
}

// Compares the shares of G and C, in whole numbers.
static int poorer(Part one, Part other) {
    return one.gc * (other.end - other.start) < other.gc * (one.end - one.start);
}

// "# start end A C G T": what stands at the head of each table.
static void add_bases(Sums *sums, const char *line, const char *path) {
    long bases[4];
    Part part;
    if (sscanf(line, "# %ld %ld %ld %ld %ld %ld", &part.start, &part.end, bases, bases + 1,
               bases + 2, bases + 3) != 6 ||
        part.end <= part.start)
        fail("the head of the table is broken", path);
    for (int i = 0; i < 4; i++)
        sums->bases[i] += bases[i];
    part.gc = bases[1] + bases[2];
    int first = sums->richest.end == 0;
    if (first || poorer(part, sums->poorest))
        sums->poorest = part;
    if (first || poorer(sums->richest, part))
        sums->richest = part;
}

// "ACGT…<tab>count".
static void add_kmer(Sums *sums, const char *line, const char *path) {
    int k = (int)strcspn(line, "\t");
    if (!sums->k && k >= 1 && k <= K_MAX) {
        sums->k = k;
        sums->counts = calloc(places(sums), sizeof *sums->counts);
    }
    if (k != sums->k || !sums->counts)
        fail("the k-mers differ in length", path);
    uint32_t kmer = 0;
    for (int i = 0; i < k; i++) {
        const char *base = memchr(BASES, line[i], 4);
        if (!base)
            fail("a k-mer has a letter that is no base", path);
        kmer = kmer << 2 | (uint32_t)(base - BASES);
    }
    sums->counts[kmer] += (uint32_t)strtoul(line + k, NULL, 10);
}

static void add_table(Sums *sums, const char *path) {
    FILE *file = fopen(path, "r");
    char line[LINE_BYTES_MAX];
    if (!file)
        fail("cannot be read", path);
    while (fgets(line, sizeof line, file)) {
        if (*line == '#')
            add_bases(sums, line, path);
        else
            add_kmer(sums, line, path);
    }
    fclose(file);
}

static int is_name(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

// The parts' names are padded with zeros, so their order is that of the genome.
static void add_folder(Sums *sums, const char *folder) {
    struct dirent **entries;
    int count = scandir(folder, &entries, is_name, alphasort);
    if (count <= 0)
        fail("no tables here", folder);
    for (int i = 0; i < count; i++) {
        char path[PATH_BYTES_MAX];
        snprintf(path, sizeof path, "%s/%s/stdout", folder, entries[i]->d_name);
        add_table(sums, path);
    }
}

static void spell(const Sums *sums, uint32_t kmer, char *letters) {
    for (int i = 0; i < sums->k; i++)
        letters[i] = BASES[kmer >> 2 * (sums->k - 1 - i) & 3];
    letters[sums->k] = '\0';
}

static void print_summary(const Sums *sums) {
    const long *b = sums->bases;
    long all = b[0] + b[1] + b[2] + b[3], gc = b[1] + b[2];
    unsigned long total = 0, distinct = 0, once = 0;
    for (size_t kmer = 0; kmer < places(sums); kmer++) {
        total += sums->counts[kmer];
        distinct += sums->counts[kmer] > 0;
        once += sums->counts[kmer] == 1;
    }
    printf("bases      %ld (A %ld, C %ld, G %ld, T %ld)\n", all, b[0], b[1], b[2], b[3]);
    Part whole = {0, all, gc}, low = sums->poorest, high = sums->richest;
    printf("GC         %.2f %%; by parts from %.2f %% (%ld to %ld) to %.2f %% (%ld to %ld)\n",
           gc_percent(whole), gc_percent(low), low.start, low.end, gc_percent(high), high.start,
           high.end);
    printf("GC skew    %.4f\n", (double)(b[2] - b[1]) / (double)gc);
    printf("%d-mers     %lu, of them %lu distinct, %lu occur once\n", sums->k, total, distinct, once);
}

// The most frequent first, and in alphabetical order among equals. Uses up the counts.
static void print_top(Sums *sums, int top) {
    printf("the %d most frequent, either strand:\n", top);
    for (int i = 0; i < top; i++) {
        uint32_t best = 0;
        for (uint32_t kmer = 1; kmer < places(sums); kmer++)
            if (sums->counts[kmer] > sums->counts[best])
                best = kmer;
        char letters[K_MAX + 1];
        spell(sums, best, letters);
        printf("  %s  %u\n", letters, sums->counts[best]);
        sums->counts[best] = 0;
    }
}

static void write_table(const Sums *sums, const char *path) {
    FILE *file = fopen(path, "w");
    if (!file)
        fail("cannot be written", path);
    for (uint32_t kmer = 0; kmer < places(sums); kmer++) {
        char letters[K_MAX + 1];
        spell(sums, kmer, letters);
        if (sums->counts[kmer])
            fprintf(file, "%s\t%u\n", letters, sums->counts[kmer]);
    }
    if (ferror(file) | fclose(file))
        fail("cannot be written", path);
}

int main(int argc, char **argv) {
    if (argc != 4)
        fail("usage: merge FOLDER TOP TABLE.tsv", "merge");
    Sums sums = {0};
    add_folder(&sums, argv[1]);
    if (!sums.k)
        fail("no k-mers in the tables", argv[1]);
    write_table(&sums, argv[3]);
    print_summary(&sums);
    print_top(&sums, atoi(argv[2]));
    return ferror(stdout) ? 1 : 0;
}
