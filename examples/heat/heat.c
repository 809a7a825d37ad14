// The heat equation on a square plate with cold edges, in segments: whoever calls it again goes on.
//
// Only + and × of doubles, in a fixed order: the same bits everywhere.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE_MAX = 512 };

typedef struct {
    int side, done;
    double cells[SIDE_MAX][SIDE_MAX], next[SIDE_MAX][SIDE_MAX];
} Plate;

static Plate plate;

static void fail(const char *what, const char *which) {
    fprintf(stderr, "%s: %s\n", which, what);
    exit(2);
}

// Two hot bars and a warm square; the outermost cells stay cold.
static void heat(int side) {
    plate.side = side;
    for (int y = 1; y < side - 1; y++)
        for (int x = 1; x < side - 1; x++) {
            int across = 16 * x / side, down = 16 * y / side;
            int bar = down >= 2 && down < 10 && (across == 3 || across == 7);
            int square = down >= 9 && down < 13 && across >= 9 && across < 13;
            plate.cells[y][x] = bar ? 1.0 : square ? 0.75 : 0.0;
        }
}

static int load(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    int head[2];
    if (fread(head, sizeof head, 1, file) != 1 || head[0] < 3 || head[0] > SIDE_MAX)
        fail("is no checkpoint", path);
    plate.side = head[0];
    plate.done = head[1];
    for (int y = 0; y < plate.side; y++)
        if (fread(plate.cells[y], sizeof(double), (size_t)plate.side, file) != (size_t)plate.side)
            fail("is cut short", path);
    fclose(file);
    return 1;
}

static void save(const char *path) {
    FILE *file = fopen(path, "wb");
    if (!file)
        fail("cannot be written", path);
    int head[2] = {plate.side, plate.done};
    fwrite(head, sizeof head, 1, file);
    for (int y = 0; y < plate.side; y++)
        fwrite(plate.cells[y], sizeof(double), (size_t)plate.side, file);
    if (ferror(file) | fclose(file))
        fail("cannot be written", path);
}

// A cell takes a fifth of what each neighbour is warmer.
static void step(void) {
    for (int y = 1; y < plate.side - 1; y++)
        for (int x = 1; x < plate.side - 1; x++) {
            const double *row = &plate.cells[y][x];
            double around = row[-SIDE_MAX] + row[SIDE_MAX] + (row[-1] + row[1]);
            plate.next[y][x] = 0.2 * around + 0.2 * *row;
        }
    for (int y = 1; y < plate.side - 1; y++)
        memcpy(&plate.cells[y][1], &plate.next[y][1], (size_t)(plate.side - 2) * sizeof(double));
    plate.done++;
}

static int shade(double value) {
    return value <= 0 ? 0 : value >= 1 ? 255 : (int)(255 * value + 0.5);
}

// From black over red and yellow to white.
static void print_picture(void) {
    printf("P6\n%d %d\n255\n", plate.side, plate.side);
    for (int y = 0; y < plate.side; y++)
        for (int x = 0; x < plate.side; x++) {
            double warm = 3 * plate.cells[y][x];
            putchar(shade(warm));
            putchar(shade(warm - 1));
            putchar(shade(warm - 2));
        }
}

int main(int argc, char **argv) {
    enum { GOES_ON = 75 };
    if (argc != 4)
        fail("SIDE STEPS STEPS-PER-SEGMENT", "usage: heat");
    int side = atoi(argv[1]), steps = atoi(argv[2]), segment = atoi(argv[3]);
    if (side < 3 || side > SIDE_MAX || steps < 0 || segment < 1)
        fail("SIDE must be from 3 to 512, STEPS-PER-SEGMENT at least 1", "heat");
    if (!load("/in/checkpoint"))
        heat(side);
    for (int more = segment; more > 0 && plate.done < steps; more--)
        step();
    if (plate.done < steps) {
        save("/out/checkpoint");
        return GOES_ON;
    }
    print_picture();
    return ferror(stdout) ? 1 : 0;
}
