// Adds up what `map` found in all parts of the reads: a summary, two tables and a picture of the coverage.

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES_MAX = 512, PATH_BYTES_MAX = 512, GENOME_BASES_MAX = 1 << 24, READS_MAX = 1 << 24 };
// Bins of the coverage, as `map` writes them.
enum { FORWARD, REVERSE, MISMATCHED, DELETED, INSERTED, COUNTS };
// The picture.
enum { WIDTH = 800, HEIGHT = 240, LEFT = 44, RIGHT = 12, TOP = 28, BOTTOM = 36 };
static const char *const NAMES[COUNTS] = {"forward", "reverse", "mismatched", "deleted", "inserted"};

typedef struct {
    uint64_t counts[COUNTS];
} Bin;

typedef struct {
    int32_t length, bin, count; // of the genome, of a bin, of all bins
    Bin *bins;
} Coverage;

typedef struct {
    uint64_t reads, bases, placed, reverse, unique;
    uint32_t *permille; // identity of each placed read
    size_t room;
} Reads;

static void fail(const char *what, const char *which) {
    fprintf(stderr, "%s: %s\n", which, what);
    exit(2);
}

static FILE *open_or_fail(const char *path, const char *mode) {
    FILE *file = fopen(path, mode);
    if (!file)
        fail(*mode == 'r' ? "cannot be read" : "cannot be written", path);
    return file;
}

static void finish(FILE *file, const char *path) {
    if (ferror(file) | fclose(file))
        fail("cannot be written", path);
}

// A line, whole; 0 at the end of the file.
static int next_line(FILE *file, char *line, const char *path) {
    if (!fgets(line, LINE_BYTES_MAX, file))
        return 0;
    if (!strchr(line, '\n'))
        fail("a line is too long or has no end", path);
    return 1;
}

static void add_placed(Reads *all, char strand, uint32_t matches, uint32_t edits, int unique) {
    if (all->placed == READS_MAX)
        fail("more than 16,777,216 reads", "coverage");
    if (all->placed == all->room) {
        all->room = all->room ? 2 * all->room : 1024;
        all->permille = realloc(all->permille, all->room * sizeof *all->permille);
        if (!all->permille)
            fail("out of memory", "coverage");
    }
    all->permille[all->placed++] = (uint32_t)((uint64_t)matches * 1000 / (matches + edits));
    all->reverse += strand == '-';
    all->unique += (uint64_t)unique;
}

// The lines of one part, which also go into the whole table.
static void add_reads(Reads *all, const char *path, FILE *table) {
    FILE *file = open_or_fail(path, "r");
    char line[LINE_BYTES_MAX], strand;
    while (next_line(file, line, path)) {
        unsigned length = 0, read_start, read_end, start, end, matches, edits, score, second;
        const char *rest = strchr(line, '\t');
        int fields = rest ? sscanf(rest, "%u %c %u %u %u %u %u %u %u %u", &length, &strand, &read_start, &read_end,
                                   &start, &end, &matches, &edits, &score, &second)
                          : 0;
        if (fields != 10 && (fields != 2 || strand != '*'))
            fail("is no table of reads", path);
        if (fields == 10 && (matches == 0 || matches > GENOME_BASES_MAX || edits > GENOME_BASES_MAX))
            fail("has a read with impossible numbers", path);
        all->reads++;
        all->bases += length;
        if (fields == 10)
            add_placed(all, strand, matches, edits, second <= score / 2);
        fputs(line, table);
    }
    fclose(file);
}

