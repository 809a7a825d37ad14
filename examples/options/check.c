// Compares simulated option prices with the Black-Scholes closed form: a table on stdout and in a file.
//
// Exits with 1 if any price is more than four standard errors off.

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_BYTES_MAX = 512 };
static const double Z_MAX = 4.0;

typedef struct {
    double spot, strike, rate, volatility, years, price, error;
} Line;

static double normal_below(double x) {
    return erfc(-x / sqrt(2.0)) / 2;
}

static double black_scholes(const Line *l) {
    double spread = l->volatility * sqrt(l->years);
    double d1 = (log(l->spot / l->strike) + (l->rate + l->volatility * l->volatility / 2) * l->years) /
                spread;
    return l->spot * normal_below(d1) -
           l->strike * exp(-l->rate * l->years) * normal_below(d1 - spread);
}

static Line read_line(const char *folder, const char *name) {
    char path[NAME_BYTES_MAX];
    Line l;
    snprintf(path, sizeof path, "%s/%s/stdout", folder, name);
    FILE *file = fopen(path, "r");
    int fields = !file ? 0
                       : fscanf(file, "%lf %lf %lf %lf %lf %lf %lf", &l.spot, &l.strike, &l.rate,
                                &l.volatility, &l.years, &l.price, &l.error);
    if (fields != 7) {
        fprintf(stderr, "%s: not a line of seven numbers\n", path);
        exit(2);
    }
    fclose(file);
    return l;
}

static int is_name(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: check FOLDER-OF-PRICES TABLE.csv\n");
        return 2;
    }
    struct dirent **entries;
    int count = scandir(argv[1], &entries, is_name, alphasort);
    FILE *csv = fopen(argv[2], "w");
    if (count <= 0 || !csv) {
        fprintf(stderr, "%s: no prices, or %s cannot be written\n", argv[1], argv[2]);
        return 2;
    }
    fprintf(csv, "strike,volatility,price,standard_error,closed_form,z\n");
    printf("strike  volatility     price  std.error  closed form      z\n");
    double largest = 0, squares = 0;
    int off = 0;
    for (int i = 0; i < count; i++) {
        Line l = read_line(argv[1], entries[i]->d_name);
        double exact = black_scholes(&l), z = (l.price - exact) / l.error;
        fprintf(csv, "%g,%g,%.10f,%.10f,%.10f,%.4f\n", l.strike, l.volatility, l.price, l.error,
                exact, z);
        printf("%6g  %10g  %8.4f  %9.4f  %11.4f  %5.2f\n", l.strike, l.volatility, l.price, l.error,
               exact, z);
        // Put so that a z that is not a number counts as off.
        off += !(fabs(z) <= Z_MAX);
        largest = fmax(largest, fabs(z));
        squares += z * z;
    }
    printf("\n%d prices, %d of them off by more than %g standard errors\n", count, off, Z_MAX);
    printf("largest |z| %.2f, mean of z squared %.2f (1 is expected)\n", largest, squares / count);
    return off || fclose(csv) ? 1 : 0;
}
