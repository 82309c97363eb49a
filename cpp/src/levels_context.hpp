// Contexts of the table coder: what the neighbourhood of a weight says about it, in integer arithmetic only.
//
// Eight rows ("a band") are walked together, column by column. The expected magnitude of a weight is a linear
// combination of its neighbours in the row and of row scale times column statistics of the bands above; its logarithm
// in quarter octaves, with how strongly the neighbours lean to one sign, is the context.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "demitasse/levels.hpp"

namespace demitasse {

constexpr int lanes = 8;
constexpr int classes = 72;         // quarter octaves of the expected magnitude, from 1/256 level
constexpr int strengths = 3;        // of the lean to one sign, folded
constexpr int row_scales = 39;      // half octaves of a row's mean magnitude; 0: all of the row is zero
constexpr int magnitude_cap = 2047; // of a neighbour
constexpr int split_class = 38;     // from here on low bits are split off

// Weights of the neighbours, in 1/4096: of the expected magnitude and of the lean, at one kernel position.
struct Combination {
    static constexpr int neighbours = 4;  // left, second left, one kernel row up, same place in the channel before
    static constexpr int columns = 3;     // row scale times: column mean, channel mean x kernel-position mean, one
    std::int32_t neighbour[neighbours] = {0, 0, 0, 0};
    std::int32_t column[columns] = {0, 0, 4096};
    std::int32_t lean[neighbours] = {0, 0, 0, 0};
};

constexpr std::int32_t weight_limit = 8191;

// One combination for all kernel positions, or one each.
using Combinations = std::vector<Combination>;

inline int split_bits(int magnitude_class) {
    return magnitude_class < split_class ? 0 : (magnitude_class - split_class) / 4 + 1;
}

// A band's context of one column, lane by lane: class and signed strength.
struct BandContexts {
    std::int32_t magnitude_class[lanes];
    std::int32_t lean[lanes];  // -2..2
};

int row_scale(const std::int32_t *levels, std::size_t columns);

// Walks a tensor band by band. Within a band: for each column contexts(), then into levels() what was found there (up to
// magnitude_cap is enough). Before its end, every column is to be learnt from once.
class BandWalk {
  public:
    BandWalk(const Layout &layout, const Combinations &combinations);

    void begin(const std::uint8_t *scales);  // lanes of them; 0 for absent rows
    void contexts(std::size_t column, BandContexts &out) const;
    std::int32_t *levels(std::size_t column) { return &levels_[(margin_ + column) * lanes]; }
    void learn(std::size_t first, const std::int32_t *sums, std::size_t count);  // sums of the columns' magnitudes
    void learn();                                                                // of all columns, from levels()
    void end();

    // Distances to the neighbours of the weights at a kernel position, in columns.
    struct Distances {
        std::int32_t up, before;
    };
    const Distances &distances(std::size_t position) const { return distances_[position]; }
    const std::int32_t *column_factors() const { return factors_.data(); }
    const std::int32_t *column_parts(int part) const { return parts_[part].data(); }
    const std::int32_t *scale_mantissas() const { return mantissa_; }
    const std::int32_t *scale_shifts() const { return shift_; }
    const Combination &combination(std::size_t position) const { return combinations_[position]; }
    std::size_t columns() const { return columns_; }
    std::size_t kernel() const { return kernel_; }

  private:
    void find_factors();

    std::size_t columns_, kernel_, channels_, margin_;
    Combinations combinations_;          // by kernel position
    std::vector<Distances> distances_;
    std::vector<std::int32_t> levels_;   // columns x lanes, with margin_ columns of zeros before
    std::vector<std::int32_t> mean_;     // of each column, relative to the row scale, 1/16384
    std::vector<std::int32_t> factors_;  // combination of the column statistics, 1/1024
    std::vector<std::int32_t> parts_[2]; // column mean, channel x position mean, 1/1024
    std::vector<std::int32_t> ratios_;   // of each channel's mean to all channels', 1/4096
    std::int32_t mantissa_[lanes], shift_[lanes];
    std::int64_t scale_sum_ = 0, seen_ = 0, rate_ = 0, gain_ = 0;
};

// Least squares; one for all positions of a small tensor.
Combinations fit_combinations(const std::int32_t *levels, const Layout &layout, const std::vector<std::uint8_t> &scales);

}  // namespace demitasse
