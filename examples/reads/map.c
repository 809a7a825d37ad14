// Finds each read of a FASTQ file in a genome: a line per read on stdout, and what covers the genome by bins.
//
// Words of ten bases that a read shares with the genome are chained, on either strand; the read is then aligned
// whole, by the fewest edits, within a band around the best chain. Of that alignment the best part counts.

#include "align.h"

// Words that occur more often than this say nothing about where a read is from.
enum { WORD = 10, WORDS = 1 << 2 * WORD, OCCURRENCES_MAX = 16 };
enum { LOOK_BACK = 128, GAP_MAX = 5000, SHIFT_MAX = 256, SCORE_MIN = 80 };

// The places of each word of a genome in ascending order: the first, and the next after each, or -1.
typedef struct {
    int32_t *first, *next;
} Index;

// The word that ends with the base at `at`, or -1 if it has an unknown base.
static int32_t roll(const uint8_t *bases, int32_t at, uint32_t *word, int *known) {
    *known = bases[at] == UNKNOWN_BASE ? 0 : *known + 1;
    *word = (*word << 2 | (bases[at] & 3u)) & (WORDS - 1);
    return *known >= WORD ? (int32_t)*word : -1;
}

static Index index_words(const Genome *genome) {
    Index index;
    index.first = or_fail(malloc(WORDS * sizeof(int32_t)));
    index.next = or_fail(malloc((size_t)genome->length * sizeof(int32_t)));
    int32_t *last = or_fail(malloc(WORDS * sizeof(int32_t)));
    for (int32_t word = 0; word < WORDS; word++)
        index.first[word] = last[word] = -1;
    uint32_t rolled = 0;
    int known = 0;
    for (int32_t at = 0; at < genome->length; at++) {
        int32_t word = roll(genome->bases, at, &rolled, &known), start = at - WORD + 1;
        if (word < 0)
            continue;
        index.next[start] = -1;
        if (last[word] < 0)
            index.first[word] = start;
        else
            index.next[last[word]] = start;
        last[word] = start;
    }
    free(last);
    return index;
}

static void add_hit(Hits *all, int32_t in_read, int32_t in_genome) {
    if (all->used == all->room) {
        all->room = all->room ? 2 * all->room : 1 << 12;
        all->hits = or_fail(realloc(all->hits, all->room * sizeof *all->hits));
    }
    all->hits[all->used++] = (Hit){in_read, in_genome, 0, -1, 0};
}

static void find_hits(Hits *all, const Index *index, const uint8_t *read, int32_t length) {
    all->used = 0;
    uint32_t rolled = 0;
    int known = 0;
    for (int32_t at = 0; at < length; at++) {
        int32_t word = roll(read, at, &rolled, &known);
        if (word < 0)
            continue;
        int occurrences = 0;
        for (int32_t place = index->first[word]; place >= 0 && occurrences <= OCCURRENCES_MAX;
             place = index->next[place])
            occurrences++;
        if (occurrences > OCCURRENCES_MAX)
            continue;
        for (int32_t place = index->first[word]; place >= 0; place = index->next[place])
            add_hit(all, at - WORD + 1, place);
    }
}

// What a hit adds to the chain that ends with an earlier one, or less than nothing if it cannot.
static int32_t gain(const Hit *hit, const Hit *earlier) {
    int32_t in_read = hit->in_read - earlier->in_read, in_genome = hit->in_genome - earlier->in_genome;
    int32_t shift = abs(in_read - in_genome), least = in_read < in_genome ? in_read : in_genome;
    if (in_read <= 0 || in_genome <= 0 || in_read > GAP_MAX || in_genome > GAP_MAX || shift > SHIFT_MAX)
        return -FAR;
    return (least < WORD ? least : WORD) - (shift ? 1 + shift / 8 : 0);
}

// Gives every hit the best chain that ends with it; the place of the best of all, or -1.
static int32_t chain(Hits *all) {
    int32_t best = -1;
    for (int32_t at = 0; at < (int32_t)all->used; at++) {
        Hit *hit = &all->hits[at];
        hit->score = WORD;
        hit->root = at;
        for (int32_t back = at - 1; back >= 0 && back >= at - LOOK_BACK; back--) {
            const Hit *earlier = &all->hits[back];
            int32_t score = earlier->score + gain(hit, earlier);
            if (score > hit->score) {
                hit->score = score;
                hit->before = back;
                hit->root = earlier->root;
            }
        }
        if (best < 0 || hit->score > all->hits[best].score)
            best = at;
    }
    return best;
}

