// Prices one European call option by Monte Carlo: one line on stdout.
//
// The same arguments give the same line to the last digit, because the random numbers are our own
// and follow from SEED.

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    double spot, strike, rate, volatility, years;
} Option;

// xoshiro256+ of Blackman and Vigna: its upper 53 bits make a double.
typedef struct {
    uint64_t word[4];
} Random;

// Spreads any seed over the whole state, as xoshiro's authors advise.
static uint64_t splitmix(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static Random seeded(uint64_t seed) {
    Random random;
    for (int i = 0; i < 4; i++)
        random.word[i] = splitmix(&seed);
    return random;
}

static uint64_t next(Random *random) {
    uint64_t *w = random->word, result = w[0] + w[3], kept = w[1] << 17;
    w[2] ^= w[0];
    w[3] ^= w[1];
    w[1] ^= w[2];
    w[0] ^= w[3];
    w[2] ^= kept;
    w[3] = w[3] << 45 | w[3] >> 19;
    return result;
}

// Uniform between -1 and 1.
static double uniform(Random *random) {
    return (double)(next(random) >> 11) * 0x1p-52 - 1.0;
}

// Two independent normal numbers, by Marsaglia's polar method.
static void normal_pair(Random *random, double pair[2]) {
    double x, y, square;
    do {
        x = uniform(random);
        y = uniform(random);
        square = x * x + y * y;
    } while (square >= 1.0 || square == 0.0);
    double factor = sqrt(-2.0 * log(square) / square);
    pair[0] = x * factor;
    pair[1] = y * factor;
}

static void price(Option o, uint64_t seed, uint64_t pairs, double *mean, double *error) {
    Random random = seeded(seed);
    double drift = (o.rate - o.volatility * o.volatility / 2) * o.years;
    double spread = o.volatility * sqrt(o.years);
    double discount = exp(-o.rate * o.years);
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < pairs; i++) {
        double normal[2];
        normal_pair(&random, normal);
        for (int j = 0; j < 2; j++) {
            double gain = o.spot * exp(drift + spread * normal[j]) - o.strike;
            double payoff = gain > 0 ? discount * gain : 0;
            sum += payoff;
            squares += payoff * payoff;
        }
    }
    double count = 2.0 * (double)pairs;
    *mean = sum / count;
    *error = sqrt((squares / count - *mean * *mean) / (count - 1));
}

// A number and nothing behind it, above zero; otherwise the program ends.
static double positive(const char *text) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value > 0) || value > 1e12) {
        fprintf(stderr, "not a positive number: %s\n", text);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "usage: price SPOT STRIKE RATE VOLATILITY YEARS PATHS SEED\n");
        return 2;
    }
    Option option = {positive(argv[1]), positive(argv[2]), positive(argv[3]), positive(argv[4]),
                     positive(argv[5])};
    uint64_t pairs = (uint64_t)positive(argv[6]) / 2, seed = strtoull(argv[7], NULL, 10);
    if (pairs == 0) {
        fprintf(stderr, "PATHS must be 2 or more\n");
        return 2;
    }
    double mean, error;
    price(option, seed, pairs, &mean, &error);
    // 17 digits give both numbers back exactly to whoever reads the line.
    printf("%s %s %s %s %s %.17g %.17g\n", argv[1], argv[2], argv[3], argv[4], argv[5], mean, error);
    return 0;
}
