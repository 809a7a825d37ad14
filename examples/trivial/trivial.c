// Prints x*x+1 for its argument x: the smallest guest there is, for measuring everything around it.
//
// No libc: the few calls it needs are imported by hand, so that it starts within a microsecond.

#include <stddef.h>
#include <stdint.h>

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

typedef struct {
    const char *bytes;
    size_t count;
} Slice;

WASI(args_sizes_get) int args_sizes_get(size_t *count, size_t *bytes);
WASI(args_get) int args_get(char **args, char *bytes);
WASI(fd_write) int fd_write(int fd, const Slice *slices, size_t count, size_t *written);
WASI(proc_exit) _Noreturn void proc_exit(int code);

enum { ARGS_MAX = 8, ARG_BYTES_MAX = 512, DIGITS_MAX = 20 };
enum { STDOUT = 1, MISUSED = 2, NOT_WRITTEN = 3 };

static char *args[ARGS_MAX];
static char arg_bytes[ARG_BYTES_MAX];

// The first argument as a number below 2^32, so that its square fits.
static uint64_t argument(void) {
    size_t count, bytes;
    if (args_sizes_get(&count, &bytes) || count < 2 || count > ARGS_MAX || bytes > ARG_BYTES_MAX ||
        args_get(args, arg_bytes) || !args[1][0])
        proc_exit(MISUSED);
    uint64_t x = 0;
    for (const char *digit = args[1]; *digit; digit++) {
        x = x * 10 + (uint64_t)(*digit - '0');
        if (*digit < '0' || *digit > '9' || x >> 32)
            proc_exit(MISUSED);
    }
    return x;
}

void _start(void) {
    uint64_t x = argument(), value = x * x + 1;
    char line[DIGITS_MAX + 1], *first = line + DIGITS_MAX;
    *first = '\n';
    do {
        *--first = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    Slice slice = {first, (size_t)(line + DIGITS_MAX + 1 - first)};
    size_t written;
    if (fd_write(STDOUT, &slice, 1, &written) || written != slice.count)
        proc_exit(NOT_WRITTEN);
}
