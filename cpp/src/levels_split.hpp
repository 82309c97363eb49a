// A level as the tables see it: the sign folded by the lean, low bits split off where magnitudes are large, the far
// ones escaped.
#pragma once

#include <cstdint>

#include "levels_statistics.hpp"

namespace demitasse {

struct Split {
    int symbol;
    std::uint32_t low;
};

inline Split split_level(std::int32_t folded, int bits) {
    const std::int32_t half = (1 << bits) >> 1, shifted = folded + half;
    const std::int32_t q = shifted >> bits;
    if (q < -table_reach || q > table_reach) return {escape_symbol, 0};
    return {q + table_reach, std::uint32_t(shifted & ((1 << bits) - 1))};
}

inline std::int32_t join_level(int symbol, std::uint32_t low, int bits) {
    return (symbol - table_reach) * (1 << bits) + std::int32_t(low) - ((1 << bits) >> 1);
}

}  // namespace demitasse
