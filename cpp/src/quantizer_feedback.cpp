#include "quantizer_feedback.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "demitasse/trellis.hpp"

namespace demitasse {

namespace {

constexpr float unreachable = 1e30f;

constexpr std::size_t memory = 48;  // columns over which survivors have errors of their own
constexpr std::size_t together = 16;  // columns that are settled at a time

// The states that lead to each state, by an even level and by an odd one.
struct Predecessors {
    int of[trellis_states][2];
    constexpr Predecessors() : of{} {
        for (int state = 0; state < trellis_states; ++state)
            for (int parity = 0; parity < 2; ++parity) of[trellis_next(state, parity)][parity] = state;
    }
};
constexpr Predecessors predecessors;

}  // namespace

// What a weight may become, seen from one survivor.
struct FeedbackSearch::Candidates {
    float target, importance;
    const CandidateLevels *levels;
    const float *points, *bits;
    CandidateTable::Far far;

    Candidates(const CandidateTable &table, unsigned context, float aim, bool zero, bool all_far, float weight)
        : target(aim), importance(weight * cost_unit) {
        const float magnitude = std::fabs(aim);
        if (zero || (!all_far && magnitude < float(whole_parts))) {
            const int cell = zero ? zero_cell : 2 * int(magnitude) + (aim < 0);
            levels = &table.levels(cell);
            points = table.points(cell);
            bits = table.bits(context, cell);
        } else {
            far = table.far(context, std::min(magnitude, index_limit), aim < 0, weight);
            levels = &far.levels;
            points = far.points.value;
            bits = far.bits.value;
        }
    }
    Candidates(const Candidates &) = delete;
    Candidates &operator=(const Candidates &) = delete;
};

FeedbackSearch::FeedbackSearch(std::size_t columns, const float *coefficients, std::size_t order)
    : columns_(columns), order_(order), reach_(std::min(order, memory)), coefficients_(coefficients),
      now_(trellis_states * (reach_ + 1)), next_(trellis_states * (reach_ + 1)), settled_(columns),
      marks_(columns * trellis_states) {}

void FeedbackSearch::settle(std::size_t first, std::size_t column, int state) {
    float errors[together];
    for (std::size_t c = column; c-- > first;) {
        const Mark &mark = marks_[c * trellis_states + std::size_t(state)];
        state = mark.before;
        if (c < first + together) errors[c - first] = mark.error;
    }
    for (std::size_t i = 0; i < together; ++i) {
        const std::size_t c = first + i;
        if (c + 1 + reach_ >= columns_) break;
        const float error = errors[i];
        const float *share = coefficients_ + c * order_ + reach_;
        float *to = &settled_[c + 1 + reach_];
        const std::size_t count = std::min(order_ - reach_, columns_ - (c + 1 + reach_));
        for (std::size_t d = 0; d < count; ++d) to[d] += error * share[d];
    }
}

FeedbackSearch::Choice FeedbackSearch::best(const Candidates &from, int quantiser, int parity) const {
    Choice out{};
    out.cost = 2 * unreachable;
    for (int i = 2 * quantiser + parity; i < candidates; i += subsets) {
        const float distance = std::fabs(from.target) - from.points[i];
        const float distortion = distance * distance * from.importance;
        if (distortion + from.bits[i] >= out.cost) continue;
        out.cost = distortion + from.bits[i];
        out.distortion = distortion;
        out.level = from.levels->level[i];
        out.value = from.target < 0 ? -from.points[i] : from.points[i];
    }
    out.target = from.target;
    return out;
}

void FeedbackSearch::run(const CandidateTable &table, const SearchRow &row, float step, std::int32_t *levels, Quantized &out) {
    const std::size_t width = reach_ + 1;  // the last element stays zero, so that shifting needs no special case
    float cost[trellis_states];
    std::fill(cost, cost + trellis_states, unreachable);
    cost[0] = 0;
    std::fill(now_.begin(), now_.end(), 0.0f);
    std::fill(next_.begin(), next_.end(), 0.0f);
    std::fill(settled_.begin(), settled_.end(), 0.0f);
    for (std::size_t c = 0; c < columns_; ++c) {
        if (order_ > reach_ && c >= memory && c % together == 0)
            settle(c - memory, c, int(std::min_element(cost, cost + trellis_states) - cost));
        const float original = row.cells.weights[c] / step;
        const float importance = row.importance(c);
        Choice choices[trellis_states][2];
        for (int state = 0; state < trellis_states; ++state) {
            if (cost[state] >= unreachable) continue;
            const float target = original + settled_[c] + now_[std::size_t(state) * width];
            const Candidates from(table, row.contexts[c], target, original == 0, row.all_far, importance);
            for (int parity = 0; parity < 2; ++parity) choices[state][parity] = best(from, trellis_quantiser(state), parity);
        }
        float next_cost[trellis_states];
        const float *coefficients = coefficients_ + c * order_;
        for (int state = 0; state < trellis_states; ++state) {
            const int even = predecessors.of[state][0], odd = predecessors.of[state][1];
            const float by_even = cost[even] >= unreachable ? unreachable : cost[even] + choices[even][0].cost;
            const float by_odd = cost[odd] >= unreachable ? unreachable : cost[odd] + choices[odd][1].cost;
            const int parity = by_odd < by_even;
            const int before = parity ? odd : even;
            next_cost[state] = std::min(by_even, by_odd);
            if (next_cost[state] >= unreachable) {
                next_cost[state] = unreachable;
                continue;
            }
            const Choice &choice = choices[before][parity];
            const float error = original == 0 ? 0.0f : original - choice.value;
            marks_[c * trellis_states + std::size_t(state)] = {choice.level, std::uint8_t(before), choice.target, error, choice.distortion};
            const float *from = &now_[std::size_t(before) * width + 1];
            float *to = &next_[std::size_t(state) * width];
            for (std::size_t d = 0; d < reach_; ++d) to[d] = from[d] + error * coefficients[d];
        }
        const float least = *std::min_element(next_cost, next_cost + trellis_states);
        for (int state = 0; state < trellis_states; ++state)
            cost[state] = next_cost[state] >= unreachable ? unreachable : next_cost[state] - least;
        now_.swap(next_);
    }
    int state = int(std::min_element(cost, cost + trellis_states) - cost);
    double distortion = 0;
    for (std::size_t c = columns_; c-- > 0;) {
        const Mark &mark = marks_[c * trellis_states + std::size_t(state)];
        state = mark.before;
        levels[c] = mark.level;
        distortion += double(mark.distortion) / double(cost_unit);
        const std::int32_t index = std::abs(trellis_index(trellis_quantiser(state), mark.level));
        if (index < 1 || index > shift_count) continue;
        const float importance = row.importance(c);
        out.pull[index - 1] += double(importance) * double(float(index) - (mark.level < 0 ? -mark.target : mark.target));
        out.weight[index - 1] += double(importance);
    }
    out.squared_error += distortion * double(step) * double(step);
}

}  // namespace demitasse
