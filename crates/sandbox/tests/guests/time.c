// Clocks, sleep and chance.
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <errno.h>
#include <poll.h>

static long long ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int main(void) {
    long long start = ns(CLOCK_REALTIME);
    printf("it is %lld\n", start / 1000000000);
    printf("a look costs %lld ns\n", ns(CLOCK_REALTIME) - start);
    long long before = ns(CLOCK_MONOTONIC);
    struct timespec hour = {3600, 0};
    printf("slept: %d\n", nanosleep(&hour, NULL));
    printf("%lld s later\n", (ns(CLOCK_MONOTONIC) - before) / 1000000000);
    while (ns(CLOCK_MONOTONIC) - before < 3601ll * 1000000000) ;
    printf("busy waiting ends\n");
    struct pollfd fds[] = {{0, POLLIN, 0}, {1, POLLOUT, 0}};
    printf("poll: %d %d %d\n", poll(fds, 2, 1000), fds[0].revents & POLLIN, fds[1].revents & POLLOUT);
    unsigned char bytes[16];
    printf("entropy: %d ", getentropy(bytes, sizeof bytes));
    for (int i = 0; i < 16; i++) printf("%02x", bytes[i]);
    printf("\n");
    return 0;
}
