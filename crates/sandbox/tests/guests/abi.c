// What preview1 says beyond what a C library asks of it: rights, flags, cookies, bad arguments.
// Every step prints what was done and the errno, 0 being success.
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wasi/api.h>

// Gone from newer headers, and still part of the interface.
__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_raise")))
__wasi_errno_t proc_raise(uint32_t signal);

#define STEP(call) printf("%s = %d\n", #call, (int)(call))
#define ALL (~0ull)

static __wasi_errno_t open_at(__wasi_fd_t dir, const char *path, __wasi_oflags_t how,
                              __wasi_rights_t base, __wasi_fdflags_t flags, __wasi_fd_t *fd) {
    return __wasi_path_open(dir, 0, path, how, base, base, flags, fd);
}

static __wasi_errno_t put(__wasi_fd_t fd, const char *text) {
    __wasi_ciovec_t part = {(const uint8_t *)text, strlen(text)};
    __wasi_size_t done;
    return __wasi_fd_write(fd, &part, 1, &done);
}

static __wasi_errno_t get(__wasi_fd_t fd, __wasi_size_t *done) {
    static uint8_t buffer[64];
    __wasi_iovec_t part = {buffer, sizeof buffer};
    return __wasi_fd_read(fd, &part, 1, done);
}

static void descriptors(void) {
    __wasi_prestat_t stat;
    uint8_t name[8] = {0};
    STEP(__wasi_fd_prestat_get(3, &stat));
    STEP(__wasi_fd_prestat_dir_name(3, name, 0));
    STEP(__wasi_fd_prestat_dir_name(3, name, 8));
    printf("%d %zu %s\n", stat.tag, stat.u.dir.pr_name_len, name);
    STEP(__wasi_fd_prestat_get(0, &stat));
    STEP(__wasi_fd_prestat_get(4, &stat));

    __wasi_fd_t one, two;
    STEP(open_at(3, "tmp/one", __WASI_OFLAGS_CREAT, __WASI_RIGHTS_FD_WRITE, 0, &one));
    STEP(open_at(3, "tmp/two", __WASI_OFLAGS_CREAT, __WASI_RIGHTS_FD_WRITE, 0, &two));
    printf("%u %u\n", one, two);
    STEP(__wasi_fd_renumber(one, 77));
    STEP(__wasi_fd_renumber(one, two));
    STEP(__wasi_fd_close(one));
    STEP(put(two, "renumbered"));
    STEP(open_at(3, "tmp/two", 0, __WASI_RIGHTS_FD_WRITE, 0, &one));
    printf("%u is free again\n", one);
    __wasi_filestat_t file;
    STEP(__wasi_path_filestat_get(3, 0, "tmp/one", &file));
    printf("size %llu type %d links %llu\n", file.size, file.filetype, file.nlink);
    STEP(__wasi_fd_close(one));
    STEP(__wasi_fd_close(two));
    int opened = 0;
    while (open_at(3, "tmp/one", 0, 0, 0, &one) == 0) opened++;
    printf("%d more can be open, then %d\n", opened, open_at(3, "tmp/one", 0, 0, 0, &one));
    for (__wasi_fd_t fd = 4; fd < 4 + opened; fd++) (void)!__wasi_fd_close(fd);
}

