// Candidate levels of a weight, and what each costs: tables that the searches run over.
//
// The trellis asks four things of a weight: the best level on Q0 or Q1, of even or odd parity (a "subset"). In each
// subset the two levels around the weight are candidates. Which these are depends only on the whole part of the
// weight's magnitude in steps and on its sign, the "cell"; so costs in bits are laid out by context and cell, in the
// order in which the search reads them.
#pragma once

#include <cstdint>
#include <vector>

#include "demitasse/levels.hpp"

namespace demitasse {

constexpr int subsets = 4;      // 2 x quantiser + parity
constexpr int candidates = 8;   // lower of each subset, then upper of each
constexpr int whole_parts = 26; // so that no candidate lies beyond LevelCosts::reach
constexpr int zero_cell = 2 * whole_parts;  // an exact zero, which stays zero
constexpr int cells = zero_cell + 1;
constexpr int far_cell = cells;  // candidates are worked out weight by weight

// Costs are integers: 1/4096 of a squared step.
constexpr float cost_unit = 4096;
constexpr float cost_limit = float(1 << 24);

using Shifts = float[shift_count];

// A point of reconstruction, in steps: without a shift it is the index.
inline float shifted(std::int32_t index, const Shifts &shifts) {
    return float(index) - (index >= 1 && index <= shift_count ? shifts[index - 1] : 0.0f);
}

struct alignas(32) Lanes {
    float value[candidates];
};

// The weights of a row: |w| / step of each, and its cell.
struct Cells {
    std::vector<float> magnitude;
    std::vector<std::uint8_t> cell;
    const float *weights = nullptr;

    explicit Cells(std::size_t columns) : magnitude(columns), cell(columns) {}
    // `all_far`: where a bit is so dear that the two levels around a weight are not all that it may become.
    void fill(const float *row, std::size_t columns, float step, bool all_far);
    bool negative(std::size_t column) const { return weights[column] < 0; }
};

struct CandidateLevels {
    std::int32_t level[candidates];
};

// Of a weight of this whole part and sign, with the trellis.
CandidateLevels trellis_candidates(std::int32_t whole, bool negative);

// Everything that one round of the search needs to know.
class CandidateTable {
  public:
    CandidateTable(const LevelCosts &costs, const Shifts &shifts, float lambda);

    const CandidateLevels &levels(int cell) const { return levels_[cell]; }
    const float *points(int cell) const { return points_[cell].value; }  // |reconstruction| on the weight's own side
    const float *bits(unsigned context, int cell) const { return bits_[context * cells + std::size_t(cell)].value; }

    // The same for any weight; where a bit is dear, the smallest level of a subset may take the place of its lower one.
    struct Far {
        CandidateLevels levels;
        Lanes points, bits;
    };
    Far far(unsigned context, float magnitude, bool negative, float importance) const;

  private:
    float point(int quantiser, std::int32_t level) const;
    float cost(unsigned context, int quantiser, std::int32_t level) const;

    const LevelCosts &costs_;
    Shifts shifts_;
    float lambda_;
    CandidateLevels levels_[cells];
    Lanes points_[cells];
    std::vector<Lanes> bits_;
};

}  // namespace demitasse
