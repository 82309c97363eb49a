// What levels cost under tables fitted to them: the statistics that the quantiser works against.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "binary_log.hpp"
#include "demitasse/levels.hpp"
#include "levels_side.hpp"
#include "levels_split.hpp"

namespace demitasse {

namespace {

// Bits of a level, its sign folded by the lean: of its symbol, of the low bits split off, and of an escape (sign and
// Elias-gamma code, whose exponent the adaptive coder makes cheap) about what the coder spends.
float level_cost(const std::int32_t *starts, std::int32_t folded, int low_bits) {
    const int symbol = split_level(folded, low_bits).symbol;
    const std::int64_t log = binary_log(std::uint64_t(starts[symbol + 1] - starts[symbol]));
    const float bits = float(table_bits + low_bits) - float(log) * log_unit;
    if (symbol != escape_symbol) return bits;
    return bits + 2 + 1.5f * log_unit * float(binary_log(std::uint64_t(std::abs(folded) - (table_reach << low_bits) + 1)));
}

// Bits per unit of magnitude beyond the tables' reach: of a Laplacian of the expected magnitude.
float tail_slope(int magnitude_class) {
    constexpr float quarter_octaves[4] = {1.0f, 1.18920712f, 1.41421356f, 1.68179283f};
    const float expected = std::ldexp(quarter_octaves[magnitude_class % 4], magnitude_class / 4 - 8);
    return 1 / (0.69314718f * std::max(expected, 2.0f));
}

}  // namespace

LevelCosts table_costs(const TreeTables &tables, bool trellis) {
    LevelCosts out;
    out.bits.resize(std::size_t(LevelCosts::contexts) * 2 * LevelCosts::symbols);
    out.slope.resize(LevelCosts::contexts);
    for (int magnitude_class = 0; magnitude_class < classes; ++magnitude_class) {
        const int low_bits = split_bits(magnitude_class);
        for (int lean = -2; lean <= 2; ++lean) {
            const std::size_t context = std::size_t(magnitude_class * 5 + lean + 2);
            out.slope[context] = tail_slope(magnitude_class);
            for (int quantiser = 0; quantiser < 2; ++quantiser) {
                std::int32_t starts[table_symbols + 1];
                symbol_starts(tables.row(table_context(trellis ? quantiser : 0, std::abs(lean), magnitude_class)), starts);
                float *bits = &out.bits[(context * 2 + std::size_t(quantiser)) * LevelCosts::symbols];
                for (int level = -LevelCosts::reach; level <= LevelCosts::reach; ++level)
                    bits[level + LevelCosts::reach] = level_cost(starts, lean < 0 ? -level : level, low_bits);
            }
        }
    }
    return out;
}

LevelCosts level_costs(const std::int32_t *levels, const Layout &layout) {
    if (layout.size() == 0) return {};
    Side side{Combinations(1), find_scales(levels, layout)};
    side.combinations = fit_combinations(levels, layout, side.scales);
    SymbolCounts counts;
    std::vector<std::uint16_t> contexts(layout.size());
    visit(levels, layout, side, [&](const Visit &at) {
        contexts[at.index] = std::uint16_t((at.live ? at.magnitude_class : 0) * 5 + at.lean + 2);
        if (!at.live) return;
        const Split split = split_level(at.lean < 0 ? -at.level : at.level, split_bits(at.magnitude_class));
        ++counts.row(table_context(at.quantiser, std::abs(at.lean), at.magnitude_class))[split.symbol];
    });
    LevelCosts out = table_costs(fit_tables(counts, layout.trellis ? 2 : 1), layout.trellis != 0);
    out.context = std::move(contexts);
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
