#include "quantizer_survivors.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "demitasse/trellis.hpp"
#include "quantizer_steps.hpp"

namespace demitasse {

namespace {

std::int32_t pair(std::int32_t low, std::int32_t high) { return std::int32_t(std::uint32_t(low & 0xffff) | std::uint32_t(high) << 16); }
std::int32_t low_half(std::int32_t word) { return std::int16_t(word & 0xffff); }
std::int32_t high_half(std::int32_t word) { return word >> 16; }

std::int32_t product(std::int32_t a, std::int32_t b) { return low_half(a) * low_half(b) + high_half(a) * high_half(b); }
std::int32_t magnitudes(std::int32_t word) { return pair(std::abs(low_half(word)), std::abs(high_half(word))); }

// As BandWalk::contexts, as one number.
unsigned context_of(std::int32_t expected, std::int32_t lean) {
    expected = std::clamp(expected, least_expected, most_expected);
    const float value = float(expected);
    std::int32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const std::int32_t magnitude_class = std::min((bits >> 21) - exponent_of_16, classes - 1);
    const std::int32_t strength = std::abs(lean);
    const int amount = (strength >= expected >> 2) + (strength >= (expected >> 1) + (expected >> 2));
    return unsigned(magnitude_class * 5 + 2 + (lean < 0 ? -amount : amount));
}

}  // namespace

RowContexts::RowContexts(const Layout &layout, const BandWalk &walk)
    : walk_(walk), positions_(layout.kernel()), expected_(layout.columns()), lean_(layout.columns()) {
    for (std::size_t p = 0; p < positions_.size(); ++p) {
        const Combination &from = walk.combination(p);
        const std::int32_t distance[Combination::neighbours] = {1, 2, walk.distances(p).up, walk.distances(p).before};
        std::int32_t expected[4] = {}, lean[4] = {};
        for (int i = 0; i < Combination::neighbours; ++i) {
            if (distance[i] > 4) {
                positions_[p].far.push_back({distance[i], from.neighbour[i], from.lean[i]});
            } else {
                expected[distance[i] - 1] += from.neighbour[i];
                lean[distance[i] - 1] += from.lean[i];
            }
        }
        positions_[p].near = {{pair(expected[0], expected[1]), pair(expected[2], expected[3])},
                              {pair(lean[0], lean[1]), pair(lean[2], lean[3])}};
    }
}

void RowContexts::prepare(int lane, const std::int32_t *levels) {
    const std::int32_t mantissa = walk_.scale_mantissas()[lane], shift = walk_.scale_shifts()[lane];
    const std::int32_t *factors = walk_.column_factors();
    const std::size_t kernel = positions_.size();
    for (std::size_t c = 0; c < expected_.size(); ++c) {
        expected_[c] = (factors[c] * mantissa) >> shift;
        lean_[c] = 0;
    }
    for (std::size_t p = 0; p < kernel; ++p) {
        for (const Far &far : positions_[p].far) {
            const std::size_t distance = std::size_t(far.distance);
            const std::size_t first = distance > p ? p + (distance - p + kernel - 1) / kernel * kernel : p;
            for (std::size_t c = first; c < expected_.size(); c += kernel) {
                const std::int32_t level = std::clamp(levels[c - distance], -magnitude_cap, magnitude_cap);
                expected_[c] += far.expected * std::abs(level);
                lean_[c] += far.lean * level;
            }
        }
    }
}

unsigned RowContexts::at(std::size_t column, const std::int32_t (&past)[near_columns]) const {
    const Near &near = positions_[column % positions_.size()].near;
    std::int32_t expected = expected_[column], lean = lean_[column];
    for (std::size_t i = 0; i < near_columns; ++i) {
        const std::int32_t level = std::clamp(past[i], -magnitude_cap, magnitude_cap);
        expected += std::abs(level) * (i % 2 ? high_half(near.expected[i / 2]) : low_half(near.expected[i / 2]));
        lean += level * (i % 2 ? high_half(near.lean[i / 2]) : low_half(near.lean[i / 2]));
    }
    return context_of(expected, lean);
}

SurvivorSearch::SurvivorSearch(const Layout &layout, const BandWalk &walk)
    : RowContexts(layout, walk), trace_(layout.columns()), far_context_(layout.columns()) {}

void SurvivorSearch::trace_back(const CandidateTable &table, const SearchRow &row, int state, std::int32_t *levels) const {
    for (std::size_t c = row.columns; c-- > 0;) {
        const unsigned trace = trace_[c];
        const int odd = trace >> state & 1;
        state = odd ? before_odd[state] : before_even[state];
        const int candidate = 2 * trellis_quantiser(state) + odd + (trace >> (8 + 8 * odd + state) & 1 ? subsets : 0);
        const int cell = row.cells.cell[c];
        levels[c] = cell != far_cell ? table.levels(cell).level[candidate]
                                     : table.far(far_context_[c], row.cells.magnitude[c], row.cells.negative(c), row.importance(c))
                                           .levels.level[candidate];
    }
}

int SurvivorSearch::forward_plain(const CandidateTable &table, const SearchRow &row) {
    static const Lanes nothing{};
    std::int32_t cost[trellis_states], past[trellis_states][2] = {};
    std::fill(cost, cost + trellis_states, unreachable);
    cost[0] = 0;
    CandidateTable::Far far;
    const std::size_t kernel = positions_.size();
    for (std::size_t c = 0, position = 0; c < row.columns; ++c, position = position + 1 == kernel ? 0 : position + 1) {
        const Near &near = positions_[position].near;
        unsigned contexts[trellis_states];
        for (int state = 0; state < trellis_states; ++state) {
            std::int32_t expected = expected_[c], lean = lean_[c];
            for (int i = 0; i < 2; ++i) {
                expected += product(magnitudes(past[state][i]), near.expected[i]);
                lean += product(past[state][i], near.lean[i]);
            }
            contexts[state] = context_of(expected, lean);
        }
        const int cell = row.cells.cell[c];
        const float magnitude = row.cells.magnitude[c], importance = row.importance(c) * cost_unit;
        if (cell == far_cell) {
            far_context_[c] = std::uint16_t(contexts[cheapest(cost)]);
            far = table.far(far_context_[c], magnitude, row.cells.negative(c), row.importance(c));
        }
        const float *points = cell == far_cell ? far.points.value : table.points(cell);
        const std::int32_t *candidate = cell == far_cell ? far.levels.level : table.levels(cell).level;
        float near_cost[candidates];
        for (int i = 0; i < candidates; ++i) {
            const float distance = magnitude - points[i];
            near_cost[i] = distance * distance * importance + (cell == far_cell ? far.bits.value[i] : 0.0f);
        }
        unsigned trace = 0;
        std::int32_t metric[trellis_states][2], level[trellis_states][2];
        for (int state = 0; state < trellis_states; ++state) {
            const float *bits = cell == far_cell ? nothing.value : table.bits(contexts[state], cell);
            for (int parity = 0; parity < 2; ++parity) {
                const int lower = 2 * trellis_quantiser(state) + parity, upper = lower + subsets;
                const float by_lower = near_cost[lower] + bits[lower], by_upper = near_cost[upper] + bits[upper];
                const bool is_upper = by_upper < by_lower;
                trace |= unsigned(is_upper) << (8 + 8 * parity + state);
                metric[state][parity] = std::int32_t(std::min(is_upper ? by_upper : by_lower, cost_limit));
                level[state][parity] = candidate[is_upper ? upper : lower];
            }
        }
        std::int32_t next[trellis_states], next_past[trellis_states][2];
        for (int state = 0; state < trellis_states; ++state) {
            const std::int32_t even = cost[before_even[state]] + metric[before_even[state]][0];
            const std::int32_t odd = cost[before_odd[state]] + metric[before_odd[state]][1];
            const int parity = odd < even, before = parity ? before_odd[state] : before_even[state];
            trace |= unsigned(parity) << state;
            next[state] = parity ? odd : even;
            const std::int32_t last = std::clamp(level[before][parity], -magnitude_cap, magnitude_cap);
            next_past[state][0] = pair(last, past[before][0]);
            next_past[state][1] = pair(high_half(past[before][0]), past[before][1]);
        }
        std::copy_n(next, trellis_states, cost);
        std::copy_n(&next_past[0][0], 2 * trellis_states, &past[0][0]);
        trace_[c] = trace;
        if (c % stretch == stretch - 1) {
            const std::int32_t least = cost[cheapest(cost)];
            for (std::int32_t &of : cost) of -= least;
        }
    }
    return cheapest(cost);
}

void SurvivorSearch::run_plain(const CandidateTable &table, const SearchRow &row, int lane, std::int32_t *levels) {
    prepare(lane, levels);
    trace_back(table, row, forward_plain(table, row), levels);
}

void SurvivorSearch::run(const CandidateTable &table, const SearchRow &row, int lane, std::int32_t *levels) {
    prepare(lane, levels);
#ifdef DEMITASSE_AVX2
    if (has_avx2()) {
        trace_back(table, row, forward_avx2(table, row), levels);
        return;
    }
#endif
    trace_back(table, row, forward_plain(table, row), levels);
}

}  // namespace demitasse
