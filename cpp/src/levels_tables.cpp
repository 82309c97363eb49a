#include "levels_tables.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "levels_context.hpp"
#include "levels_statistics.hpp"
#include "levels_trellis.hpp"

namespace demitasse {

namespace {

constexpr std::uint32_t lane_low = 1u << 16;  // a lane's state lies in [2^16, 2^32)

// What stands before the rANS words of a stream, but for the tables.
struct Side {
    Combination combination;
    std::vector<std::uint8_t> scales;  // one a row
};

template <class Coder>
class SideCoder {
  public:
    explicit SideCoder(Coder &coder) : coder_(coder) {}

    void run(Side &side) {
        for (std::int32_t &weight : side.combination.neighbour) weight = number(weight, false);
        for (std::int32_t &weight : side.combination.column) weight = number(weight, false);
        for (std::int32_t &weight : side.combination.lean) weight = number(weight, true);
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

// A level as the tables see it: the sign folded by the lean, low bits split off, the far ones escaped.
struct Split {
    int symbol;
    std::uint32_t low;
};

inline Split split_level(std::int32_t folded, int bits) {
    const std::int32_t half = (1 << bits) >> 1, shifted = folded + half;
    const std::int32_t q = shifted >> bits;
    if (q < -table_reach || q > table_reach) return {escape_symbol, 0};
    return {q + table_reach, std::uint32_t(shifted & ((1 << bits) - 1))};
}

inline std::int32_t join_level(int symbol, std::uint32_t low, int bits) {
    return (symbol - table_reach) * (1 << bits) + std::int32_t(low) - ((1 << bits) >> 1);
}

// Escapes stand in the binary coder's part of the stream, in coding order: sign, then magnitude beyond 7 << bits.
struct EscapeModel {
    AdaptiveBit sign;
    AdaptiveGamma beyond;

    template <class Coder>
    std::int32_t code(Coder &coder, std::int32_t folded, int bits) {
        const bool negative = sign.code(coder, folded < 0);
        const std::uint32_t base = std::uint32_t(table_reach) << bits;
        const std::uint32_t magnitude = base + beyond.code(coder, std::uint32_t(std::abs(folded)) - base);
        if (magnitude > std::uint32_t(level_limit)) throw LevelsError("a level is beyond all limits: the stream is damaged");
        return negative ? -std::int32_t(magnitude) : std::int32_t(magnitude);
    }
};

std::vector<std::uint8_t> find_scales(const std::int32_t *levels, const Layout &layout) {
    std::vector<std::uint8_t> out;
    for (std::uint32_t r = 0; r < layout.rows; ++r)
        out.push_back(std::uint8_t(row_scale(levels + r * layout.columns(), layout.columns())));
    return out;
}

int lean_strength(std::int32_t lean) { return lean < 0 ? -lean : lean; }

// Calls at(band, column, lane, context, bits, folded level, class, lean) for every weight of a live row, in coding order.
template <class At>
void visit(const std::int32_t *levels, const Layout &layout, const Side &side, At at) {
    BandWalk walk(layout, side.combination);
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
                const std::int32_t level = levels[(band * lanes + std::size_t(lane)) * columns + c];
                const int quantiser = layout.trellis ? trellis_quantiser(state[lane]) : 0;
                if (layout.trellis) state[lane] = trellis_next(state[lane], level);
                walk.levels(c)[lane] = level;
                at(band, c, lane, quantiser, contexts.magnitude_class[lane], contexts.lean[lane], level, scale[lane] != 0);
            }
        }
        walk.end();
    }
}

struct Symbol {  // one weight, ready for rANS
    std::uint16_t context;
    std::uint8_t symbol, bits;
    std::uint32_t low;
};

using StartTable = std::array<std::int32_t, table_symbols + 1>;

std::vector<StartTable> build_starts(const TreeTables &tables) {
    std::vector<StartTable> out(table_contexts);
    for (int context = 0; context < table_contexts; ++context) symbol_starts(tables.row(context), out[std::size_t(context)].data());
    return out;
}

void put32(std::vector<std::uint8_t> &out, std::uint32_t value) {
    for (int i = 0; i < 4; ++i) out.push_back(std::uint8_t(value >> (8 * i)));
}

std::uint32_t get32(const std::uint8_t *p) {
    return std::uint32_t(p[0]) | std::uint32_t(p[1]) << 8 | std::uint32_t(p[2]) << 16 | std::uint32_t(p[3]) << 24;
}

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

struct LaneEncoder {
    std::uint32_t state[lanes];
    std::vector<std::uint16_t> words;  // last one first

