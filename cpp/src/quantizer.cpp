#include "demitasse/quantizer.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <vector>

#include "demitasse/trellis.hpp"
#include "quantizer_feedback.hpp"
#include "quantizer_search.hpp"
#include "quantizer_statistics.hpp"
#include "quantizer_survivors.hpp"
#include "quantizer_wide.hpp"

namespace demitasse {

namespace {

// Where a bit costs more than this many squared steps, levels far below a weight come into question.
constexpr float dear_bit = 1;

// The first rounds, in which the statistics find their way, are over a sample of bands of a big tensor.
constexpr std::size_t sample_size = 1 << 19;
constexpr int full_rounds = 2;

constexpr float shift_unit = 1.0f / 256;

struct Row {
    const float *weights;
    float step, importance;
    std::size_t start;  // of its levels
};

Row row_of(const QuantizerInput &input, std::size_t row) {
    const std::size_t start = row * input.layout.columns();
    return {input.weights + start, input.steps[input.step_per_row ? row : 0],
            input.row_importance ? input.row_importance[row] : 1.0f, start};
}

// Levels to draw the first statistics from: rounding with about the dead zone that the search will leave.
void round_plainly(const QuantizerInput &input, float lambda, std::int32_t *levels) {
    const float spacing = input.layout.trellis ? 2.0f : 1.0f;
    const float offset = 0.5f - std::min(lambda / spacing, 0.2f);
    for (std::size_t r = 0; r < input.layout.rows; ++r) {
        const Row row = row_of(input, r);
        const float scale = row.step * spacing;
        for (std::size_t c = 0; c < input.layout.columns(); ++c) {
            const std::int32_t magnitude = std::int32_t(std::fabs(row.weights[c]) / scale + offset);
            levels[row.start + c] = row.weights[c] < 0 ? -magnitude : magnitude;
        }
    }
}

bool all_zero(const float *weights, std::size_t columns) {
    return std::all_of(weights, weights + columns, [](float weight) { return weight == 0; });
}

void search(const QuantizerInput &input, float lambda, const LevelCosts &costs, const Shifts &shifts, std::int32_t *levels, Quantized &out) {
    const std::size_t columns = input.layout.columns();
    float least_column = 1;
    if (input.column_importance) least_column = *std::min_element(input.column_importance, input.column_importance + columns);
    Cells cells(columns);
    const bool feeds_back = input.feedback && input.layout.trellis;
    FeedbackSearch feedback(feeds_back ? columns : 0, input.feedback, feeds_back ? input.feedback_order : 0);
    if (feeds_back) out = Quantized{};
    const CandidateTable table(costs, shifts, lambda);
    for (std::size_t r = 0; r < input.layout.rows; ++r) {
        const Row row = row_of(input, r);
        if (row.importance == 0 || all_zero(row.weights, columns)) {
            std::fill_n(levels + row.start, columns, 0);
            continue;
        }
        const bool dear = lambda > dear_bit * row.importance * least_column;
        cells.fill(row.weights, columns, row.step, dear);
        const SearchRow what{cells, &costs.context[row.start], row.importance, input.column_importance, columns, dear};
        if (feeds_back) feedback.run(table, what, row.step, levels + row.start, out);
        else round_row(costs, shifts, lambda, what, row.weights, levels + row.start);
    }
}

// The trellis without feedback. Band by band, as the coder goes: contexts see the bands above as they have become.
// Only every `stride`th band.
void search_bands(const QuantizerInput &input, float lambda, const LevelCosts &costs, const Shifts &shifts,
                  std::size_t stride, Statistics &statistics, std::int32_t *levels) {
    const std::size_t columns = input.layout.columns();
    float least_column = 1;
    if (input.column_importance) least_column = *std::min_element(input.column_importance, input.column_importance + columns);
    Cells cells(columns);
    BandWalk walk = statistics.walk();
    const bool is_wide = input.layout.trellis == wide_states;
    std::optional<SurvivorSearch> survivors;
    std::optional<WideSearch> wide;
    if (is_wide) wide.emplace(input.layout, walk);
    else survivors.emplace(input.layout, walk);
    const CandidateTable table(costs, shifts, lambda);
    for (std::size_t band = 0; band < statistics.bands(); band += stride) {
        statistics.begin(walk, band);
        for (std::size_t lane = 0; lane < statistics.rows_of(band); ++lane) {
            const Row row = row_of(input, band * lanes + lane);
            if (row.importance == 0 || all_zero(row.weights, columns)) {
                std::fill_n(levels + row.start, columns, 0);
                continue;
            }
            cells.fill(row.weights, columns, row.step, lambda > dear_bit * row.importance * least_column);
            const SearchRow what{cells, nullptr, row.importance, input.column_importance, columns};
            if (is_wide) wide->run(table, what, int(lane), levels + row.start);
            else survivors->run(table, what, int(lane), levels + row.start);
        }
        statistics.end(walk, band, levels);
    }
}

// Calls at(row, column, level, quantiser, index of the magnitude) for every weight of every `stride`th band.
template <class At>
void each_level(const QuantizerInput &input, const std::int32_t *levels, std::size_t stride, At at) {
    const Transitions *transitions = transitions_of(input.layout.trellis);
    for (std::size_t r = 0; r < input.layout.rows; ++r) {
        if (r / lanes % stride != 0) continue;
        const Row row = row_of(input, r);
        int state = 0;
        for (std::size_t c = 0; c < input.layout.columns(); ++c) {
            const std::int32_t level = levels[row.start + c];
            const int quantiser = input.layout.trellis ? trellis_quantiser(state) : 0;
            at(row, c, level, quantiser, std::abs(input.layout.trellis ? trellis_index(quantiser, level) : level));
            if (input.layout.trellis) state = transitions[state][level & 1];
        }
    }
}

void find_centroids(const QuantizerInput &input, const std::int32_t *levels, std::size_t stride, Quantized &out) {
    std::fill(out.pull, out.pull + shift_count, 0.0);
    std::fill(out.weight, out.weight + shift_count, 0.0);
    each_level(input, levels, stride, [&](const Row &row, std::size_t c, std::int32_t level, int, std::int32_t index) {
        if (index < 1 || index > shift_count) return;
        const float importance = row.importance * (input.column_importance ? input.column_importance[c] : 1.0f);
        const float along = (level < 0 ? -row.weights[c] : row.weights[c]) / row.step;
        out.pull[index - 1] += double(importance) * double(float(index) - along);
        out.weight[index - 1] += double(importance);
    });
}

void measure(const QuantizerInput &input, const std::int32_t *levels, const Shifts &shifts, Quantized &out) {
    const LevelCosts costs = level_costs(levels, input.layout);
    each_level(input, levels, 1, [&](const Row &row, std::size_t c, std::int32_t level, int quantiser, std::int32_t index) {
        out.bits += double(costs.cost(costs.context[row.start + c], unsigned(quantiser), level));
        if (input.feedback) return;
        const float point = shifted(index, shifts);
        const float along = level < 0 ? -row.weights[c] : row.weights[c];
        const double error = double(along) - double(point * row.step);
        out.squared_error += error * error * double(row.importance) * double(input.column_importance ? input.column_importance[c] : 1.0f);
    });
}

// All rounds of the trellis without feedback. Levels of either machine have much the same statistics: the first rounds
// towards the wide one are those of the other.
void quantize_bands(QuantizerInput input, const QuantizerOptions &options, Shifts &shifts, std::int32_t *levels, Quantized &out) {
    const std::size_t sparse = std::max<std::size_t>(input.layout.size() / sample_size, 1);
    const int wanted = input.layout.trellis;
    input.layout.trellis = trellis_states;
    Statistics statistics(levels, input.layout, sparse, options.rounds == 1);
    for (int round = 0; round < options.rounds; ++round) {
        // After the first search, when levels look much as they will.
        if (round == 1) statistics = Statistics(levels, input.layout, sparse, true);
        const LevelCosts costs = statistics.costs();
        const bool full = round >= options.rounds - full_rounds;
        input.layout.trellis = full ? wanted : trellis_states;
        statistics.restart(levels, input.layout.trellis);
        const std::size_t stride = full ? 1 : sparse;
        search_bands(input, options.lambda, costs, shifts, stride, statistics, levels);
        find_centroids(input, levels, stride, out);
        for (int i = 0; i < shift_count; ++i) shifts[i] = out.shift(i + 1);
    }
}

}  // namespace

float Quantized::shift(int index) const {
    const double sum = weight[index - 1];
    if (!(sum > 0)) return 0;
    const double centroid = std::floor(pull[index - 1] / sum / double(shift_unit) + 0.5) * double(shift_unit);
    return float(std::clamp(centroid, -0.5, 0.5 - double(shift_unit)));
}

Quantized quantize(const QuantizerInput &input, const QuantizerOptions &options, bool measured, std::int32_t *levels) {
    Quantized out;
    Shifts shifts = {};
    round_plainly(input, options.lambda, levels);
    if (input.layout.trellis && !input.feedback) {
        quantize_bands(input, options, shifts, levels, out);
        if (measured) measure(input, levels, shifts, out);
        return out;
    }
    for (int round = 0; round < options.rounds; ++round) {
        search(input, options.lambda, level_costs(levels, input.layout), shifts, levels, out);
        if (!input.feedback) find_centroids(input, levels, 1, out);
        for (int i = 0; i < shift_count; ++i) shifts[i] = out.shift(i + 1);
    }
    if (measured) measure(input, levels, shifts, out);
    return out;
}

WeightFault find_fault(const QuantizerInput &input, std::size_t &position) {
    for (std::size_t r = 0; r < input.layout.rows; ++r) {
        const Row row = row_of(input, r);
        for (std::size_t c = 0; c < input.layout.columns(); ++c) {
            const float magnitude = std::fabs(row.weights[c]);
            if (magnitude / row.step < index_limit) continue;
            position = row.start + c;
            return magnitude <= 3.4028235e38f ? WeightFault::beyond_limit : WeightFault::not_finite;
        }
    }
    return WeightFault::none;
}

}  // namespace demitasse
