// What a tables stream says besides its symbols, and the order in which it goes through a tensor.
#pragma once

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "demitasse/binary_coder.hpp"
#include "demitasse/trellis.hpp"
#include "levels_context.hpp"
#include "levels_statistics.hpp"

namespace demitasse {

// What stands before the rANS words of a stream, but for the tables.
struct Side {
    Combinations combinations;
    std::vector<std::uint8_t> scales;  // one a row
};

template <class Coder>
class SideCoder {
  public:
    explicit SideCoder(Coder &coder) : coder_(coder) {}

    void run(Side &side, const Layout &layout) {
        const bool each = coder_.code(32768, side.combinations.size() > 1);
        side.combinations.resize(each ? layout.kernel() : 1);
        for (Combination &combination : side.combinations) {
            for (std::int32_t &weight : combination.neighbour) weight = number(weight, false);
            for (std::int32_t &weight : combination.column) weight = number(weight, false);
            for (std::int32_t &weight : combination.lean) weight = number(weight, true);
        }
        int before = 25;
        for (std::uint8_t &scale : side.scales) {
            scale = std::uint8_t(this->scale(scale, before));
            before = scale ? scale : before;
        }
    }

  private:
    // Weights are kept to a multiple of 16.
    std::int32_t number(std::int32_t value, bool sign) {
        std::uint32_t magnitude = 0;
        const std::uint32_t wanted = std::uint32_t(std::abs(value)) / 16;
        for (int i = 8; i >= 0; --i) magnitude = magnitude << 1 | std::uint32_t(coder_.code(32768, (wanted >> i) & 1));
        const bool negative = sign && magnitude && coder_.code(32768, value < 0);
        return (negative ? -1 : 1) * std::int32_t(magnitude * 16);
    }

    int scale(int value, int before) {
        if (dead_.code(coder_, value == 0, 60)) return 0;
        if (same_.code(coder_, value == before, 60)) return before;
        const bool lower = lower_.code(coder_, value < before, 60);
        int delta = 1;
        while (delta < row_scales && more_[std::min(delta, 7)].code(coder_, std::abs(value - before) > delta, 60)) ++delta;
        return std::clamp(lower ? before - delta : before + delta, 1, row_scales - 1);
    }

    Coder &coder_;
    AdaptiveBit dead_, same_, lower_, more_[8];
};

// Escapes stand in the binary coder's part of the stream, in coding order: sign, then magnitude beyond 7 << bits.
struct EscapeModel {
    AdaptiveBit sign;
    AdaptiveGamma beyond;

    template <class Coder>
    std::int32_t code(Coder &coder, std::int32_t folded, int bits) {
        const bool negative = sign.code_surprise(coder, folded < 0);
        const std::uint32_t base = std::uint32_t(table_reach) << bits;
        const std::uint32_t magnitude = base + beyond.code(coder, std::uint32_t(std::abs(folded)) - base);
        if (magnitude > std::uint32_t(level_limit)) throw LevelsError("a level is beyond all limits: the stream is damaged");
        return negative ? -std::int32_t(magnitude) : std::int32_t(magnitude);
    }
};

inline std::vector<std::uint8_t> find_scales(const std::int32_t *levels, const Layout &layout) {
    std::vector<std::uint8_t> out;
    for (std::uint32_t r = 0; r < layout.rows; ++r)
        out.push_back(std::uint8_t(row_scale(levels + r * layout.columns(), layout.columns())));
    return out;
}

struct Visit {
    std::size_t index;  // of the weight in the tensor
    int quantiser, magnitude_class, lean;
    std::int32_t level;
    bool live;  // its row is not all zero
};

// Calls at(Visit) for every weight, in coding order.
template <class At>
void visit(const std::int32_t *levels, const Layout &layout, const Side &side, At at) {
    BandWalk walk(layout, side.combinations);
    const std::size_t columns = layout.columns(), bands = (layout.rows + lanes - 1) / lanes;
    for (std::size_t band = 0; band < bands; ++band) {
        const int rows = int(std::min<std::size_t>(lanes, layout.rows - band * lanes));
        std::uint8_t scale[lanes] = {};
        std::copy_n(&side.scales[band * lanes], rows, scale);
        walk.begin(scale);
        int state[lanes] = {};
        BandContexts contexts;
        for (std::size_t c = 0; c < columns; ++c) {
            walk.contexts(c, contexts);
            for (int lane = 0; lane < rows; ++lane) {
                const std::size_t index = (band * lanes + std::size_t(lane)) * columns + c;
                const int quantiser = layout.trellis ? trellis_quantiser(state[lane]) : 0;
                if (layout.trellis) state[lane] = transitions_of(layout.trellis)[state[lane]][levels[index] & 1];
                walk.levels(c)[lane] = levels[index];
                at(Visit{index, quantiser, contexts.magnitude_class[lane], contexts.lean[lane], levels[index], scale[lane] != 0});
            }
            for (int lane = rows; lane < lanes; ++lane) walk.levels(c)[lane] = 0;
        }
        walk.learn();
        walk.end();
    }
}

using StartTable = std::array<std::int32_t, table_symbols + 1>;

inline std::vector<StartTable> build_starts(const TreeTables &tables) {
    std::vector<StartTable> out(table_contexts);
    for (int context = 0; context < table_contexts; ++context) symbol_starts(tables.row(context), out[std::size_t(context)].data());
    return out;
}

}  // namespace demitasse
