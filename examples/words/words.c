// Counts words: `count` in one part of a text, `add` in one bucket of all parts, `table` altogether.

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES_MAX = 512, PLACES_MIN = 1 << 14 };

typedef struct {
    const char *letters; // NULL: nobody is here
    uint32_t length, hash;
    uint64_t count;
} Word;

// An open hash table; its words point into the files that were read, which stay.
typedef struct {
    Word *words;
    size_t places, used;
} Words;

static void fail(const char *what, const char *which) {
    fprintf(stderr, "%s: %s\n", which, what);
    exit(2);
}

static void *or_fail(void *memory) {
    if (!memory)
        fail("out of memory", "words");
    return memory;
}

static Word *place(Word *words, size_t places, const char *letters, size_t length, uint32_t hash) {
    for (size_t at = hash & (places - 1);; at = (at + 1) & (places - 1)) {
        Word *word = &words[at];
        if (!word->letters || (word->hash == hash && word->length == length &&
                               !memcmp(word->letters, letters, length)))
            return word;
    }
}

static void grow(Words *all) {
    size_t places = all->places ? 2 * all->places : PLACES_MIN;
    Word *words = or_fail(calloc(places, sizeof *words));
    for (Word *old = all->words; old < all->words + all->places; old++)
        if (old->letters)
            *place(words, places, old->letters, old->length, old->hash) = *old;
    free(all->words);
    all->words = words;
    all->places = places;
}

static void add(Words *all, const char *letters, size_t length, uint32_t hash, uint64_t count) {
    if (all->places <= 2 * all->used)
        grow(all);
    Word *word = place(all->words, all->places, letters, length, hash);
    if (!word->letters) {
        *word = (Word){letters, (uint32_t)length, hash, 0};
        all->used++;
    }
    word->count += count;
}

static char *read_whole(const char *path, size_t *size) {
    struct stat about;
    FILE *file = fopen(path, "rb");
    if (!file || stat(path, &about))
        fail("cannot be read", path);
    *size = (size_t)about.st_size;
    char *text = or_fail(malloc(*size + 1));
    if (fread(text, 1, *size, file) != *size)
        fail("cannot be read", path);
    fclose(file);
    text[*size] = '\0';
    return text;
}

// What Python and the C locale split at.
static int is_space(unsigned char letter) {
    return letter == ' ' || (letter >= '\t' && letter <= '\r');
}

// FNV-1a, made along the way.
static const char *word_end(const char *at, const char *end, uint32_t *hash) {
    *hash = 2166136261u;
    for (; at < end && !is_space((unsigned char)*at); at++)
        *hash = (*hash ^ (unsigned char)*at) * 16777619u;
    return at;
}

static void count_text(Words *all, const char *path) {
    size_t size;
    const char *at = read_whole(path, &size), *end = at + size;
    while (at < end) {
        uint32_t hash;
        const char *next = word_end(at, end, &hash);
        if (at < next)
            add(all, at, (size_t)(next - at), hash, 1);
        at = next + 1;
    }
}

// "word count" by lines.
static void add_table(Words *all, const char *path) {
    size_t size;
    char *at = read_whole(path, &size), *end = at + size;
    while (at < end) {
        uint32_t hash;
        const char *next = word_end(at, end, &hash);
        char *rest;
        uint64_t count = strtoull(next, &rest, 10);
        if (next == at || count == 0 || *rest != '\n')
            fail("is not a table of words", path);
        add(all, at, (size_t)(next - at), hash, count);
        at = rest + 1;
    }
}

// All files below a folder are tables.
static void add_folder(Words *all, const char *folder) {
    DIR *entries = opendir(folder);
    if (!entries)
        return; // not one word had come into this bucket
    for (struct dirent *entry; (entry = readdir(entries));) {
        char path[PATH_BYTES_MAX];
        struct stat about;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (stat(path, &about))
            fail("cannot be read", path);
        (S_ISDIR(about.st_mode) ? add_folder : add_table)(all, path);
    }
    closedir(entries);
}

static int by_letters(const void *a, const void *b) {
    const Word *one = a, *other = b;
    size_t shorter = one->length < other->length ? one->length : other->length;
    int order = memcmp(one->letters, other->letters, shorter);
    return order ? order : (one->length > other->length) - (one->length < other->length);
}

static int by_count(const void *a, const void *b) {
    const Word *one = a, *other = b;
    int order = (one->count < other->count) - (one->count > other->count);
    return order ? order : by_letters(a, b);
}

// Moves all words to the front, in the order of their letters.
static void sort(Words *all) {
    size_t used = 0;
    for (size_t at = 0; at < all->places; at++)
        if (all->words[at].letters)
            all->words[used++] = all->words[at];
    all->places = used;
    qsort(all->words, used, sizeof *all->words, by_letters);
}

static void print(const Word *word, FILE *file) {
    fprintf(file, "%.*s %llu\n", (int)word->length, word->letters, (unsigned long long)word->count);
}

static void finish(FILE *file, const char *path) {
    if (ferror(file) | fclose(file))
        fail("cannot be written", path);
}

// Words of bucket i go to the file /out/i, so that unit i of the next stage finds them.
static void write_buckets(const Words *all, uint32_t buckets) {
    for (uint32_t bucket = 0; bucket < buckets; bucket++) {
        char path[PATH_BYTES_MAX];
        snprintf(path, sizeof path, "/out/%u", bucket);
        FILE *file = or_fail(fopen(path, "w"));
        for (size_t at = 0; at < all->places; at++)
            // The upper half, for the lower one decides a word's place in tables.
            if (all->words[at].hash / 65536 % buckets == bucket)
                print(&all->words[at], file);
        finish(file, path);
    }
}

static void write_table(Words *all, size_t top, const char *path) {
    FILE *file = fopen(path, "w");
    if (!file)
        fail("cannot be written", path);
    uint64_t total = 0;
    for (size_t at = 0; at < all->places; at++) {
        print(&all->words[at], file);
        total += all->words[at].count;
    }
    finish(file, path);
    printf("%llu words, %zu different; the most frequent:\n", (unsigned long long)total, all->places);
    qsort(all->words, all->places, sizeof *all->words, by_count);
    for (size_t at = 0; at < all->places && at < top; at++)
        print(&all->words[at], stdout);
}

int main(int argc, char **argv) {
    Words all = {0};
    int is_table = argc == 5 && !strcmp(argv[1], "table");
    if (argc == 4 && !strcmp(argv[1], "count") && atoi(argv[3]) > 0) {
        count_text(&all, argv[2]);
        sort(&all);
        write_buckets(&all, (uint32_t)atoi(argv[3]));
    } else if (is_table || (argc == 3 && !strcmp(argv[1], "add"))) {
        add_folder(&all, argv[2]);
        sort(&all);
        if (is_table)
            write_table(&all, (size_t)atoi(argv[3]), argv[4]);
        else
            for (size_t at = 0; at < all.places; at++)
                print(&all.words[at], stdout);
    } else {
        fail("count TEXT BUCKETS | add FOLDER | table FOLDER TOP TABLE", "usage: words");
    }
    return ferror(stdout) ? 1 : 0;
}
