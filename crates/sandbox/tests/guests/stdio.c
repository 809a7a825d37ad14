// Arguments, environment, stdin, stdout, stderr and the exit code.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) printf("arg %d: %s\n", i, argv[i]);
    const char *who = getenv("WHO");
    printf("WHO=%s NONE=%s\n", who ? who : "-", getenv("NONE") ? "?" : "-");
    char line[256];
    int lines = 0;
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        printf("%d <%s>\n", ++lines, line);
    }
    printf("eof=%d isatty=%d%d\n", feof(stdin) != 0, isatty(0), isatty(1));
    fprintf(stderr, "for people\n");
    return lines == 2 ? 7 : 1;
}
