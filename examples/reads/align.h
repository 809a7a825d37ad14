// Aligns a whole read with a genome by the fewest edits, in a band around a chain of shared words, and counts the
// best part of it.

#include "input.h"

enum { BAND_MIN = 64, BAND_MAX = 512, FAR = 1 << 28 };
// What a column is worth to a part of an alignment, and what a part must be worth. Two thirds of the columns must be
// matches for a part to gain; half of them are if two sequences have nothing to do with each other.
enum { MATCH_WORTH = 2, EDIT_COST = 4, WORTH_MIN = 120 };

// A word that read and genome share: where it starts in both, and the best chain that ends with it.
typedef struct {
    int32_t in_read, in_genome, score, before, root;
} Hit;

typedef struct {
    Hit *hits;
    size_t used, room;
} Hits;

// Which columns of the genome a row of the alignment looks at, and where their moves are kept.
typedef struct {
    int32_t from, to; // both included
    size_t moves;
} Row;

enum { DIAGONAL, READ_ONLY, GENOME_ONLY };

// Between the bases of a read and of the genome.
typedef struct {
    int32_t in_read, in_genome;
} Spot;

// The part of a read's alignment that is worth most.
typedef struct {
    Spot start, end;
    int32_t worth, matches, edits;
} Part;

// What lies over a stretch of the genome.
typedef struct {
    uint32_t forward, reverse, mismatched, deleted, inserted;
} Bin;

static int32_t clamp(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : value > high ? high : value;
}

// A band that follows the chain: narrow where it has words, wider the further away they are.
static size_t lay_band(Row *rows, const Hits *all, int32_t best, int32_t length, int32_t genome_length) {
    size_t cells = 0;
    const Hit *earlier = &all->hits[best], *later = NULL;
    for (int32_t at = length; at >= 0; at--) {
        while (earlier && at < earlier->in_read) {
            later = earlier;
            earlier = earlier->before < 0 ? NULL : &all->hits[earlier->before];
        }
        // `earlier` starts at or before this row, `later` after it.
        const Hit *near = earlier ? earlier : later;
        int32_t shift = near->in_genome - near->in_read, distance = abs(at - near->in_read), slack = 0;
        if (earlier && later) {
            int32_t turn = later->in_genome - later->in_read - shift, span = later->in_read - earlier->in_read;
            slack = abs(turn);
            shift += turn * (at - earlier->in_read) / span;
            distance = later->in_read - at < distance ? later->in_read - at : distance;
        }
        int32_t half = clamp(BAND_MIN + slack + distance / 4, BAND_MIN, BAND_MAX);
        rows[at].from = clamp(at + shift - half, 0, genome_length);
        rows[at].to = clamp(at + shift + half, 0, genome_length);
    }
    for (int32_t at = 0; at <= length; at++) {
        rows[at].moves = cells;
        cells += (size_t)(rows[at].to - rows[at].from + 1);
    }
    return cells;
}

// The fewest edits within one row, from those of the row above it.
static void fill_row(const Row *above, const Row *row, const int32_t *upper, int32_t *edits, uint8_t *moves,
                     uint8_t base, const uint8_t *genome) {
    for (int32_t at = row->from; at <= row->to; at++) {
        int32_t least = FAR;
        uint8_t move = READ_ONLY;
        if (at > above->from && at - 1 <= above->to) {
            uint8_t other = genome[at - 1];
            least = upper[at - 1 - above->from] + (base != other || base == UNKNOWN_BASE);
            move = DIAGONAL;
        }
        if (at >= above->from && at <= above->to && upper[at - above->from] + 1 < least) {
            least = upper[at - above->from] + 1;
            move = READ_ONLY;
        }
        if (at > row->from && edits[at - 1 - row->from] + 1 < least) {
            least = edits[at - 1 - row->from] + 1;
            move = GENOME_ONLY;
        }
        edits[at - row->from] = least;
        moves[at - row->from] = move;
    }
}

// Fills all rows; where in the genome the cheapest alignment of the whole read ends.
static int32_t fill(const Row *rows, uint8_t *moves, const uint8_t *read, int32_t length, const Genome *genome) {
    int32_t edits[2][2 * BAND_MAX + 1] = {{0}};
    for (int32_t at = 1; at <= length; at++)
        fill_row(&rows[at - 1], &rows[at], edits[(at - 1) & 1], edits[at & 1], moves + rows[at].moves,
                 read[at - 1], genome->bases);
    const Row *last = &rows[length];
    const int32_t *ends = edits[length & 1];
    int32_t best = last->from;
    for (int32_t at = last->from; at <= last->to; at++)
        if (ends[at - last->from] < ends[best - last->from])
            best = at;
    return best;
}

static int next_move(const Row *rows, const uint8_t *moves, Spot spot) {
    return moves[rows[spot.in_read].moves + (size_t)(spot.in_genome - rows[spot.in_read].from)];
}

static Spot before(Spot spot, int move) {
    return (Spot){spot.in_read - (move != GENOME_ONLY), spot.in_genome - (move != READ_ONLY)};
}

static int is_match(const uint8_t *read, const Genome *genome, Spot spot, int move) {
    uint8_t base = read[spot.in_read - (spot.in_read > 0)];
    return move == DIAGONAL && base == genome->bases[spot.in_genome - 1] && base != UNKNOWN_BASE;
}

// Walks the alignment from its end to find its best part: from where to where the sum of worths is largest.
static Part best_part(const Row *rows, const uint8_t *moves, const uint8_t *read, Spot spot, const Genome *genome) {
    Spot open = spot;
    Part best = {spot, spot, 0, 0, 0};
    for (int32_t worth = 0; spot.in_read > 0;) {
        if (worth <= 0) {
            worth = 0;
            open = spot;
        }
        int move = next_move(rows, moves, spot);
        worth += is_match(read, genome, spot, move) ? MATCH_WORTH : -EDIT_COST;
        spot = before(spot, move);
        if (worth > best.worth)
            best = (Part){spot, open, worth, 0, 0};
    }
    return best;
}

// Counts what the part consists of, altogether and by bins.
static void cover(const Row *rows, const uint8_t *moves, const uint8_t *read, const Genome *genome, int reverse,
                  Bin *bins, int32_t bin, Part *part) {
    for (Spot spot = part->end; spot.in_read != part->start.in_read || spot.in_genome != part->start.in_genome;) {
        int move = next_move(rows, moves, spot);
        int match = is_match(read, genome, spot, move);
        Bin *here = &bins[(spot.in_genome - (spot.in_genome > 0)) / bin];
        part->matches += match;
        part->edits += !match;
        here->deleted += move == GENOME_ONLY;
        here->inserted += move == READ_ONLY;
        if (move == DIAGONAL) {
            here->forward += !reverse;
            here->reverse += reverse != 0;
            here->mismatched += !match;
        }
        spot = before(spot, move);
    }
}

static Part align(const uint8_t *read, int32_t length, int reverse, const Genome *genome, const Hits *all,
                  int32_t best, Bin *bins, int32_t bin) {
    Row *rows = or_fail(malloc(((size_t)length + 1) * sizeof *rows));
    uint8_t *moves = or_fail(malloc(lay_band(rows, all, best, length, genome->length)));
    Spot end = {length, fill(rows, moves, read, length, genome)};
    Part part = best_part(rows, moves, read, end, genome);
    if (part.worth >= WORTH_MIN)
        cover(rows, moves, read, genome, reverse, bins, bin, &part);
    free(moves);
    free(rows);
    return part;
}
