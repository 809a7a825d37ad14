// What programs do with files, told as the errno or the value of each step.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP(what) do { errno = 0; long got = (long)(what); \
    printf("%s = %ld%s%s\n", #what, got, got < 0 ? " " : "", got < 0 ? strerror(errno) : ""); } while (0)

static void list(const char *path) {
    DIR *dir = opendir(path);
    if (!dir) { printf("%s: %s\n", path, strerror(errno)); return; }
    printf("%s:", path);
    for (struct dirent *e; (e = readdir(dir));) printf(" %s%s", e->d_name, e->d_type == DT_DIR ? "/" : "");
    printf("\n");
    closedir(dir);
}

static long size_of(const char *path) {
    struct stat st;
    return stat(path, &st) ? -1 : (long)st.st_size;
}

static void show(const char *path) {
    char text[64] = {0};
    FILE *f = fopen(path, "r");
    if (!f) { printf("%s: %s\n", path, strerror(errno)); return; }
    size_t n = fread(text, 1, sizeof text - 1, f);
    printf("%s (%zu): %s\n", path, n, text);
    fclose(f);
}

int main(void) {
    list("/");
    list("/in");
    show("/in/hello.txt");
    show("in/deep/er/data");
    STEP(open("/in/new", O_CREAT | O_WRONLY, 0644));
    STEP(open("/in/hello.txt", O_RDWR));
    STEP(unlink("/in/hello.txt"));
    STEP(open("/new", O_CREAT | O_WRONLY, 0644));
    STEP(open("/etc/passwd", O_RDONLY));
    STEP(open("/../../etc/passwd", O_RDONLY));
    STEP(open("/in/../out/../in/hello.txt", O_RDONLY));

    FILE *f = fopen("/out/a.txt", "w");
    fputs("one two three", f);
    fclose(f);
    STEP(size_of("/out/a.txt"));
    f = fopen("/out/a.txt", "r+");
    STEP(fseek(f, 4, SEEK_SET));
    fputs("TWO", f);
    STEP(fseek(f, -5, SEEK_END));
    STEP(ftell(f));
    STEP(fgetc(f));
    fclose(f);
    f = fopen("/out/a.txt", "a");
    fputs(" four", f);
    fclose(f);
    show("/out/a.txt");

    int fd = open("/out/b", O_CREAT | O_EXCL | O_RDWR, 0644);
    STEP(fd);
    STEP(open("/out/b", O_CREAT | O_EXCL | O_RDWR, 0644));
    STEP(pwrite(fd, "xyz", 3, 5));
    STEP(lseek(fd, 0, SEEK_CUR));
    char text[9] = {0};
    STEP(pread(fd, text, 8, 0));
    STEP(memcmp(text, "\0\0\0\0\0xyz", 8));
    STEP(ftruncate(fd, 6));
    STEP(lseek(fd, 0, SEEK_END));
    STEP(lseek(fd, -9, SEEK_END));
    STEP(write(fd, "!", 1));
    STEP(posix_fallocate(fd, 0, 100));
    STEP(size_of("/out/b"));
    STEP(close(fd));
    STEP(close(fd));
    STEP(read(fd, text, 1));
    STEP(open("/out/b", O_WRONLY | O_TRUNC));
    STEP(read(fd, text, 1));
    STEP(size_of("/out/b"));
    close(fd);

    STEP(mkdir("/out/dir", 0755));
    STEP(mkdir("/out/dir", 0755));
    STEP(mkdir("/out/no/dir", 0755));
    STEP(rename("/out/b", "/out/dir/c"));
    STEP(rmdir("/out/dir"));
    STEP(unlink("/out/dir"));
    STEP(rename("/out/dir", "/out/dir/inside"));
    STEP(open("/out/a.txt/x", O_RDONLY));
    STEP(open("/out/dir", O_WRONLY));
    STEP(symlink("a.txt", "/out/link"));
    STEP(link("/out/a.txt", "/out/link"));
    list("/out");
    STEP(rename("/out/dir", "/tmp/moved"));
    list("/out");
    list("/tmp/moved");
    STEP(access("/tmp/moved/c", F_OK));

    // Reading a folder while emptying it misses nothing.
    for (char name[] = "/tmp/moved/f0"; name[12] <= '9'; name[12]++) fclose(fopen(name, "w"));
    DIR *dir = opendir("/tmp/moved");
    int removed = 0;
    for (struct dirent *e; (e = readdir(dir));) removed += unlinkat(dirfd(dir), e->d_name, 0) == 0;
    closedir(dir);
    STEP(removed);
    STEP(rmdir("/tmp/moved"));

    // What is open stays readable without a name.
    fd = open("/tmp/gone", O_CREAT | O_RDWR, 0644);
    STEP(write(fd, "still here", 10));
    STEP(unlink("/tmp/gone"));
    STEP(pread(fd, text, 5, 6));
    STEP(close(fd));
    list("/tmp");

    struct stat one, two;
    stat("/in/hello.txt", &one);
    stat("/in/deep", &two);
    printf("inodes differ: %d, mtime %lld\n", one.st_ino != two.st_ino, (long long)one.st_mtim.tv_sec);
    return 0;
}