static void add_coverage(Coverage *all, const char *path) {
    FILE *file = open_or_fail(path, "r");
    char line[LINE_BYTES_MAX];
    int length = 0, bin = 0;
    if (!next_line(file, line, path) || sscanf(line, "# %d %d", &length, &bin) != 2 || length < 1 || bin < 1 ||
        length > GENOME_BASES_MAX || bin > GENOME_BASES_MAX)
        fail("is no coverage", path);
    if (!all->bins) {
        *all = (Coverage){length, bin, (length + bin - 1) / bin, NULL};
        all->bins = calloc((size_t)all->count, sizeof *all->bins);
        if (!all->bins)
            fail("out of memory", "coverage");
    }
    if (length != all->length || bin != all->bin)
        fail("is of another genome than the others", path);
    for (int32_t i = 0; i < all->count; i++) {
        unsigned counts[COUNTS];
        if (!next_line(file, line, path) || sscanf(line, "%u %u %u %u %u", &counts[FORWARD], &counts[REVERSE],
                                                   &counts[MISMATCHED], &counts[DELETED], &counts[INSERTED]) != COUNTS)
            fail("is cut short", path);
        for (int j = 0; j < COUNTS; j++)
            all->bins[i].counts[j] += counts[j];
    }
    fclose(file);
}

static int is_name(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

// The parts' names are padded with zeros, so their order is that of the reads.
static void add_folder(Coverage *coverage, Reads *reads, const char *folder, FILE *table) {
    struct dirent **entries;
    int count = scandir(folder, &entries, is_name, alphasort);
    if (count <= 0)
        fail("no parts here", folder);
    for (int i = 0; i < count; i++) {
        char path[PATH_BYTES_MAX];
        snprintf(path, sizeof path, "%s/%s/stdout", folder, entries[i]->d_name);
        add_reads(reads, path, table);
        snprintf(path, sizeof path, "%s/%s/out/coverage.tsv", folder, entries[i]->d_name);
        add_coverage(coverage, path);
    }
}

static int32_t bases_of(const Coverage *all, int32_t bin) {
    int32_t left = all->length - bin * all->bin;
    return left < all->bin ? left : all->bin;
}

// How many reads lie over a place of the bin, on average.
static double depth(const Coverage *all, int32_t bin, int from, int to) {
    uint64_t sum = 0;
    for (int i = from; i <= to; i++)
        sum += all->bins[bin].counts[i];
    return (double)sum / bases_of(all, bin);
}

static void write_coverage(const Coverage *all, const char *path) {
    FILE *file = open_or_fail(path, "w");
    fprintf(file, "start\tend\tdepth");
    for (int i = 0; i < COUNTS; i++)
        fprintf(file, "\t%s", NAMES[i]);
    for (int32_t bin = 0; bin < all->count; bin++) {
        int32_t start = bin * all->bin;
        fprintf(file, "\n%d\t%d\t%.2f", start, start + bases_of(all, bin), depth(all, bin, FORWARD, REVERSE));
        for (int i = 0; i < COUNTS; i++)
            fprintf(file, "\t%llu", (unsigned long long)all->bins[bin].counts[i]);
    }
    fputc('\n', file);
    finish(file, path);
}

// From the right end of the floor back to its left end, and up along the depths.
static void draw(FILE *file, const Coverage *all, int last, double top, const char *colour) {
    double across = (double)(WIDTH - LEFT - RIGHT) / all->length, up = (HEIGHT - TOP - BOTTOM) / top;
    int floor = HEIGHT - BOTTOM;
    fprintf(file, "<path fill=\"%s\" d=\"M%d %dH%d", colour, WIDTH - RIGHT, floor, LEFT);
    for (int32_t bin = 0; bin < all->count; bin++)
        fprintf(file, "V%.1fH%.1f", floor - up * depth(all, bin, FORWARD, last),
                LEFT + across * (bin * all->bin + bases_of(all, bin)));
    fprintf(file, "Z\"/>\n");
}

// The least of 1, 2, 5, 10, 20, 50 … that parts the value into at most five.
static int64_t step_of(double value) {
    int64_t step = 1;
    for (int i = 0; step * 5 < value; i++)
        step = i % 3 == 1 ? step / 2 * 5 : step * 2;
    return step;
}

static void write_picture(const Coverage *all, const char *path) {
    FILE *file = open_or_fail(path, "w");
    double top = 1;
    for (int32_t bin = 0; bin < all->count; bin++)
        if (depth(all, bin, FORWARD, REVERSE) > top)
            top = depth(all, bin, FORWARD, REVERSE);
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
            "font-size=\"11\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
            WIDTH, HEIGHT);
    draw(file, all, REVERSE, top, "#f0a35e");
    draw(file, all, FORWARD, top, "#4878a8");
    for (int64_t y = 0, step = step_of(top); y <= top; y += step)
        fprintf(file, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%lld</text>\n", LEFT - 6,
                HEIGHT - BOTTOM + 4 - (double)y * ((HEIGHT - TOP - BOTTOM) / top), (long long)y);
    for (int64_t x = 0, step = step_of(all->length); x <= all->length; x += step)
        fprintf(file, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%lld</text>\n",
                LEFT + (double)x * ((double)(WIDTH - LEFT - RIGHT) / all->length), HEIGHT - BOTTOM + 15,
                (long long)x);
    fprintf(file, "<text x=\"%d\" y=\"16\">reads over each place, in bins of %d: ", LEFT, all->bin);
    fprintf(file, "<tspan fill=\"#4878a8\">forward</tspan>, <tspan fill=\"#c06a18\">reverse</tspan></text>\n");
    fprintf(file, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">place in the genome</text>\n</svg>\n", WIDTH / 2,
            HEIGHT - 6);
    finish(file, path);
}

