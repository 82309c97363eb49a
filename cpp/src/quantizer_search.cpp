#include "quantizer_search.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "quantizer_steps.hpp"

namespace demitasse {

void TrellisSearch::trace_back(const CandidateTable &table, const SearchRow &row, int state, std::int32_t *levels) const {
    for (std::size_t c = row.columns; c-- > 0;) {
        const unsigned trace = trace_[c];
        const int odd = trace >> state & 1;
        state = odd ? before_odd[state] : before_even[state];
        const int subset = 2 * trellis_quantiser(state) + odd;
        const int candidate = subset + (trace >> (trellis_states + subset) & 1 ? subsets : 0);
        const int cell = row.cells.cell[c];
        levels[c] = cell != far_cell ? table.levels(cell).level[candidate]
                                     : table.far(row.contexts[c], row.cells.magnitude[c], row.cells.negative(c), row.importance(c))
                                           .levels.level[candidate];
    }
}

void TrellisSearch::run_plain(const CandidateTable &table, const SearchRow &row, std::int32_t *levels) {
    std::int32_t cost[trellis_states];
    std::fill(cost, cost + trellis_states, unreachable);
    cost[0] = 0;
    CandidateTable::Far far;
    for (std::size_t c = 0; c < row.columns; ++c) {
        const int cell = row.cells.cell[c];
        const float importance = row.importance(c) * cost_unit;
        const float *points, *bits;
        if (cell != far_cell) {
            points = table.points(cell);
            bits = table.bits(row.contexts[c], cell);
        } else {
            far = table.far(row.contexts[c], row.cells.magnitude[c], row.cells.negative(c), row.importance(c));
            points = far.points.value;
            bits = far.bits.value;
        }
        std::int32_t total[candidates], metric[subsets];
        for (int i = 0; i < candidates; ++i) {
            const float distance = row.cells.magnitude[c] - points[i];
            total[i] = std::int32_t(std::min(distance * distance * importance + bits[i], cost_limit));
        }
        unsigned trace = 0;
        for (int i = 0; i < subsets; ++i) {
            trace |= unsigned(total[i] > total[subsets + i]) << (trellis_states + i);
            metric[i] = std::min(total[i], total[subsets + i]);
        }
        std::int32_t next[trellis_states];
        for (int state = 0; state < trellis_states; ++state) {
            const int quantiser = state / 4;
            const std::int32_t even = cost[before_even[state]] + metric[2 * quantiser];
            const std::int32_t odd = cost[before_odd[state]] + metric[2 * quantiser + 1];
            trace |= unsigned(even > odd) << state;
            next[state] = std::min(even, odd);
        }
        std::copy_n(next, trellis_states, cost);
        trace_[c] = std::uint16_t(trace);
        if (c % stretch == stretch - 1) {
            const std::int32_t least = cost[cheapest(cost)];
            for (std::int32_t &of : cost) of -= least;
        }
    }
    trace_back(table, row, cheapest(cost), levels);
}

#ifdef DEMITASSE_AVX2

namespace {

// As run_plain, eight candidates and then eight states at a time; the same operations on the same numbers.
__attribute__((target("avx2"))) int forward_avx2(const CandidateTable &table, const SearchRow &row, std::uint16_t *traces) {
    const __m256i even_before = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(before_even));
    const __m256i odd_before = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(before_odd));
    const __m256i even_subset = _mm256_setr_epi32(0, 0, 0, 0, 2, 2, 2, 2), odd_subset = _mm256_setr_epi32(1, 1, 1, 1, 3, 3, 3, 3);
    const __m256 limit = _mm256_set1_ps(cost_limit);
    const float *magnitudes = row.cells.magnitude.data();
    const std::uint8_t *cells_of_row = row.cells.cell.data();
    __m256i cost = _mm256_setr_epi32(0, unreachable, unreachable, unreachable, unreachable, unreachable, unreachable, unreachable);
    CandidateTable::Far far;
    for (std::size_t c = 0; c < row.columns; ++c) {
        const int cell = cells_of_row[c];
        const float *points, *bits;
        if (cell != far_cell) {
            points = table.points(cell);
            bits = table.bits(row.contexts[c], cell);
        } else {
            far = table.far(row.contexts[c], magnitudes[c], row.cells.negative(c), row.importance(c));
            points = far.points.value;
            bits = far.bits.value;
        }
        const __m256 distance = _mm256_sub_ps(_mm256_set1_ps(magnitudes[c]), _mm256_load_ps(points));
        const __m256 importance = _mm256_set1_ps(row.importance(c) * cost_unit);
        const __m256 sum = _mm256_add_ps(_mm256_mul_ps(_mm256_mul_ps(distance, distance), importance), _mm256_load_ps(bits));
        const __m256i total = _mm256_cvttps_epi32(_mm256_min_ps(sum, limit));
        const __m128i lower = _mm256_castsi256_si128(total), upper = _mm256_extracti128_si256(total, 1);
        const int uppers = _mm_movemask_ps(_mm_castsi128_ps(_mm_cmpgt_epi32(lower, upper)));
        const __m256i metric = _mm256_castsi128_si256(_mm_min_epi32(lower, upper));
        const __m256i even = _mm256_add_epi32(_mm256_permutevar8x32_epi32(cost, even_before), _mm256_permutevar8x32_epi32(metric, even_subset));
        const __m256i odd = _mm256_add_epi32(_mm256_permutevar8x32_epi32(cost, odd_before), _mm256_permutevar8x32_epi32(metric, odd_subset));
        const int odds = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(even, odd)));
        cost = _mm256_min_epi32(even, odd);
        traces[c] = std::uint16_t(odds | uppers << trellis_states);
        if (c % stretch == stretch - 1) cost = less_the_least(cost);
    }
    alignas(32) std::int32_t last[trellis_states];
    _mm256_store_si256(reinterpret_cast<__m256i *>(last), cost);
    return cheapest(last);
}

}  // namespace

#endif

void TrellisSearch::run(const CandidateTable &table, const SearchRow &row, std::int32_t *levels) {
#ifdef DEMITASSE_AVX2
    if (has_avx2()) {
        trace_back(table, row, forward_avx2(table, row, trace_.data()), levels);
        return;
    }
#endif
    run_plain(table, row, levels);
}

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
