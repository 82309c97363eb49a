// What the coder of shared weights learns: probabilities by context, mixed; and what rows and columns were like so far.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "demitasse/logistic.hpp"

namespace demitasse::clusters {

constexpr std::size_t inputs = 10;  // contexts at a time
constexpr int most_seen = 250;

// 0 for 0, else log2 in quarter octaves, plus one: 1, 5, 9 … for 1, 2, 4 …
inline int log_class(std::uint32_t x) {
    if (x == 0) return 0;
    int whole = 31;
    while (!(x >> whole)) --whole;
    const std::uint32_t next = whole >= 2 ? x >> (whole - 2) & 3 : x << (2 - whole) & 3;
    return 4 * whole + int(next) + 1;
}

// The probability of a one: the mean of what was seen, which forgets later.
struct Cell {
    std::uint16_t p = 32768;
    std::uint16_t seen = 0;

    void update(bool bit) {
        const std::int32_t target = bit ? 65535 : 0;
        p = std::uint16_t(p + (target - p) * 2 / (2 * seen + 3));
        if (seen < most_seen) ++seen;
    }
};

// A codebook as the coder sees it: magnitudes in 31 bits, all of them below 2^30, the largest above 2^29.
struct Book {
    std::size_t zero = 0;  // position of +0, or of the value that follows where it would be
    std::vector<std::uint32_t> magnitudes;

    Book(const std::uint32_t *codebook, std::size_t entries) {
        std::uint32_t largest = 0;
        for (std::size_t i = 0; i < entries; ++i) {
            zero += codebook[i] >> 31;
            largest = std::max(largest, codebook[i] >> 23 & 255);
        }
        zero = std::min(zero, entries - 1);
        for (std::size_t i = 0; i < entries; ++i) {
            const std::uint32_t exponent = codebook[i] >> 23 & 255, below = largest - exponent;
            const std::uint32_t mantissa = (codebook[i] & 0x7FFFFF) | (exponent ? 0x800000 : 0);
            magnitudes.push_back(below > 29 ? 0 : (mantissa << 6) >> below);
        }
    }

    // A magnitude in the middle of those that there are, in 17 bits.
    std::int32_t typical() const {
        std::vector<std::uint32_t> sorted(magnitudes);
        std::nth_element(sorted.begin(), sorted.begin() + std::ptrdiff_t(sorted.size() / 2), sorted.end());
        return std::int32_t(sorted[sorted.size() / 2] >> 15) + 1;
    }

    // Where the weights of the entry at this distance from zero (1, 2 …) begin: half way from the one before.
    std::uint32_t border(bool negative, std::size_t distance, std::size_t end) const {
        const auto at = [&](std::size_t d) { return magnitudes[negative ? zero - d : zero + d]; };
        if (distance >= end) return 2 * at(end - 1);
        if (distance == 1) return at(1);
        return at(distance - 1) + at(distance);
    }
};

// Which sets of weights a decision is mixed by; the mean of what they say counts.
using Sets = std::array<std::size_t, 3>;
constexpr std::size_t places = 64, classes = 64;  // of a kernel; of a prediction
constexpr std::size_t zero_by_fill = 32, zero_by_place = zero_by_fill + classes, sign_by_lean = zero_by_place + places,
                      sign_by_place = sign_by_lean + classes, sets_of_weights = sign_by_place + places;

class Model {
  public:
    // For about that many weights: few of them fill no large tables.
    explicit Model(std::size_t weights) {
        while (table_bits_ < 18 && (weights >> table_bits_) > 0) ++table_bits_;
        for (auto &set : weights_) set.fill((1 << 16) * 3 / int(inputs) / 2);
        for (auto &table : cells_) table.resize(std::size_t(1) << table_bits_);
    }

    // Another codebook: what was learnt is a first guess, and soon forgotten where it is wrong.
    void begin_tensor() {
        for (std::size_t i = 0; i + shared < inputs; ++i)
            for (Cell &cell : cells_[i]) cell.seen = std::min<std::uint16_t>(cell.seen, 6);
    }