static void rights(void) {
    __wasi_fd_t fd, dir;
    __wasi_fdstat_t stat;
    __wasi_size_t done;
    __wasi_filesize_t at;
    STEP(open_at(3, "tmp/one", 0, __WASI_RIGHTS_FD_READ, 0, &fd));
    STEP(put(fd, "x"));
    STEP(__wasi_fd_filestat_set_size(fd, 1));
    STEP(__wasi_fd_allocate(fd, 0, 1));
    STEP(__wasi_fd_close(fd));
    STEP(open_at(3, "tmp/one", 0, __WASI_RIGHTS_FD_WRITE, 0, &fd));
    STEP(get(fd, &done));
    STEP(__wasi_fd_fdstat_get(fd, &stat));
    STEP(__wasi_fd_fdstat_set_rights(fd, stat.fs_rights_base | __WASI_RIGHTS_FD_READ, 0));
    STEP(__wasi_fd_fdstat_set_rights(fd, stat.fs_rights_base & ~__WASI_RIGHTS_FD_WRITE, 0));
    STEP(put(fd, "x"));
    STEP(__wasi_fd_close(fd));

    STEP(open_at(3, "tmp", __WASI_OFLAGS_DIRECTORY, ALL & ~__WASI_RIGHTS_FD_WRITE, 0, &dir));
    STEP(__wasi_fd_fdstat_get(dir, &stat));
    printf("a folder may seek: %d\n", (stat.fs_rights_base & __WASI_RIGHTS_FD_SEEK) != 0);
    STEP(__wasi_fd_seek(dir, 0, __WASI_WHENCE_CUR, &at));
    STEP(__wasi_fd_tell(dir, &at));
    STEP(get(dir, &done));
    STEP(put(dir, "x"));
    STEP(__wasi_fd_allocate(dir, 0, 1));
    STEP(__wasi_fd_advise(dir, 0, 0, 0));
    STEP(open_at(dir, "one", __WASI_OFLAGS_TRUNC, 0, 0, &fd));
    STEP(__wasi_fd_close(fd));
    __wasi_rights_t less = stat.fs_rights_base & ~(__WASI_RIGHTS_PATH_FILESTAT_SET_SIZE |
        __WASI_RIGHTS_PATH_CREATE_FILE | __WASI_RIGHTS_PATH_UNLINK_FILE);
    STEP(__wasi_fd_fdstat_set_rights(dir, less, __WASI_RIGHTS_FD_READ));
    STEP(open_at(dir, "one", __WASI_OFLAGS_TRUNC, 0, 0, &fd));
    STEP(open_at(dir, "new", __WASI_OFLAGS_CREAT, 0, 0, &fd));
    STEP(__wasi_path_unlink_file(dir, "one"));
    STEP(open_at(dir, "one", 0, __WASI_RIGHTS_FD_WRITE, 0, &fd));
    STEP(__wasi_fd_close(dir));
}

static void paths(void) {
    __wasi_fd_t fd, dir;
    STEP(__wasi_path_create_directory(3, "tmp/dir"));
    STEP(__wasi_path_create_directory(3, "tmp/dir/nested/"));
    STEP(open_at(3, "tmp/dir/nested/file", __WASI_OFLAGS_CREAT, 0, 0, &fd));
    STEP(__wasi_fd_close(fd));
    STEP(open_at(3, "tmp/dir", __WASI_OFLAGS_DIRECTORY, __WASI_RIGHTS_PATH_OPEN, 0, &dir));
    STEP(open_at(dir, "/tmp/one", 0, 0, 0, &fd));
    STEP(open_at(dir, "../one", 0, 0, 0, &fd));
    STEP(open_at(dir, "nested/../../dir/nested/file", 0, 0, 0, &fd));
    STEP(open_at(dir, ".//nested/../nested///./file", 0, 0, 0, &fd));
    STEP(__wasi_fd_close(fd));
    STEP(open_at(dir, "nested/file/", 0, 0, 0, &fd));
    STEP(open_at(dir, "nested/file/.", 0, 0, 0, &fd));
    STEP(open_at(dir, "nested/file/..", 0, 0, 0, &fd));
    STEP(open_at(dir, "nested//", 0, 0, 0, &fd));
    STEP(__wasi_fd_close(fd));
    STEP(open_at(dir, "", 0, 0, 0, &fd));
    STEP(open_at(dir, "\xff", 0, 0, 0, &fd));
    STEP(open_at(3, "tmp/no/../one", 0, 0, 0, &fd));
    STEP(open_at(3, "tmp/x\ny", __WASI_OFLAGS_CREAT, 0, 0, &fd));
    STEP(open_at(3, "tmp/new/", __WASI_OFLAGS_CREAT, 0, 0, &fd));
    STEP(open_at(3, "tmp/d", __WASI_OFLAGS_CREAT | __WASI_OFLAGS_DIRECTORY, 0, 0, &fd));
    STEP(open_at(3, "tmp/one", __WASI_OFLAGS_DIRECTORY, 0, 0, &fd));
    STEP(open_at(3, "tmp/one", 16, 0, 0, &fd));
    STEP(open_at(3, "tmp/one", 0, 0, 32, &fd));
    STEP(open_at(0, "tmp/one", 0, 0, 0, &fd));
    char name[700];
    memset(name, 'n', sizeof name);
    memcpy(name, "tmp/", 4);
    name[4 + 256] = 0;
    STEP(__wasi_path_create_directory(3, name));
    name[4 + 255] = 0;
    STEP(__wasi_path_create_directory(3, name));
    name[4 + 255] = '/';
    name[2 * (4 + 255)] = 0;
    STEP(__wasi_path_create_directory(3, name));
    name[514] = 0;
    STEP(__wasi_path_create_directory(3, name));
    STEP(__wasi_path_unlink_file(3, "tmp/dir"));
    STEP(__wasi_path_unlink_file(3, "tmp/one/"));
    STEP(__wasi_path_remove_directory(3, "tmp/one"));
    STEP(__wasi_path_remove_directory(3, "tmp/dir"));
    STEP(__wasi_path_remove_directory(3, "tmp"));
    STEP(__wasi_path_remove_directory(3, "tmp/dir/nested/."));
    STEP(__wasi_path_rename(3, "tmp/one", 3, "tmp/dir"));
    STEP(__wasi_path_rename(3, "tmp/dir", 3, "tmp/one"));
    STEP(__wasi_path_rename(3, "tmp/dir", 3, "tmp/dir"));
    STEP(__wasi_path_rename(3, "tmp/dir", 3, "tmp/dir/nested/x"));
    STEP(__wasi_path_create_directory(3, "tmp/empty"));
    STEP(__wasi_path_rename(3, "tmp/empty", 3, "tmp/dir"));
    STEP(__wasi_path_rename(3, "tmp/dir", 3, "tmp/empty/"));
    STEP(__wasi_path_rename(3, "tmp/empty/nested/file", 3, "tmp/two"));
    STEP(__wasi_path_remove_directory(3, "tmp/empty/nested/"));
    STEP(__wasi_path_remove_directory(dir, "nested"));
    STEP(__wasi_path_remove_directory(3, "tmp/empty"));
    STEP(open_at(dir, "x", __WASI_OFLAGS_CREAT, 0, 0, &fd));
    STEP(__wasi_fd_close(dir));
    __wasi_size_t done;
    uint8_t target[8];
    STEP(__wasi_path_readlink(3, "tmp/one", target, 8, &done));
    STEP(__wasi_path_symlink("one", 3, "tmp/link"));
    STEP(__wasi_path_link(3, 0, "tmp/one", 3, "tmp/link"));
}

