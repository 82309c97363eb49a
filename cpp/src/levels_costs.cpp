// What levels cost under tables fitted to them: the statistics that the quantiser works against.
#include <cmath>
#include <cstdlib>

#include "demitasse/levels.hpp"
#include "levels_side.hpp"
#include "levels_split.hpp"

namespace demitasse {

namespace {

float symbol_cost(const std::int32_t *starts, std::int32_t folded, int bits) {
    const int symbol = split_level(folded, bits).symbol;
    const float cost = float(table_bits) - std::log2(float(starts[symbol + 1] - starts[symbol]));
    if (symbol != escape_symbol) return cost + float(bits);
    // Sign and Elias-gamma code, whose exponent the adaptive coder makes cheap.
    const float beyond = float(std::abs(folded) - (table_reach << bits) + 1);
    return cost + float(bits) + 2 + 1.5f * std::log2(beyond);
}

// Of a Laplacian of the expected magnitude.
float tail_slope(int magnitude_class) {
    const float expected = std::exp2(float(magnitude_class - 32) / 4);
    return 1 / (0.69314718f * std::max(expected, 2.0f));
}

}  // namespace

LevelCosts level_costs(const std::int32_t *levels, const Layout &layout) {
    LevelCosts out;
    if (layout.size() == 0) return out;
    const int quantisers = layout.trellis ? 2 : 1;
    Side side{Combinations(1), find_scales(levels, layout)};
    side.combinations = fit_combinations(levels, layout, side.scales);
    SymbolCounts counts;
    out.context.resize(layout.size());
    visit(levels, layout, side, [&](const Visit &at) {
        out.context[at.index] = std::uint16_t((at.live ? at.magnitude_class : 0) * 5 + at.lean + 2);
        if (!at.live) return;
        const Split split = split_level(at.lean < 0 ? -at.level : at.level, split_bits(at.magnitude_class));
        ++counts.row(table_context(at.quantiser, std::abs(at.lean), at.magnitude_class))[split.symbol];
    });
    const std::vector<StartTable> starts = build_starts(fit_tables(counts, quantisers));
    out.bits.resize(std::size_t(LevelCosts::contexts) * 2 * LevelCosts::symbols);
    out.slope.resize(LevelCosts::contexts);
    for (int magnitude_class = 0; magnitude_class < classes; ++magnitude_class) {
        for (int lean = -2; lean <= 2; ++lean) {
            const int context = magnitude_class * 5 + lean + 2, split = split_bits(magnitude_class);
            for (int quantiser = 0; quantiser < 2; ++quantiser) {
                const StartTable &table = starts[std::size_t(table_context(quantiser < quantisers ? quantiser : 0, std::abs(lean), magnitude_class))];
                for (int level = -LevelCosts::reach; level <= LevelCosts::reach; ++level)
                    out.bits[(std::size_t(context) * 2 + std::size_t(quantiser)) * LevelCosts::symbols + std::size_t(level + LevelCosts::reach)] =
                        symbol_cost(table.data(), lean < 0 ? -level : level, split);
            }
            out.slope[std::size_t(context)] = tail_slope(magnitude_class);
        }
    }
    return out;
}

double estimate_bits(const std::int32_t *levels, const Layout &layout) {
    const LevelCosts costs = level_costs(levels, layout);
    double bits = 0;
    const std::size_t columns = layout.columns();
    for (std::size_t r = 0, i = 0; r < layout.rows; ++r) {
        int state = 0;
        for (std::size_t c = 0; c < columns; ++c, ++i) {
            bits += costs.cost(costs.context[i], layout.trellis ? unsigned(trellis_quantiser(state)) : 0, levels[i]);
            if (layout.trellis) state = transitions_of(layout.trellis)[state][levels[i] & 1];
        }
    }
    return bits;
}

}  // namespace demitasse
