// Reads a genome (FASTA) and reads (FASTQ) from memory; what is wrong with them ends the program with one message.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GENOME_BYTES_MAX = 1 << 24, READS_BYTES_MAX = 1 << 26, READ_BASES_MAX = 1 << 16, NAME_BYTES_MAX = 255 };
enum { UNKNOWN_BASE = 4 };

// One sequence; its bases are 0 to 3, or unknown.
typedef struct {
    uint8_t *bases;
    int32_t length;
} Genome;

// The text of a read, where it lies in memory.
typedef struct {
    const char *name;
    int name_length;
    const char *letters;
    int32_t length;
} Read;

static void fail(const char *what, const char *which) {
    fprintf(stderr, "%s: %s\n", which, what);
    exit(2);
}

static void fail_at(const char *what, const char *which, long line) {
    fprintf(stderr, "%s: line %ld: %s\n", which, line, what);
    exit(2);
}

static void *or_fail(void *memory) {
    if (!memory)
        fail("out of memory", "map");
    return memory;
}

// A to T are 0 to 3, other letters an unknown base, and what is no letter is negative.
static int code(char letter) {
    switch (letter) {
    case 'A': case 'a': return 0;
    case 'C': case 'c': return 1;
    case 'G': case 'g': return 2;
    case 'T': case 't': return 3;
    default: break;
    }
    return (letter >= 'A' && letter <= 'Z') || (letter >= 'a' && letter <= 'z') ? UNKNOWN_BASE : -1;
}

static char *read_whole(const char *path, size_t limit, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("cannot be read", path);
    size_t room = 1 << 16;
    char *text = or_fail(malloc(room));
    for (*size = 0;;) {
        size_t more = fread(text + *size, 1, room - *size, file);
        *size += more;
        if (*size > limit)
            fail("is too large", path);
        if (more == 0)
            break;
        if (*size == room)
            text = or_fail(realloc(text, room *= 2));
    }
    if (ferror(file))
        fail("cannot be read", path);
    fclose(file);
    return text;
}

// The one sequence of a FASTA file.
static void read_genome(Genome *genome, const char *path) {
    size_t size, length = 0;
    char *text = read_whole(path, GENOME_BYTES_MAX, &size);
    if (size == 0 || *text != '>')
        fail("is no FASTA file: it does not begin with >", path);
    const char *at = memchr(text, '\n', size), *end = text + size;
    genome->bases = or_fail(malloc(size));
    for (long line = 2; at && ++at < end; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        for (const char *letter = at; letter < (stop ? stop : end); letter++) {
            if (*letter == '\r')
                continue;
            if (*letter == '>')
                fail_at("a second sequence begins; the genome must be one", path, line);
            int base = code(*letter);
            if (base < 0)
                fail_at("a letter is no base", path, line);
            genome->bases[length++] = (uint8_t)base;
        }
        at = stop;
    }
    free(text);
    if (length == 0)
        fail("the genome has no bases", path);
    genome->length = (int32_t)length;
}

// The next line of a text, without what ends it; 0 if there is none.
static int next_line(const char **at, const char *end, const char **line, size_t *length) {
    if (*at == end)
        return 0;
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    *line = *at;
    *length = (size_t)((stop ? stop : end) - *at);
    *at = stop ? stop + 1 : end;
    *length -= *length && (*line)[*length - 1] == '\r';
    return 1;
}

// The next read of a FASTQ file, four lines; 0 if there is none.
static int next_read(const char **at, const char *end, long *line, const char *path, Read *read) {
    const char *lines[4];
    size_t lengths[4];
    for (int i = 0; i < 4; i++)
        if (!next_line(at, end, &lines[i], &lengths[i])) {
            if (i)
                fail_at("the last read is cut short", path, *line + i - 1);
            return 0;
        }
    if (lengths[0] < 2 || *lines[0] != '@')
        fail_at("a read must begin with @ and its name", path, *line);
    if (lengths[2] < 1 || *lines[2] != '+')
        fail_at("there must be a + between a read's bases and its qualities", path, *line + 2);
    if (lengths[1] > READ_BASES_MAX)
        fail_at("a read has more than 65536 bases", path, *line + 1);
    if (lengths[1] != lengths[3])
        fail_at("there must be one quality for each base", path, *line + 3);
    size_t name = 1;
    while (name < lengths[0] && lines[0][name] > ' ' && lines[0][name] <= '~')
        name++;
    if (name == 1 || name > NAME_BYTES_MAX || (name < lengths[0] && lines[0][name] != ' ' && lines[0][name] != '\t'))
        fail_at("a read's name is longer than 254 letters or has other letters than ASCII", path, *line);
    for (size_t i = 0; i < lengths[1]; i++) {
        if (code(lines[1][i]) < 0)
            fail_at("a letter is no base", path, *line + 1);
        if (lines[3][i] < '!' || lines[3][i] > '~')
            fail_at("a letter is no quality", path, *line + 3);
    }
    *read = (Read){lines[0] + 1, (int)name - 1, lines[1], (int32_t)lengths[1]};
    *line += 4;
    return 1;
}