static void folders(void) {
    uint8_t buffer[64];
    __wasi_size_t used;
    __wasi_dircookie_t cookie = 0;
    for (;;) {
        if (__wasi_fd_readdir(3, buffer, sizeof buffer, cookie, &used)) break;
        __wasi_dirent_t entry;
        if (used < sizeof entry) break;
        memcpy(&entry, buffer, sizeof entry);
        printf("%llu -> %llu: %.*s type %d\n", cookie, entry.d_next, (int)entry.d_namlen,
               buffer + sizeof entry, entry.d_type);
        cookie = entry.d_next;
    }
    STEP(__wasi_fd_readdir(3, buffer, 10, 0, &used));
    printf("%zu of an entry\n", used);
    STEP(__wasi_fd_readdir(3, buffer, 64, 12345, &used));
    printf("%zu after the end\n", used);
    STEP(__wasi_fd_readdir(0, buffer, 64, 0, &used));
}

static void files(void) {
    __wasi_fd_t fd;
    __wasi_filesize_t at;
    __wasi_filestat_t stat;
    __wasi_size_t done;
    STEP(open_at(3, "out/log", __WASI_OFLAGS_CREAT, __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE,
                 __WASI_FDFLAGS_APPEND, &fd));
    STEP(put(fd, "first "));
    STEP(__wasi_fd_seek(fd, 0, __WASI_WHENCE_SET, &at));
    STEP(put(fd, "second"));
    STEP(__wasi_fd_tell(fd, &at));
    printf("at %llu\n", at);
    STEP(__wasi_fd_fdstat_set_flags(fd, 0));
    STEP(__wasi_fd_seek(fd, 0, __WASI_WHENCE_SET, &at));
    STEP(put(fd, "FIRST"));
    STEP(__wasi_fd_fdstat_set_flags(fd, 32));
    STEP(__wasi_fd_seek(fd, -1, __WASI_WHENCE_SET, &at));
    STEP(__wasi_fd_seek(fd, INT64_MAX, __WASI_WHENCE_END, &at));
    STEP(__wasi_fd_seek(fd, 0, 3, &at));
    STEP(__wasi_fd_seek(1, 0, __WASI_WHENCE_SET, &at));
    STEP(__wasi_fd_seek(fd, 1000, __WASI_WHENCE_END, &at));
    STEP(get(fd, &done));
    printf("%zu beyond the end\n", done);
    STEP(__wasi_fd_filestat_get(fd, &stat));
    printf("still %llu bytes, modified %llu\n", stat.size, stat.mtim);
    STEP(__wasi_fd_filestat_set_times(fd, 1, 2, __WASI_FSTFLAGS_MTIM));
    STEP(__wasi_path_filestat_set_times(3, 0, "out/log", 7, 8, __WASI_FSTFLAGS_ATIM));
    STEP(__wasi_fd_filestat_set_times(fd, 3, 4, __WASI_FSTFLAGS_MTIM | __WASI_FSTFLAGS_MTIM_NOW));
    STEP(__wasi_fd_filestat_set_times(fd, 3, 4, 16));
    STEP(__wasi_path_filestat_set_times(3, 0, "in", 3, 4, __WASI_FSTFLAGS_MTIM));
    STEP(__wasi_fd_filestat_get(fd, &stat));
    printf("accessed %llu, modified %llu\n", stat.atim, stat.mtim);
    STEP(__wasi_fd_allocate(fd, 10, 0));
    STEP(__wasi_fd_allocate(fd, UINT64_MAX, 2));
    STEP(__wasi_fd_advise(fd, 0, 0, 5));
    STEP(__wasi_fd_advise(fd, 0, 0, 6));
    STEP(__wasi_fd_sync(fd));
    STEP(__wasi_fd_datasync(1));
    uint8_t byte;
    __wasi_iovec_t part = {&byte, 1};
    STEP(__wasi_fd_pread(0, &part, 1, 0, &done));
    STEP(__wasi_fd_read(fd, &part, 2000, &done));
    __wasi_iovec_t outside = {(uint8_t *)0xfffffff0, 64};
    STEP(__wasi_fd_read(fd, &outside, 1, &done));
    STEP(__wasi_fd_read(fd, (__wasi_iovec_t *)0xfffffff0, 1, &done));
    STEP(__wasi_fd_read(fd, &part, 1, (__wasi_size_t *)0xfffffffe));
    STEP(__wasi_fd_close(fd));
}

