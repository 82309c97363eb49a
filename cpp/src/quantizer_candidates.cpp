#include "quantizer_candidates.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "demitasse/trellis.hpp"

namespace demitasse {

namespace {

constexpr std::int32_t floor_quarter(std::int32_t n) { return n >> 2; }

}  // namespace

void Cells::fill(const float *row, std::size_t columns, float step, bool all_far) {
    weights = row;
    const float limit = all_far ? 0.0f : float(whole_parts);
    for (std::size_t c = 0; c < columns; ++c) {
        const float scaled = std::fabs(row[c]) / step;
        const int near = 2 * int(scaled < float(whole_parts) ? scaled : float(whole_parts)) + (row[c] < 0);
        magnitude[c] = scaled;
        cell[c] = std::uint8_t(row[c] == 0 ? zero_cell : scaled < limit ? near : far_cell);
    }
}

CandidateLevels trellis_candidates(std::int32_t whole, bool negative) {
    // Points of the subsets: 0 4 8 ..; 2 6 10 ..; 0 3 7 ..; 1 5 9 .., each on both sides of zero.
    const std::int32_t lower[subsets] = {2 * floor_quarter(whole), 2 * floor_quarter(whole - 2) + 1,
                                         2 * floor_quarter(whole + 1), 2 * floor_quarter(whole - 1) + 1};
    CandidateLevels out;
    for (int subset = 0; subset < subsets; ++subset) {
        const std::int32_t upper = lower[subset] == -1 ? 1 : lower[subset] + 2;
        out.level[subset] = negative ? -lower[subset] : lower[subset];
        out.level[subsets + subset] = negative ? -upper : upper;
    }
    return out;
}

CandidateTable::CandidateTable(const LevelCosts &costs, const Shifts &shifts, float lambda)
    : costs_(costs), lambda_(lambda * cost_unit),
      bits_(std::size_t(LevelCosts::contexts) * cells) {
    std::copy_n(shifts, shift_count, shifts_);
    for (int cell = 0; cell < cells; ++cell) {
        levels_[cell] = cell == zero_cell ? CandidateLevels{} : trellis_candidates(cell / 2, cell & 1);
        for (int i = 0; i < candidates; ++i) {
            const float at = point(i / 2 % 2, levels_[cell].level[i]);
            points_[cell].value[i] = cell & 1 ? -at : at;
        }
    }
    for (unsigned context = 0; context < LevelCosts::contexts; ++context) {
        for (int cell = 0; cell < cells; ++cell) {
            float *out = bits_[context * cells + std::size_t(cell)].value;
            for (int i = 0; i < candidates; ++i) {
                const bool barred = cell == zero_cell && i != 0 && i != 2;
                out[i] = barred ? cost_limit : cost(context, i / 2 % 2, levels_[cell].level[i]);
            }
        }
    }
}

float CandidateTable::point(int quantiser, std::int32_t level) const {
    const float at = shifted(std::abs(trellis_index(quantiser, level)), shifts_);
    return level < 0 ? -at : at;
}

float CandidateTable::cost(unsigned context, int quantiser, std::int32_t level) const {
    return lambda_ * costs_.cost(context, unsigned(quantiser), level);
}

CandidateTable::Far CandidateTable::far(unsigned context, float magnitude, bool negative, float importance) const {
    Far out;
    out.levels = trellis_candidates(std::int32_t(magnitude), negative);
    for (int i = 0; i < candidates; ++i) {
        const int quantiser = i / 2 % 2;
        const auto look = [&](std::int32_t level, float &at, float &bits) {
            at = point(quantiser, negative ? -level : level);
            bits = cost(context, quantiser, level);
            return (magnitude - at) * (magnitude - at) * importance * cost_unit + bits;
        };
        const float total = look(out.levels.level[i], out.points.value[i], out.bits.value[i]);
        if (i >= subsets) continue;
        const std::int32_t smallest = i & 1 ? (negative ? -1 : 1) : 0;
        float at, bits;
        if (look(smallest, at, bits) < total) {
            out.levels.level[i] = smallest;
            out.points.value[i] = at;
            out.bits.value[i] = bits;
        }
    }
    return out;
}

}  // namespace demitasse
