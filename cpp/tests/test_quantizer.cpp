// The trellis search finds the cheapest path there is, and the vector path takes the same decisions as the plain one.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "../src/quantizer_search.hpp"
#include "../src/quantizer_survivors.hpp"
#include "../src/quantizer_wide.hpp"
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
    float step = 0.5f, lambda = 0.3f;
    Shifts shifts = {0.1f, -0.05f, 0.02f, 0.1f, 0.01f, -0.02f};
    int states = trellis_states;
    std::vector<float> column_importance;

    double cost(const std::vector<std::int32_t> &levels) const {
        double sum = 0;
        int state = 0;
        for (std::size_t c = 0; c < weights.size(); ++c) {
            const int quantiser = trellis_quantiser(state);
            const std::int32_t index = std::abs(trellis_index(quantiser, levels[c]));
            double point = index;
            if (index >= 1 && index <= 6) point -= double(shifts[index - 1]);
            const double distance = double(weights[c] / step) - (levels[c] < 0 ? -point : point);
            sum += double(column_importance[c]) * distance * distance +
                   double(lambda) * double(costs.cost(costs.context[c], unsigned(quantiser), levels[c]));
            state = transitions_of(states)[state][levels[c] & 1];
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

double least_cost(const Case &from) {
    constexpr std::int32_t reach = 3;
    std::vector<std::int32_t> levels(from.weights.size(), -reach);
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
    return least;
}

// A band of eight rows, with neighbours that matter.
struct Band {
    Layout layout;
    BandWalk walk;
    std::vector<std::uint8_t> scales = std::vector<std::uint8_t>(lanes, 25);

    Band(Layout of, unsigned seed) : layout(of), walk(of, draw(of, seed)) { walk.begin(scales.data()); }

    static Combinations draw(const Layout &layout, unsigned seed) {
        std::mt19937 random(seed);
        Combinations out(layout.kernel());
        for (Combination &combination : out) {
            for (std::int32_t &weight : combination.neighbour) weight = std::int32_t(random() % 2000);
            for (std::int32_t &weight : combination.lean) weight = std::int32_t(random() % 4000) - 2000;
            combination.column[2] = 1024;
        }
        return out;
    }

    // With the contexts that the coder will see.
    double cost(Case from, const std::vector<std::int32_t> &levels) {
        for (std::size_t c = 0; c < levels.size(); ++c) {
            BandContexts contexts;
            walk.contexts(c, contexts);
            from.costs.context[c] = std::uint16_t(contexts.magnitude_class[0] * 5 + contexts.lean[0] + 2);
            walk.levels(c)[0] = levels[c];
        }
        return from.cost(levels);
    }
};

// Every context costs what the first does.
Case without_contexts(Case from) {
    const std::size_t of_one = 2 * LevelCosts::symbols;
    for (std::size_t context = 1; context < LevelCosts::contexts; ++context)
        std::copy_n(from.costs.bits.begin(), of_one, from.costs.bits.begin() + std::ptrdiff_t(context * of_one));
    return from;
}

void search(const Case &from, const Layout &layout, const BandWalk &walk, bool all_far, std::vector<std::int32_t> &levels) {
    Cells cells(layout.columns());
    cells.fill(from.weights.data(), layout.columns(), from.step, all_far);
    const CandidateTable table(from.costs, from.shifts, from.lambda);
    levels.assign(layout.columns(), 0);
    SurvivorSearch(layout, walk).run(table, {cells, nullptr, 1, from.column_importance.data(), layout.columns()}, 0, levels.data());
}

void search_without_contexts(const Case &from, bool all_far, std::vector<std::int32_t> &levels) {
    const Layout layout{8, std::uint32_t(from.weights.size()), 1, 1, trellis_states};
    const Band band(layout, 1);
    search(from, layout, band.walk, all_far, levels);
}

void finds_the_cheapest_path(unsigned seed) {
    const Case from = without_contexts(draw_case(seed, 6, 1.0f));
    std::vector<std::int32_t> found;
    search_without_contexts(from, false, found);
    expect(from.cost(found) <= least_cost(from) + 2.0 * double(found.size()) / double(cost_unit), "a cheaper path exists", seed);
}

void cells_and_far_candidates_agree(unsigned seed) {
    const Case from = without_contexts(draw_case(seed, 300, 2.0f));
    std::vector<std::int32_t> near, far;
    search_without_contexts(from, false, near);
    search_without_contexts(from, true, far);
    expect(from.cost(far) <= from.cost(near) + 300.0 / double(cost_unit), "more candidates cost more", seed);
}

void survivors_paths_agree(unsigned seed) {
    for (const Layout layout : {Layout{8, 300, 1, 1, 8}, Layout{8, 40, 3, 3, 8}, Layout{8, 50, 1, 3, 8}, Layout{8, 100, 3, 1, 8}}) {
        for (const float spread : {0.3f, 2.0f, 20.0f, 1e5f}) {
            const Case from = draw_case(seed, layout.columns(), spread);
            Band band(layout, seed);
            SurvivorSearch survivors(layout, band.walk);
            Cells cells(layout.columns());
            cells.fill(from.weights.data(), layout.columns(), from.step, false);
            const CandidateTable table(from.costs, from.shifts, from.lambda);
            const SearchRow row{cells, nullptr, 1, from.column_importance.data(), layout.columns()};
            std::vector<std::int32_t> plain(layout.columns(), 1), vector(layout.columns(), 1);
            for (int round = 0; round < 2; ++round) {
                survivors.run_plain(table, row, 0, plain.data());
                survivors.run(table, row, 0, vector.data());
                expect(plain == vector, "the survivors' vector path decides otherwise", seed);
            }
        }
    }
}

// Where contexts make no difference, the wide search too finds the cheapest path.
void wide_search_finds_the_cheapest_path(unsigned seed) {
    Case from = without_contexts(draw_case(seed, 6, 1.0f));
    from.states = wide_states;
    const Layout layout{8, 6, 1, 1, wide_states};
    Band band(layout, seed);
    WideSearch wide(layout, band.walk);
    for (const bool all_far : {false, true}) {
        Cells cells(layout.columns());
        cells.fill(from.weights.data(), layout.columns(), from.step, all_far);
        const CandidateTable table(from.costs, from.shifts, from.lambda);
        std::vector<std::int32_t> found(layout.columns(), 1);
        wide.run(table, {cells, nullptr, 1, from.column_importance.data(), layout.columns()}, 0, found.data());
        expect(from.cost(found) <= least_cost(from) + 2.0 * double(found.size()) / double(cost_unit), "a cheaper wide path exists", seed);
    }
}

// Costs by context as they are in practice: a level far from the expected magnitude is dear.
void survivors_see_their_own_contexts() {
    double blind = 0, fresh = 0;
    for (unsigned seed = 0; seed < 12; ++seed) {
        const Layout layout{8, 400, 1, 1, 8};
        Case from = draw_case(seed, layout.columns(), 1.5f);
        Band band(layout, seed);
        for (int context = 0; context < LevelCosts::contexts; ++context) {
            const float expected = std::exp2(float(context / 5 - 32) / 4) + 0.2f;
            for (int quantiser = 0; quantiser < 2; ++quantiser) {
                for (int level = -LevelCosts::reach; level <= LevelCosts::reach; ++level)
                    from.costs.bits[(std::size_t(context) * 2 + std::size_t(quantiser)) * LevelCosts::symbols + std::size_t(level + LevelCosts::reach)] =
                        std::log2(1 + 2 * expected) + 1.4f * float(std::abs(level)) / expected;
            }
        }
        std::vector<std::int32_t> levels;
        search(without_contexts(from), layout, band.walk, false, levels);
        blind += band.cost(from, levels);
        search(from, layout, band.walk, false, levels);
        fresh += band.cost(from, levels);
    }
    expect(fresh < 0.97 * blind, "contexts on the path are of no use", 0);
}

void values_are_where_the_search_puts_them(unsigned seed) {
    const Case from = without_contexts(draw_case(seed, 1500, 2.0f));
    std::vector<std::int32_t> levels;
    search_without_contexts(from, false, levels);
    std::vector<float> values(levels.size());
    Reconstruction reconstruction{&from.step, false, {}};
    std::copy_n(from.shifts, shift_count, reconstruction.shifts);
    dequantize(levels.data(), 1, levels.size(), true, reconstruction, values.data());
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
        cells_and_far_candidates_agree(seed);
        survivors_paths_agree(seed);
        wide_search_finds_the_cheapest_path(seed);
        values_are_where_the_search_puts_them(seed);
    }
    survivors_see_their_own_contexts();
    if (failures == 0) std::puts("quantizer: all hold");
    return failures != 0;
}
