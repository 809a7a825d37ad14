#!/usr/bin/env python3
"""Writes a text without a meaning, but with frequencies as languages have them: text.py > data/text.txt"""

import sys

SIZE, WORDS = 192 << 10, 8192
MASK = (1 << 64) - 1


def chance(state):
    """SplitMix64's number for a state."""
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def word(number):
    """Two to five syllables, and the number in letters, so that all words differ."""
    dice, letters = chance(0xC0FFEE + number), ""
    for syllable in range(2 + dice % 4):
        byte = dice >> (8 + 8 * syllable) & 255
        letters += "bcdfghjklmnprstvz"[byte % 17] + "aeiou"[byte // 17 % 5]
    while True:
        letters += chr(97 + number % 26)
        number //= 26
        if not number:
            return letters


def text(size):
    """Word r comes about 1/r as often as the first one."""
    words, pieces, length = [word(number) for number in range(WORDS)], [], 0
    while True:
        dice = chance(0x5EED0001 + len(pieces))
        piece = words[(dice >> 16) % (1 << (dice & 0xFFFF) % 14)]
        piece += "\n" if len(pieces) % 12 == 11 else " "
        if size < length + len(piece):
            return "".join(pieces).rstrip() + "\n"
        pieces.append(piece)
        length += len(piece)


if __name__ == "__main__":
    sys.stdout.write(text(SIZE))
