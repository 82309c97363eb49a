// Which rows above predict a row: the mixing coder's encoder sends, for each row, a few of them with slopes.
//
// Output channels of a trained network are often alike, or each other's negatives. A matching pursuit over the last
// 256 rows finds the combination; the Gram matrix of the window makes it one pass over the weights.
#pragma once

#include <cstdint>
#include <vector>

#include "demitasse/levels.hpp"

namespace demitasse {

struct RowReference {
    std::uint32_t distance;  // rows above, from 1
    int slope;               // eighths, -16..16, not 0
};

constexpr std::uint32_t reference_window = 256;
constexpr int references_most = 8;
constexpr int slope_limit = 16;

class RowReferences {
  public:
    RowReferences(const std::int32_t *levels, const Layout &layout);

    // Those worth their bits; to be asked for r = 0, 1, 2, ... in turn.
    std::vector<RowReference> find(std::uint32_t r);

  private:
    std::int64_t product(std::uint32_t row, std::uint32_t distance) const {
        return gram_[std::size_t(row % reference_window) * reference_window + distance];
    }
    void enter(std::uint32_t r);

    const std::int32_t *levels_;
    std::size_t columns_;
    std::vector<std::int16_t> window_;  // the last rows, clamped
    std::vector<std::int64_t> gram_;    // [row][distance]
};

}  // namespace demitasse
