#include "quantizer_search.hpp"

#include <algorithm>

namespace demitasse {

void round_row(const LevelCosts &costs, const Shifts &shifts, float lambda, const SearchRow &row,
               const float *weights, std::int32_t *levels) {
    for (std::size_t c = 0; c < row.columns; ++c) {
        const float magnitude = row.cells.magnitude[c], importance = row.importance(c);
        const bool negative = weights[c] < 0;
        const std::int32_t whole = std::int32_t(magnitude), tried[4] = {whole, whole + 1, std::max(whole - 1, 0), 0};
        std::int32_t best = 0;
        float least = 0;
        for (int i = 0; i < 4 && magnitude != 0; ++i) {
            const std::int32_t level = negative ? -tried[i] : tried[i];
            const float point = shifted(tried[i], shifts);
            const float distance = magnitude - point;
            const float total = distance * distance * importance + lambda * costs.cost(row.contexts[c], 0, level);
            if (i == 0 || total < least) {
                least = total;
                best = level;
            }
        }
        levels[c] = best;
    }
}

}  // namespace demitasse