    void set_context(std::size_t i, std::uint32_t context) { contexts_[i] = (context + 1) * 0x9E3779B1u; }

    // The decision at a node of the tree of one codebook; relative tells where it is, whatever the codebook. Guess: the
    // log-odds of a one by other means.
    template <class Coder>
    bool code(Coder &coder, bool bit, std::uint32_t node, std::uint32_t relative, const Sets &sets, int guess) {
        const LogisticTables &tables = logistic_tables();
        std::array<Cell *, inputs> cells;
        std::array<std::int32_t, inputs + 1> x;
        for (std::size_t i = 0; i < inputs; ++i) {
            const std::uint32_t own = i + shared < inputs ? node : relative;
            std::uint32_t hash = (contexts_[i] ^ own * 0x85EBCA6Bu) * 0xC2B2AE35u;
            hash ^= hash >> 15;
            cells[i] = &cells_[i][(hash * 0x2C1B3C6Du) >> (32 - table_bits_)];
            const int stretched = stretch(tables, cells[i]->p);
            const int seen = cells[i]->seen;
            x[i] = seen == 0 ? 0 : seen < 4 ? stretched / 2 : stretched;
        }
        x[inputs] = clamp(guess, -stretch_limit, stretch_limit);
        const std::size_t count = sets[1] == sets[0] ? 1 : sets.size();
        std::array<int, 3> mixed{};
        int sum = 0;
        for (std::size_t i = 0; i < count; ++i) sum += mixed[i] = dot(weights_[sets[i]], x);
        const int p = clamp(squash(tables, sum / int(count)), 32, 65536 - 32);
        bit = coder.code(std::uint32_t(p), bit);
        const int target = bit ? 65535 : 0;
        for (std::size_t i = 0; i < count; ++i) learn(sets[i], x, target - squash(tables, mixed[i]));
        for (Cell *cell : cells) cell->update(bit);
        return bit;
    }

  private:
    using Vector = std::array<std::int32_t, inputs + 1>;

    static int dot(const Vector &weights, const Vector &x) {
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < x.size(); ++i) sum += std::int64_t(x[i]) * weights[i];
        return clamp(int(sum >> 16), -stretch_limit, stretch_limit);
    }

    void learn(std::size_t set, const Vector &x, std::int32_t error) {
        Vector &weights = weights_[set];
        for (std::size_t i = 0; i < x.size(); ++i)
            weights[i] = clamp(weights[i] + ((x[i] * error + (1 << 16)) >> 17), -(1 << 20), 1 << 20);
    }

    static constexpr std::size_t shared = 3;  // the last contexts learn across codebooks
    int table_bits_ = 12;
    std::array<std::vector<Cell>, inputs> cells_;
    std::array<std::uint32_t, inputs> contexts_{};
    std::array<Vector, sets_of_weights> weights_;
};

// A mean that learns at a rate of one in count + 1, at least one in a limit; in 1/16.
struct Mean {
    std::int32_t value = 0;
    std::int32_t count = 0;

    void add(std::int32_t x, std::int32_t limit) {
        if (count < limit) ++count;
        value += (x * 16 - value) / count;
    }
};

// What a row or a column was so far: how often not zero, of which sign, and how large.
struct Past {
    Mean filled, sign, magnitude;

    void add(int sign_of, std::uint32_t magnitude_of, int limit) {
        filled.add(sign_of ? 4096 : 0, limit);
        sign.add(sign_of * 4096, limit);
        if (sign_of) magnitude.add(std::int32_t(magnitude_of), limit);
    }
    std::uint32_t density(int levels) const { return std::uint32_t(filled.value) * std::uint32_t(levels) / 65537; }
    std::uint32_t tendency() const { return std::uint32_t(sign.value + 65536) * 24 / 131073; }
    std::uint32_t size() const { return std::uint32_t(log_class(std::uint32_t(magnitude.value))); }
};

}  // namespace demitasse::clusters