    LaneEncoder() { std::fill(state, state + lanes, lane_low); }
    void put(int lane, std::uint32_t start, std::uint32_t frequency, int bits) {
        std::uint32_t &x = state[lane];
        if (x >= std::uint64_t(frequency) << (32 - bits)) {
            words.push_back(std::uint16_t(x));
            x >>= 16;
        }
        x = ((x / frequency) << bits) + x % frequency + start;
    }
};

}  // namespace

void encode_tables(const LevelTensor &tensor, std::vector<std::uint8_t> &out) {
    const Layout &layout = tensor.layout;
    const int quantisers = layout.trellis ? 2 : 1;
    std::vector<std::uint8_t> head;
    BinaryEncoder coder(head);
    Side side{{}, find_scales(tensor.levels, layout)};
    side.combination = fit_combination(tensor.levels, layout, side.scales);
    SideCoder<BinaryEncoder>(coder).run(side);

    SymbolCounts counts;
    std::vector<Symbol> symbols(layout.size());
    std::vector<std::pair<std::int32_t, int>> escapes;
    std::size_t n = 0;
    visit(tensor.levels, layout, side,
          [&](std::size_t, std::size_t, int, int quantiser, int magnitude_class, int lean, std::int32_t level, bool live) {
              if (!live) {
                  symbols[n++] = {std::uint16_t(zero_context), 0, 0, 0};
                  return;
              }
              const int bits = split_bits(magnitude_class), context = table_context(quantiser, lean_strength(lean), magnitude_class);
              const std::int32_t folded = lean < 0 ? -level : level;
              const Split split = split_level(folded, bits);
              symbols[n++] = {std::uint16_t(context), std::uint8_t(split.symbol), std::uint8_t(bits), split.low};
              ++counts.row(context)[split.symbol];
              if (split.symbol == escape_symbol) escapes.emplace_back(folded, bits);
          });
    const TreeTables tables = fit_tables(counts, quantisers);
    write_tables(coder, tables, quantisers);
    EscapeModel model;
    for (const auto &escape : escapes) model.code(coder, escape.first, escape.second);
    coder.finish();

    const std::vector<StartTable> starts = build_starts(tables);
    LaneEncoder lane_encoder;
    const std::size_t columns = layout.columns(), bands = (layout.rows + lanes - 1) / lanes;
    for (std::size_t band = bands; band-- > 0;) {
        const int rows = int(std::min<std::size_t>(lanes, layout.rows - band * lanes));
        for (std::size_t c = columns; c-- > 0;) {
            const Symbol *at = &symbols[band * lanes * columns + c * std::size_t(rows)];
            for (int lane = rows; lane-- > 0;)
                if (at[lane].bits) lane_encoder.put(lane, at[lane].low, 1, at[lane].bits);
            for (int lane = rows; lane-- > 0;) {
                if (at[lane].context == zero_context) continue;
                const StartTable &table = starts[at[lane].context];
                const std::uint32_t start = std::uint32_t(table[at[lane].symbol]);
                lane_encoder.put(lane, start, std::uint32_t(table[at[lane].symbol + 1u]) - start, table_bits);
            }
        }
    }
    put32(out, std::uint32_t(head.size()));
    out.insert(out.end(), head.begin(), head.end());
    for (std::uint32_t state : lane_encoder.state) put32(out, state);
    for (std::size_t i = lane_encoder.words.size(); i-- > 0;) {
        out.push_back(std::uint8_t(lane_encoder.words[i]));
        out.push_back(std::uint8_t(lane_encoder.words[i] >> 8));
    }
}

namespace {

struct LaneDecoder {
    std::uint32_t state[lanes];
    const std::uint8_t *next, *end;

    void refill(int lane) {
        if (state[lane] >= lane_low) return;
        if (end - next < 2) throw LevelsError("the stream ends before its levels do");
        state[lane] = state[lane] << 16 | std::uint32_t(next[0]) | std::uint32_t(next[1]) << 8;
        next += 2;
    }
};

}  // namespace

