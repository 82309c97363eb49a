#include "quantizer_statistics.hpp"

#include <algorithm>
#include <cstdlib>

#include "demitasse/trellis.hpp"
#include "levels_split.hpp"

namespace demitasse {

namespace {

constexpr Combination usual_combination = {{600, 300, 300, 300}, {800, 800, 800}, {0, 0, 0, 0}};

}  // namespace

Statistics::Statistics(const std::int32_t *levels, const Layout &layout, std::size_t stride, bool fit)
    : layout_(layout), scales_(layout.rows), combinations_(1, usual_combination) {
    restart(levels, layout.trellis);
    if (fit) combinations_ = fit_combinations(levels, layout, scales_);
    BandWalk all = walk();
    for (std::size_t band = 0; band < bands(); band += stride) {
        begin(all, band);
        end(all, band, levels);
    }
}

void Statistics::restart(const std::int32_t *levels, int trellis) {
    layout_.trellis = trellis;
    for (std::size_t r = 0; r < layout_.rows; ++r)
        scales_[r] = std::uint8_t(row_scale(levels + r * layout_.columns(), layout_.columns()));
    counts_ = SymbolCounts();
}

std::size_t Statistics::rows_of(std::size_t band) const { return std::min<std::size_t>(lanes, layout_.rows - band * lanes); }

void Statistics::begin(BandWalk &walk, std::size_t band) const {
    std::uint8_t scale[lanes] = {};
    std::copy_n(&scales_[band * lanes], rows_of(band), scale);
    walk.begin(scale);
}

void Statistics::end(BandWalk &walk, std::size_t band, const std::int32_t *levels) {
    const std::size_t columns = layout_.columns(), rows = rows_of(band);
    const std::int32_t *row[lanes];
    int state[lanes] = {};
    const Transitions *transitions = transitions_of(layout_.trellis);
    for (std::size_t lane = 0; lane < rows; ++lane) row[lane] = levels + (band * lanes + lane) * columns;
    BandContexts contexts;
    for (std::size_t c = 0; c < columns; ++c) {
        walk.contexts(c, contexts);
        std::int32_t *seen = walk.levels(c);
        std::fill_n(seen, lanes, 0);
        for (std::size_t lane = 0; lane < rows; ++lane) {
            const std::int32_t level = row[lane][c];
            seen[lane] = level;
            const int quantiser = layout_.trellis ? trellis_quantiser(state[lane]) : 0;
            if (layout_.trellis) state[lane] = transitions[state[lane]][level & 1];
            if (scales_[band * lanes + lane] == 0) continue;
            const int lean = contexts.lean[lane], magnitude_class = contexts.magnitude_class[lane];
            const Split split = split_level(lean < 0 ? -level : level, split_bits(magnitude_class));
            ++counts_.row(table_context(quantiser, std::abs(lean), magnitude_class))[split.symbol];
        }
    }
    walk.end();
}

LevelCosts Statistics::costs() const { return table_costs(fit_tables(counts_, layout_.trellis ? 2 : 1), layout_.trellis != 0); }

}  // namespace demitasse