static void others(void) {
    __wasi_fd_t fd;
    STEP(__wasi_sock_accept(1, 0, &fd));
    STEP(__wasi_sock_shutdown(99, 0));
    STEP(__wasi_sched_yield());
    __wasi_timestamp_t time;
    STEP(__wasi_clock_res_get(0, &time));
    STEP(__wasi_clock_time_get(4, 0, &time));
    __wasi_subscription_t in[3] = {0};
    __wasi_event_t out[3];
    __wasi_size_t count;
    in[0].userdata = 10;
    in[0].u.tag = __WASI_EVENTTYPE_CLOCK;
    in[0].u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
    in[0].u.u.clock.timeout = 5000000000;
    in[1] = in[0];
    in[1].userdata = 11;
    in[1].u.u.clock.timeout = 3000000000;
    STEP(__wasi_poll_oneoff(in, out, 2, &count));
    printf("%zu event: %llu\n", count, out[0].userdata);
    in[2].userdata = 12;
    in[2].u.tag = __WASI_EVENTTYPE_FD_READ;
    in[2].u.u.fd_read.file_descriptor = 99;
    STEP(__wasi_poll_oneoff(in, out, 3, &count));
    printf("%zu event: %llu type %d errno %d\n", count, out[0].userdata, out[0].type, out[0].error);
    STEP(__wasi_poll_oneoff(in, out, 0, &count));
    in[2].u.tag = 9;
    STEP(__wasi_poll_oneoff(in, out, 3, &count));
    STEP(__wasi_fd_close(3));
    STEP(open_at(3, "tmp/one", 0, 0, 0, &fd));
    STEP(proc_raise(17));
    STEP(proc_raise(31));
    fflush(stdout);
    proc_raise(6);
}

int main(void) {
    descriptors();
    rights();
    paths();
    folders();
    files();
    others();
}