void decode_tables(const std::uint8_t *data, std::size_t size, const Layout &layout, std::int32_t *output) {
    if (size < 4 + 4 * lanes || get32(data) > size - 4 - 4 * lanes) throw LevelsError("the stream is shorter than its own head says");
    const std::size_t head = get32(data);
    BinaryDecoder coder(data + 4, head);
    Side side{{}, std::vector<std::uint8_t>(layout.rows)};
    SideCoder<BinaryDecoder>(coder).run(side);
    const std::vector<StartTable> starts = build_starts(read_tables(coder, layout.trellis ? 2 : 1));
    EscapeModel model;

    LaneDecoder in;
    in.next = data + 4 + head;
    in.end = data + size;
    for (std::uint32_t &state : in.state) {
        state = get32(in.next);
        in.next += 4;
        if (state < lane_low) throw LevelsError("a lane starts below its range: the stream is damaged");
    }
    BandWalk walk(layout, side.combination);
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
            int symbol[lanes];
            for (int lane = 0; lane < rows; ++lane) {
                symbol[lane] = table_reach;
                if (!scale[lane]) continue;
                const int quantiser = layout.trellis ? trellis_quantiser(state[lane]) : 0;
                const StartTable &table = starts[std::size_t(table_context(quantiser, lean_strength(contexts.lean[lane]), contexts.magnitude_class[lane]))];
                const std::int32_t slot = std::int32_t(in.state[lane] & ((1u << table_bits) - 1));
                int s = 0;
                while (table[std::size_t(s) + 1] <= slot) ++s;
                symbol[lane] = s;
                in.state[lane] = std::uint32_t(table[std::size_t(s) + 1] - table[std::size_t(s)]) * (in.state[lane] >> table_bits) +
                                 std::uint32_t(slot - table[std::size_t(s)]);
                in.refill(lane);
            }
            std::uint32_t low[lanes] = {};
            int bits[lanes] = {};
            for (int lane = 0; lane < rows; ++lane) {
                if (!scale[lane]) continue;
                bits[lane] = split_bits(contexts.magnitude_class[lane]);
                if (!bits[lane]) continue;
                low[lane] = in.state[lane] & ((1u << bits[lane]) - 1);
                in.state[lane] >>= bits[lane];
                in.refill(lane);
            }
            for (int lane = 0; lane < rows; ++lane) {
                std::int32_t level = symbol[lane] == escape_symbol ? model.code(coder, 0, bits[lane])
                                                                   : join_level(symbol[lane], low[lane], bits[lane]);
                if (contexts.lean[lane] < 0) level = -level;
                walk.levels(c)[lane] = level;
                output[(band * lanes + std::size_t(lane)) * columns + c] = level;
                if (layout.trellis) state[lane] = trellis_next(state[lane], level);
            }
        }
        if (coder.overrun()) throw LevelsError("the stream ends before its levels do");
        walk.end();
    }
    if (in.next != in.end) throw LevelsError("bytes are left over after the last level");
    for (std::uint32_t state : in.state)
        if (state != lane_low) throw LevelsError("a lane ends in the wrong state: the stream is damaged");
}

LevelCosts level_costs(const std::int32_t *levels, const Layout &layout) {
    LevelCosts out;
    const int quantisers = layout.trellis ? 2 : 1;
    Side side{{}, find_scales(levels, layout)};
    side.combination = fit_combination(levels, layout, side.scales);
    SymbolCounts counts;
    out.context.resize(layout.size());
    const std::size_t columns = layout.columns();
    visit(levels, layout, side,
          [&](std::size_t band, std::size_t c, int lane, int quantiser, int magnitude_class, int lean, std::int32_t level, bool live) {
              const std::size_t index = (band * lanes + std::size_t(lane)) * columns + c;
              out.context[index] = std::uint16_t((live ? magnitude_class : 0) * 5 + lean + 2);
              if (!live) return;
              const Split split = split_level(lean < 0 ? -level : level, split_bits(magnitude_class));
              ++counts.row(table_context(quantiser, lean_strength(lean), magnitude_class))[split.symbol];
          });
    const std::vector<StartTable> starts = build_starts(fit_tables(counts, quantisers));
    out.bits.resize(std::size_t(LevelCosts::contexts) * 2 * LevelCosts::symbols);
    out.slope.resize(LevelCosts::contexts);
    for (int magnitude_class = 0; magnitude_class < classes; ++magnitude_class) {
        for (int lean = -2; lean <= 2; ++lean) {
            const int context = magnitude_class * 5 + lean + 2, split = split_bits(magnitude_class);
            out.slope[std::size_t(context)] = 0;
            for (int quantiser = 0; quantiser < 2; ++quantiser) {
                const StartTable &table = starts[std::size_t(table_context(quantiser < quantisers ? quantiser : 0, lean_strength(lean), magnitude_class))];
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
            if (layout.trellis) state = trellis_next(state, levels[i]);
        }
    }
    return bits;
}

}  // namespace demitasse
