#include "quantizer_wide.hpp"

#include <algorithm>

#include "quantizer_steps.hpp"

namespace demitasse {

namespace {

// The state that leads to each state, by an even and by an odd level.
struct Predecessors {
    std::uint8_t of[2][wide_states] = {};
    constexpr Predecessors() {
        for (int state = 0; state < wide_states; ++state)
            for (int parity = 0; parity < 2; ++parity) of[parity][wide_transitions.next[state][parity]] = std::uint8_t(state);
    }
};
constexpr Predecessors predecessors;

constexpr bool halves_agree() {
    for (int state = 0; state < wide_states; ++state)
        for (int parity = 0; parity < 2; ++parity)
            if (trellis_quantiser(predecessors.of[parity][state]) != state / (wide_states / 2)) return false;
    return true;
}
static_assert(halves_agree(), "the lower half of the states is reached from even states, the upper one from odd states");

}  // namespace

WideSearch::WideSearch(const Layout &layout, const BandWalk &walk)
    : contexts_(layout, walk), odd_(layout.columns() * wide_states), marks_(layout.columns()) {}

WideSearch::Step WideSearch::back(const CandidateTable &table, const SearchRow &row, std::size_t column, int state) const {
    const int odd = odd_[column * wide_states + std::size_t(state)], before = predecessors.of[odd][state];
    const int subset = 2 * trellis_quantiser(before) + odd;
    const int candidate = subset + (marks_[column].uppers >> subset & 1 ? subsets : 0);
    const int cell = row.cells.cell[column];
    if (cell != far_cell) return {before, table.levels(cell).level[candidate]};
    return {before, table.far(marks_[column].context, row.cells.magnitude[column], row.cells.negative(column), row.importance(column))
                        .levels.level[candidate]};
}

void WideSearch::run(const CandidateTable &table, const SearchRow &row, int lane, std::int32_t *levels) {
    contexts_.prepare(lane, levels);
    std::int32_t cost[wide_states], next[wide_states];
    std::fill(cost, cost + wide_states, unreachable);
    cost[0] = 0;
    int best = 0;
    for (std::size_t c = 0; c < row.columns; ++c) {
        std::int32_t past[RowContexts::near_columns] = {};
        int state = best;
        for (std::size_t i = 0; i < RowContexts::near_columns && i < c; ++i) {
            const Step step = back(table, row, c - 1 - i, state);
            state = step.before;
            past[i] = step.level;
        }
        const unsigned context = contexts_.at(c, past);
        const int cell = row.cells.cell[c];
        const float magnitude = row.cells.magnitude[c], importance = row.importance(c) * cost_unit;
        CandidateTable::Far far;
        if (cell == far_cell) far = table.far(context, magnitude, row.cells.negative(c), row.importance(c));
        const float *points = cell == far_cell ? far.points.value : table.points(cell);
        const float *bits = cell == far_cell ? far.bits.value : table.bits(context, cell);
        std::int32_t metric[subsets];
        unsigned uppers = 0;
        for (int subset = 0; subset < subsets; ++subset) {
            const float lower = magnitude - points[subset], upper = magnitude - points[subsets + subset];
            const float by_lower = lower * lower * importance + bits[subset], by_upper = upper * upper * importance + bits[subsets + subset];
            uppers |= unsigned(by_upper < by_lower) << subset;
            metric[subset] = std::int32_t(std::min(std::min(by_lower, by_upper), cost_limit));
        }
        marks_[c] = {std::uint8_t(uppers), std::uint16_t(context)};
        std::uint8_t *odd = &odd_[c * wide_states];
        for (int to = 0; to < wide_states; ++to) {
            const std::int32_t *of = metric + (to < wide_states / 2 ? 0 : 2);
            const std::int32_t by_even = cost[predecessors.of[0][to]] + of[0], by_odd = cost[predecessors.of[1][to]] + of[1];
            odd[to] = by_odd < by_even;
            next[to] = std::min(by_even, by_odd);
        }
        best = int(std::min_element(next, next + wide_states) - next);
        const std::int32_t least = next[best];
        for (int to = 0; to < wide_states; ++to) cost[to] = std::min(next[to] - least, unreachable);
    }
    for (std::size_t c = row.columns; c-- > 0;) {
        const Step step = back(table, row, c, best);
        best = step.before;
        levels[c] = step.level;
    }
}

}  // namespace demitasse
