// k-means in rounds: `assign` points to their nearest centres, `update` the centres, `paint` the clusters.
//
// Everything is a whole number, so sums are the same in whatever order: points are as they are given,
// centres are in hundredths.

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { CENTRES_MAX = 16, LINE_BYTES_MAX = 128, PATH_BYTES_MAX = 512 };
static const char *COLOURS[] = {"#4477aa", "#ee6677", "#228833", "#ccbb44", "#aa3377", "#66ccee"};
enum { COLOURS_COUNT = sizeof COLOURS / sizeof *COLOURS };

// A centre, and the points that are nearest to it.
typedef struct {
    int64_t x, y, count, sum_x, sum_y;
} Centre;

typedef struct {
    int round, count;
    Centre centres[CENTRES_MAX];
} Model;

typedef void (*Each)(Model *model, int nearest, int64_t x, int64_t y, void *with);

static void fail(const char *what, const char *which) {
    fprintf(stderr, "%s: %s\n", which, what);
    exit(2);
}

static FILE *open_or_fail(const char *path, const char *how) {
    FILE *file = fopen(path, how);
    if (!file)
        fail("cannot be opened", path);
    return file;
}

// "# round", and a line for each centre: "x y", with or without "count sum-x sum-y".
static Model read_model(const char *path) {
    Model model = {0};
    FILE *file = open_or_fail(path, "r");
    for (char line[LINE_BYTES_MAX]; fgets(line, sizeof line, file);) {
        if (sscanf(line, "# round %d", &model.round) == 1)
            continue;
        if (model.count == CENTRES_MAX)
            fail("has too many centres", path);
        Centre *c = &model.centres[model.count++];
        long long n[5] = {0};
        if (sscanf(line, "%lld %lld %lld %lld %lld", n, n + 1, n + 2, n + 3, n + 4) < 2)
            fail("has a line that is no centre", path);
        *c = (Centre){n[0], n[1], n[2], n[3], n[4]};
    }
    fclose(file);
    return model;
}

// The first of the nearest centres.
static int nearest(const Model *model, int64_t x, int64_t y) {
    int best = 0;
    int64_t shortest = INT64_MAX;
    for (int at = 0; at < model->count; at++) {
        int64_t dx = 100 * x - model->centres[at].x, dy = 100 * y - model->centres[at].y;
        if (dx * dx + dy * dy < shortest) {
            shortest = dx * dx + dy * dy;
            best = at;
        }
    }
    return best;
}

static void each_point(Model *model, const char *path, Each each, void *with) {
    FILE *file = open_or_fail(path, "r");
    for (char line[LINE_BYTES_MAX]; fgets(line, sizeof line, file);) {
        long long x, y;
        if (sscanf(line, "%lld %lld", &x, &y) != 2)
            fail("has a line that is no point", path);
        each(model, nearest(model, x, y), x, y, with);
    }
    fclose(file);
}

static void add_point(Model *model, int at, int64_t x, int64_t y, void *with) {
    (void)with;
    model->centres[at].count++;
    model->centres[at].sum_x += x;
    model->centres[at].sum_y += y;
}

static void print(const Model *model) {
    printf("# round %d\n", model->round);
    for (const Centre *c = model->centres; c < model->centres + model->count; c++)
        printf("%lld %lld %lld %lld %lld\n", (long long)c->x, (long long)c->y, (long long)c->count,
               (long long)c->sum_x, (long long)c->sum_y);
}

// In the first round there are no centres of the round before.
static void assign(const char *points, const char *before, const char *start) {
    FILE *file = fopen(before, "r");
    if (file)
        fclose(file);
    Model model = read_model(file ? before : start);
    for (int at = 0; at < model.count; at++)
        model.centres[at].count = model.centres[at].sum_x = model.centres[at].sum_y = 0;
    each_point(&model, points, add_point, NULL);
    print(&model);
}

static int is_name(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static Model add_parts(const char *folder) {
    struct dirent **entries;
    int parts = scandir(folder, &entries, is_name, alphasort);
    Model all = {0};
    for (int part = 0; part < parts; part++) {
        char path[PATH_BYTES_MAX];
        snprintf(path, sizeof path, "%s/%s/stdout", folder, entries[part]->d_name);
        Model own = read_model(path);
        if (part == 0) {
            all = own;
            continue;
        }
        for (int at = 0; at < all.count; at++) {
            all.centres[at].count += own.centres[at].count;
            all.centres[at].sum_x += own.centres[at].sum_x;
            all.centres[at].sum_y += own.centres[at].sum_y;
        }
    }
    if (parts <= 0)
        fail("has no parts", folder);
    return all;
}

// The new centres; the file `converged` says that they are the old ones.
static void update(const char *parts, const char *converged) {
    Model model = add_parts(parts);
    int moved = 0;
    model.round++;
    for (Centre *c = model.centres; c < model.centres + model.count; c++) {
        if (c->count == 0)
            continue;
        int64_t x = (100 * c->sum_x + c->count / 2) / c->count;
        int64_t y = (100 * c->sum_y + c->count / 2) / c->count;
        moved |= x != c->x || y != c->y;
        c->x = x;
        c->y = y;
    }
    print(&model);
    if (!moved)
        fclose(open_or_fail(converged, "w"));
}

static void dot(Model *model, int at, int64_t x, int64_t y, void *with) {
    (void)model;
    FILE **layers = with;
    fprintf(layers[at], "M%lld %lldh0", (long long)x, (long long)y);
}

// One path for each cluster's points, and a cross at its centre.
static void paint(const char *centres, const char *points, const char *picture) {
    Model model = read_model(centres);
    FILE *layers[CENTRES_MAX], *svg = open_or_fail(picture, "w");
    char *paths[CENTRES_MAX];
    size_t sizes[CENTRES_MAX];
    for (int at = 0; at < model.count; at++)
        layers[at] = open_memstream(&paths[at], &sizes[at]);
    each_point(&model, points, dot, layers);
    fprintf(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1000 1000\" width=\"500\">\n"
                 "<rect width=\"1000\" height=\"1000\" fill=\"#fff\"/>\n"
                 "<g fill=\"none\" stroke-width=\"9\" stroke-linecap=\"round\">\n");
    printf("after %d rounds:\ncentre            points\n", model.round);
    for (int at = 0; at < model.count; at++) {
        const Centre *c = &model.centres[at];
        fclose(layers[at]);
        fprintf(svg, "<path stroke=\"%s\" d=\"%s\"/>\n", COLOURS[at % COLOURS_COUNT], paths[at]);
        printf("%6.2f, %6.2f  %8lld\n", (double)c->x / 100, (double)c->y / 100, (long long)c->count);
    }
    for (const Centre *c = model.centres; c < model.centres + model.count; c++)
        fprintf(svg, "<path stroke=\"#000\" d=\"M%.2f %.2fh30m-15-15v30\"/>\n", (double)c->x / 100 - 15,
                (double)c->y / 100);
    fprintf(svg, "</g>\n</svg>\n");
    if (ferror(svg) | fclose(svg))
        fail("cannot be written", picture);
}

int main(int argc, char **argv) {
    char verb = argc < 2 ? ' ' : *argv[1];
    if (verb == 'a' && argc == 5)
        assign(argv[2], argv[3], argv[4]);
    else if (verb == 'u' && argc == 4)
        update(argv[2], argv[3]);
    else if (verb == 'p' && argc == 5)
        paint(argv[2], argv[3], argv[4]);
    else
        fail("assign POINTS BEFORE START | update PARTS CONVERGED | paint CENTRES POINTS SVG", "usage: kmeans");
    return ferror(stdout) ? 1 : 0;
}
