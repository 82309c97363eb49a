// The trellis search finds the cheapest path there is, and the vector path takes the same decisions as the plain one.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "../src/quantizer_search.hpp"
#include "demitasse/quantizer.hpp"
#include "demitasse/trellis.hpp"

using namespace demitasse;

namespace {

int failures = 0;

void expect(bool holds, const char *what, unsigned seed) {
    if (holds) return;
    std::printf("seed %u: %s\n", seed, what);
    ++failures;
}

// Costs that rise with the magnitude, the same for both signs.
LevelCosts draw_costs(std::mt19937 &random, std::size_t columns) {
    std::uniform_real_distribution<float> uniform(0.2f, 2.0f);
    LevelCosts out;
    out.context.resize(columns);
    for (std::uint16_t &context : out.context) context = std::uint16_t(random() % LevelCosts::contexts);
    out.bits.resize(std::size_t(LevelCosts::contexts) * 2 * LevelCosts::symbols);
    for (std::size_t row = 0; row < out.bits.size(); row += LevelCosts::symbols) {
        float bits = uniform(random);
        for (int magnitude = 0; magnitude <= LevelCosts::reach; ++magnitude, bits += uniform(random)) {
            out.bits[row + std::size_t(LevelCosts::reach + magnitude)] = bits;
            out.bits[row + std::size_t(LevelCosts::reach - magnitude)] = bits;
        }
    }
    out.slope.assign(LevelCosts::contexts, 0.5f);
    return out;
}

struct Case {
    std::vector<float> weights;
    LevelCosts costs;
    float step = 0.5f, lambda = 0.3f, shifts[3] = {0.1f, -0.05f, 0.02f};
    std::vector<float> column_importance;

    double cost(const std::vector<std::int32_t> &levels) const {
        double sum = 0;
        int state = 0;
        for (std::size_t c = 0; c < weights.size(); ++c) {
            const std::int32_t magnitude = std::abs(levels[c]);
            const int quantiser = trellis_quantiser(state);
            double point = std::abs(trellis_index(quantiser, levels[c]));
            if (magnitude >= 1 && magnitude <= 3) point -= double(shifts[magnitude - 1]);
            const double distance = double(weights[c] / step) - (levels[c] < 0 ? -point : point);
            sum += double(column_importance[c]) * distance * distance +
                   double(lambda) * double(costs.cost(costs.context[c], unsigned(quantiser), levels[c]));
            state = trellis_next(state, levels[c]);
        }
        return sum;
    }
};

Case draw_case(unsigned seed, std::size_t columns, float spread) {
    std::mt19937 random(seed);
    Case out;
    out.costs = draw_costs(random, columns);
    std::normal_distribution<float> normal(0, spread);
    std::uniform_real_distribution<float> importance(0.5f, 2.0f);
    for (std::size_t c = 0; c < columns; ++c) {
        out.weights.push_back(random() % 5 ? normal(random) : 0.0f);
        out.column_importance.push_back(importance(random));
    }
    return out;
}

void search(const Case &from, bool plain, bool all_far, std::vector<std::int32_t> &levels) {
    const std::size_t columns = from.weights.size();
    Cells cells(columns);
    cells.fill(from.weights.data(), columns, from.step, all_far);
    const CandidateTable table(from.costs, from.shifts, from.lambda);
    const SearchRow row{cells, from.costs.context.data(), 1, from.column_importance.data(), columns};
    TrellisSearch trellis(columns);
    levels.assign(columns, -1000);
    if (plain) trellis.run_plain(table, row, levels.data());
    else trellis.run(table, row, levels.data());
}

void finds_the_cheapest_path(unsigned seed) {
    constexpr std::int32_t reach = 3;
    const Case from = draw_case(seed, 6, 1.0f);
    std::vector<std::int32_t> found, levels(from.weights.size(), -reach);
    search(from, true, false, found);
    double least = 1e30;
    for (bool more = true; more;) {
        bool allowed = true;
        for (std::size_t c = 0; c < levels.size(); ++c) allowed &= from.weights[c] != 0 || levels[c] == 0;
        if (allowed) least = std::min(least, from.cost(levels));
        more = false;
        for (std::int32_t &level : levels) {
            if (++level <= reach) {
                more = true;
                break;
            }
            level = -reach;
        }
    }
    expect(from.cost(found) <= least + 2.0 * double(levels.size()) / double(cost_unit), "a cheaper path exists", seed);
}

void paths_agree(unsigned seed) {
    for (const float spread : {0.3f, 2.0f, 20.0f, 1e5f}) {
        const Case from = draw_case(seed, 300, spread);
        for (const bool all_far : {false, true}) {
            std::vector<std::int32_t> plain, vector;
            search(from, true, all_far, plain);
            search(from, false, all_far, vector);
            expect(plain == vector, "the vector path decides otherwise", seed);
        }
    }
}

void cells_and_far_candidates_agree(unsigned seed) {
    const Case from = draw_case(seed, 300, 2.0f);
    std::vector<std::int32_t> near, far;
    search(from, true, false, near);
    search(from, true, true, far);
    expect(from.cost(far) <= from.cost(near) + 300.0 / double(cost_unit), "more candidates cost more", seed);
}

void values_are_where_the_search_puts_them(unsigned seed) {
    const Case from = draw_case(seed, 1500, 2.0f);
    std::vector<std::int32_t> levels;
    search(from, false, false, levels);
    std::vector<float> values(levels.size());
    dequantize(levels.data(), 1, levels.size(), true, {&from.step, false, {from.shifts[0], from.shifts[1], from.shifts[2]}}, values.data());
    double error = 0, bits = 0;
    int state = 0;
    for (std::size_t c = 0; c < levels.size(); ++c) {
        const double distance = double(from.weights[c] - values[c]) / double(from.step);
        error += double(from.column_importance[c]) * distance * distance;
        bits += double(from.costs.cost(from.costs.context[c], unsigned(trellis_quantiser(state)), levels[c]));
        state = trellis_next(state, levels[c]);
    }
    expect(std::fabs(error + double(from.lambda) * bits - from.cost(levels)) < 1e-3 * from.cost(levels), "values are elsewhere", seed);
}

}  // namespace

int main() {
    for (unsigned seed = 0; seed < 12; ++seed) {
        finds_the_cheapest_path(seed);
        paths_agree(seed);
        cells_and_far_candidates_agree(seed);
        values_are_where_the_search_puts_them(seed);
    }
    if (failures == 0) std::puts("quantizer: all hold");
    return failures != 0;
}
