// Adds up the numbers that a folder's entries have printed: NAME is read as /in/NAME/<number>/stdout.

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_BYTES_MAX = 512 };

static void fail(const char *what, const char *which) {
    fprintf(stderr, "%s: %s\n", which, what);
    exit(2);
}

static uint64_t number_in(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file)
        fail("cannot be opened", path);
    uint64_t number;
    if (fscanf(file, "%" SCNu64, &number) != 1)
        fail("has no number", path);
    fclose(file);
    return number;
}

int main(int argc, char **argv) {
    if (argc != 2)
        fail("usage: sum NAME", "sum");
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof path, "/in/%s", argv[1]);
    DIR *folder = opendir(path);
    if (!folder)
        fail("cannot be opened", path);
    uint64_t sum = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/in/%s/%s/stdout", argv[1], entry->d_name);
        if (__builtin_add_overflow(sum, number_in(path), &sum))
            fail("the sum is above 2^64", path);
    }
    closedir(folder);
    printf("%" PRIu64 "\n", sum);
    return 0;
}