// The best chain that is somewhere else than the best of all.
static int32_t second_score(const Hits *all, int32_t best) {
    int32_t second = 0, from = -1, to = -1, root = -1;
    if (best >= 0) {
        root = all->hits[best].root;
        from = all->hits[root].in_genome;
        to = all->hits[best].in_genome;
    }
    for (size_t at = 0; at < all->used; at++) {
        const Hit *hit = &all->hits[at];
        int apart = hit->root != root && (hit->in_genome < from || hit->in_genome > to);
        if (apart && hit->score > second)
            second = hit->score;
    }
    return second;
}

static void print(const Read *read, int reverse, Part part, int32_t score, int32_t second) {
    int32_t start = part.start.in_read, end = part.end.in_read;
    printf("%.*s\t%d\t", read->name_length, read->name, read->length);
    if (part.worth < WORTH_MIN)
        printf("*\n");
    else
        printf("%c\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", "+-"[reverse], reverse ? read->length - end : start,
               reverse ? read->length - start : end, part.start.in_genome, part.end.in_genome, part.matches,
               part.edits, score, second);
}

static void map(const Read *read, const Genome *genome, const Index *index, Hits strands[2], Bin *bins, int32_t bin) {
    uint8_t *bases[2];
    int32_t best[2], scores[2], length = read->length;
    for (int strand = 0; strand < 2; strand++) {
        bases[strand] = or_fail(malloc((size_t)length + 1));
        for (int32_t at = 0; at < length; at++) {
            int base = code(read->letters[strand ? length - 1 - at : at]);
            bases[strand][at] = (uint8_t)(strand && base != UNKNOWN_BASE ? 3 - base : base);
        }
        find_hits(&strands[strand], index, bases[strand], length);
        best[strand] = chain(&strands[strand]);
        scores[strand] = best[strand] < 0 ? 0 : strands[strand].hits[best[strand]].score;
    }
    int strand = scores[1] > scores[0];
    int32_t second = second_score(&strands[strand], best[strand]);
    second = scores[!strand] > second ? scores[!strand] : second;
    Part part = {0};
    if (scores[strand] >= SCORE_MIN)
        part = align(bases[strand], length, strand, genome, &strands[strand], best[strand], bins, bin);
    print(read, strand, part, scores[strand], second);
    free(bases[0]);
    free(bases[1]);
}

static void write_bins(const Bin *bins, int32_t count, int32_t length, int32_t bin, const char *path) {
    FILE *file = fopen(path, "w");
    if (!file)
        fail("cannot be written", path);
    fprintf(file, "# %d %d\n", length, bin);
    for (int32_t i = 0; i < count; i++)
        fprintf(file, "%u\t%u\t%u\t%u\t%u\n", bins[i].forward, bins[i].reverse, bins[i].mismatched, bins[i].deleted,
                bins[i].inserted);
    if (ferror(file) | fclose(file))
        fail("cannot be written", path);
}

int main(int argc, char **argv) {
    int32_t bin = argc == 5 ? atoi(argv[3]) : 0;
    if (bin < 1 || bin > GENOME_BYTES_MAX)
        fail("map GENOME.fa READS.fastq BASES_OF_A_BIN COVERAGE.tsv", "usage");
    Genome genome;
    read_genome(&genome, argv[1]);
    Index index = index_words(&genome);
    int32_t count = (genome.length + bin - 1) / bin;
    Bin *bins = or_fail(calloc((size_t)count, sizeof *bins));

    size_t size;
    const char *at = read_whole(argv[2], READS_BYTES_MAX, &size), *end = at + size;
    long line = 1;
    Hits strands[2] = {{0}, {0}};
    for (Read read; next_read(&at, end, &line, argv[2], &read);)
        map(&read, &genome, &index, strands, bins, bin);
    if (line == 1)
        fail("has no reads", argv[2]);
    write_bins(bins, count, genome.length, bin, argv[4]);
    return ferror(stdout) ? 1 : 0;
}
