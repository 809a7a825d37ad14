// C++ streams, containers and floating point.
#include <cmath>
#include <cstdio>
#include <iomanip>
#include <iostream>
#include <map>
#include <string>

int main() {
    std::map<std::string, int> words;
    for (std::string word; std::cin >> word;) ++words[word];
    FILE *out = std::fopen("/out/words.txt", "w"); // Debian's libc++ for wasm has no file streams
    for (const auto &[word, count] : words) std::fprintf(out, "%s %d\n", word.c_str(), count);
    std::fclose(out);
    std::cout << words.size() << " words\n";
    std::cout << std::setprecision(17) << std::sin(0.5) + std::pow(2.0, 0.3) << '\n';
}
