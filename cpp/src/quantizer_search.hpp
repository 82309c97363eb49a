// What every search is given of a row, and the search without a trellis.
#pragma once

#include <cstdint>
#include <vector>

#include "quantizer_candidates.hpp"

namespace demitasse {

struct SearchRow {
    const Cells &cells;
    const std::uint16_t *contexts;
    float row_importance;
    const float *column_importance;  // null: 1
    std::size_t columns;
    bool all_far = false;  // where a bit is dear: every weight's candidates are worked out by themselves

    float importance(std::size_t column) const {
        return column_importance ? row_importance * column_importance[column] : row_importance;
    }
};

// Without a trellis: each weight by itself.
void round_row(const LevelCosts &costs, const Shifts &shifts, float lambda, const SearchRow &row,
               const float *weights, std::int32_t *levels);

}  // namespace demitasse
