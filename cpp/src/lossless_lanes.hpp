// The decoder of symbols: lanes of rANS states that take 16-bit words from one stream as they run low.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "lossless_model.hpp"

namespace demitasse::lossless {

// What the lowest 12 bits of a state say, by table and slot: symbol in bits 24..31, place within the symbol 12..23, its
// count less one 0..11.
std::vector<std::uint32_t> lookup_tables(const Model &model);

// All lanes in turn, while there is at least a word for each between next and end; how many symbols that made.
std::size_t decode_lanes_plain(std::uint32_t *states, const std::uint8_t *&next, const std::uint8_t *end,
                               const std::uint32_t *tables, const std::uint8_t *which, std::size_t count, std::uint8_t *symbols);

class Lanes {
  public:
    // The states of the lanes in use, then count words.
    Lanes(const std::uint8_t *data, std::size_t used, std::size_t count);

    // The next count symbols; which[i] is the number of the i-th one's table. count is a multiple of the lanes, or
    // there are no further symbols.
    void decode(const std::uint32_t *tables, const std::uint8_t *which, std::size_t count, std::uint8_t *symbols);

    bool finished() const {
        return next_ == end_ && std::all_of(states_.begin(), states_.begin() + std::ptrdiff_t(used_),
                                            [](std::uint32_t state) { return state == lower_bound; });
    }

  private:
    std::array<std::uint32_t, most_lanes> states_{};
    std::size_t used_;
    const std::uint8_t *next_, *end_;
};

}  // namespace demitasse::lossless
