// Logistic mixing of probabilities in integer arithmetic (after Mahoney's PAQ): the same on every machine.
//
// Probabilities are 16-bit; their logarithmic odds ("stretched") are in 1/256 nat, between -3071 and 3071.
#pragma once

#include <cstdint>

namespace demitasse {

constexpr int stretch_limit = 3071;

struct LogisticTables {
    std::uint16_t squash[2 * stretch_limit + 1];  // of x: squash[x + stretch_limit]; 1..65535
    std::int16_t low[4096];                       // stretched p, for p < 4096
    std::int16_t middle[4096];                    // stretched p, at p / 16
};

const LogisticTables &logistic_tables();

inline int clamp(int x, int low, int high) { return x < low ? low : x > high ? high : x; }

inline int squash(const LogisticTables &tables, int x) {
    return tables.squash[clamp(x, -stretch_limit, stretch_limit) + stretch_limit];
}

inline int stretch(const LogisticTables &tables, int p) {
    if (p < 4096) return tables.low[p];
    if (p >= 65536 - 4096) return -tables.low[65536 - p < 4096 ? 65536 - p : 4095];
    return tables.middle[p >> 4];
}

}  // namespace demitasse