static int by_number(const void *a, const void *b) {
    uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
    return (one > other) - (one < other);
}

static void print_reads(const Reads *all) {
    printf("reads      %llu, %llu bases\n", (unsigned long long)all->reads, (unsigned long long)all->bases);
    printf("placed     %llu (%llu forward, %llu reverse), %llu of them in one place only\n",
           (unsigned long long)all->placed, (unsigned long long)(all->placed - all->reverse),
           (unsigned long long)all->reverse, (unsigned long long)all->unique);
    if (!all->placed)
        return;
    qsort(all->permille, all->placed, sizeof *all->permille, by_number);
    const uint32_t *p = all->permille;
    uint32_t low = p[0], middle = p[all->placed / 2], high = p[all->placed - 1];
    printf("identity   %u.%u %% at the median, from %u.%u %% to %u.%u %%\n", middle / 10, middle % 10, low / 10,
           low % 10, high / 10, high % 10);
}

static void print_coverage(const Coverage *all) {
    uint64_t sums[COUNTS] = {0};
    int32_t low = 0, high = 0;
    for (int32_t bin = 0; bin < all->count; bin++) {
        for (int i = 0; i < COUNTS; i++)
            sums[i] += all->bins[bin].counts[i];
        if (depth(all, bin, FORWARD, REVERSE) < depth(all, low, FORWARD, REVERSE))
            low = bin;
        if (depth(all, bin, FORWARD, REVERSE) > depth(all, high, FORWARD, REVERSE))
            high = bin;
    }
    uint64_t aligned = sums[FORWARD] + sums[REVERSE];
    printf("genome     %d bases, %.2f reads over each on average\n", all->length, (double)aligned / all->length);
    printf("depth      from %.2f (%d to %d) to %.2f (%d to %d)\n", depth(all, low, FORWARD, REVERSE), low * all->bin,
           low * all->bin + bases_of(all, low), depth(all, high, FORWARD, REVERSE), high * all->bin,
           high * all->bin + bases_of(all, high));
    if (aligned)
        printf("errors     %.2f %% mismatched, %.2f %% deleted, %.2f %% inserted\n",
               100.0 * (double)sums[MISMATCHED] / (double)aligned, 100.0 * (double)sums[DELETED] / (double)aligned,
               100.0 * (double)sums[INSERTED] / (double)aligned);
}

int main(int argc, char **argv) {
    if (argc != 5)
        fail("coverage FOLDER READS.tsv COVERAGE.tsv PICTURE.svg", "usage");
    Coverage coverage = {0};
    Reads reads = {0};
    FILE *table = open_or_fail(argv[2], "w");
    fputs("read\tlength\tstrand\tread_start\tread_end\tstart\tend\tmatches\tedits\tscore\tsecond\n", table);
    add_folder(&coverage, &reads, argv[1], table);
    finish(table, argv[2]);
    write_coverage(&coverage, argv[3]);
    write_picture(&coverage, argv[4]);
    print_reads(&reads);
    print_coverage(&coverage);
    return ferror(stdout) ? 1 : 0;
}
