#include "levels_tables.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "levels_band.hpp"
#include "levels_context.hpp"
#include "levels_split.hpp"
#include "levels_statistics.hpp"
#include "demitasse/trellis.hpp"

namespace demitasse {

namespace {

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
                if (layout.trellis) state[lane] = trellis_next(state[lane], levels[index]);
                walk.levels(c)[lane] = levels[index];
                at(Visit{index, quantiser, contexts.magnitude_class[lane], contexts.lean[lane], levels[index], scale[lane] != 0});
            }
            for (int lane = rows; lane < lanes; ++lane) walk.levels(c)[lane] = 0;
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

    // Everything backwards: rANS is a stack.
    void put_tensor(const std::vector<Symbol> &symbols, const Layout &layout, const std::vector<StartTable> &starts) {
        const std::size_t columns = layout.columns(), bands = (layout.rows + lanes - 1) / lanes;
        for (std::size_t band = symbols.empty() ? 0 : bands; band-- > 0;) {
            const int rows = int(std::min<std::size_t>(lanes, layout.rows - band * lanes));
            for (std::size_t c = columns; c-- > 0;) {
                const Symbol *at = &symbols[band * lanes * columns + c * std::size_t(rows)];
                for (int lane = rows; lane-- > 0;)
                    if (at[lane].bits) put(lane, at[lane].low, 1, at[lane].bits);
                for (int lane = rows; lane-- > 0;) {
                    if (at[lane].context == zero_context) continue;
                    const StartTable &table = starts[at[lane].context];
                    const std::uint32_t start = std::uint32_t(table[at[lane].symbol]);
                    put(lane, start, std::uint32_t(table[at[lane].symbol + 1u]) - start, table_bits);
                }
            }
        }
    }

    void write(std::vector<std::uint8_t> &out) const {
        for (std::uint32_t x : state) put32(out, x);
        for (std::size_t i = words.size(); i-- > 0;) {
            out.push_back(std::uint8_t(words[i]));
            out.push_back(std::uint8_t(words[i] >> 8));
        }
    }
};

LaneTables make_lane_tables(const TreeTables &tables) {
    LaneTables out;
    out.below.resize(std::size_t(table_contexts + 1) * table_symbols);
    out.packed.resize(std::size_t(table_contexts + 1) * table_symbols);
    for (int context = 0; context <= table_contexts; ++context) {
        StartTable starts;
        if (context == zero_context) {
            std::fill(starts.begin(), starts.begin() + table_reach + 1, 0);
            std::fill(starts.begin() + table_reach + 1, starts.end(), 1 << table_bits);
        } else {
            symbol_starts(tables.row(context), starts.data());
        }
        for (int symbol = 0; symbol < table_symbols; ++symbol) {
            const std::size_t at = std::size_t(context) * table_symbols + std::size_t(symbol);
            const std::int32_t start = starts[std::size_t(symbol)];
            out.below[at] = std::int16_t(start - 1);
            out.packed[at] = std::uint32_t(start) | std::uint32_t(starts[std::size_t(symbol) + 1] - start) << 16;
        }
    }
    return out;
}

class LaneDecoder {
  public:
    LaneDecoder(const std::uint8_t *next, const std::uint8_t *end, const LaneTables &tables, BinaryDecoder &coder)
        : coder_(coder) {
        for (std::uint32_t &x : band_.state) {
            x = get32(next);
            next += 4;
            if (x < lane_low) throw LevelsError("a lane starts below its range: the stream is damaged");
        }
        band_.next = next;
        band_.end = end;
        band_.tables = &tables;
        band_.escape = [](void *self, int bits) {
            LaneDecoder &decoder = *static_cast<LaneDecoder *>(self);
            return decoder.escapes_.code(decoder.coder_, 0, bits);
        };
        band_.escape_source = this;
    }
    LaneDecoder(const LaneDecoder &) = delete;
    LaneDecoder &operator=(const LaneDecoder &) = delete;

    void run(const Layout &layout, const Side &side, const TableOutput &output) {
        BandWalk walk(layout, side.combinations);
        const std::size_t columns = layout.columns(), bands = (layout.rows + lanes - 1) / lanes;
        std::vector<float> weights(output.weights ? columns * lanes : 0);
        band_.walk = &walk;
        band_.trellis = layout.trellis;
        band_.weights = output.weights ? weights.data() : nullptr;
        std::fill(std::begin(band_.shifts), std::end(band_.shifts), 0.0f);
        if (output.weights) std::copy_n(output.how.shifts, 3, band_.shifts + 1);
        for (std::size_t band = 0; band < bands; ++band) {
            const int rows = int(std::min<std::size_t>(lanes, layout.rows - band * lanes));
            std::fill(std::begin(band_.scale), std::end(band_.scale), std::uint8_t(0));
            std::fill(std::begin(band_.step), std::end(band_.step), 0.0f);
            std::fill(std::begin(band_.trellis_state), std::end(band_.trellis_state), 0);
            std::copy_n(&side.scales[band * lanes], rows, band_.scale);
            for (int lane = 0; lane < rows && output.weights; ++lane)
                band_.step[lane] = output.how.steps[output.how.step_per_row ? band * lanes + std::size_t(lane) : 0];
            walk.begin(band_.scale);
            std::size_t column = output.path(band_, 0);
            if (column < columns) column = decode_band_plain(band_, column);
            if (coder_.overrun()) throw LevelsError("the stream ends before its levels do");
            walk.end();
            const std::size_t start = band * lanes * columns;
            if (output.levels) untangle(walk.levels(0), columns, rows, output.levels + start);
            if (output.weights) untangle(weights.data(), columns, rows, output.weights + start);
        }
    }

    void finish() const {
        if (band_.next != band_.end) throw LevelsError("bytes are left over after the last level");
        for (std::uint32_t x : band_.state)
            if (x != lane_low) throw LevelsError("a lane ends in the wrong state: the stream is damaged");
    }

  private:
    template <class T>
    static void untangle(const T *band, std::size_t columns, int rows, T *out) {
        constexpr std::size_t tile = 64;
        for (std::size_t first = 0; first < columns; first += tile) {
            const std::size_t last = std::min(first + tile, columns);
            for (int lane = 0; lane < rows; ++lane) {
                T *row = out + std::size_t(lane) * columns;
                for (std::size_t c = first; c < last; ++c) row[c] = band[c * lanes + std::size_t(lane)];
            }
        }
    }

    BandDecoder band_{};
    BinaryDecoder &coder_;
    EscapeModel escapes_;
};

}  // namespace

void encode_tables(const std::vector<LevelTensor> &tensors, std::vector<std::uint8_t> &out) {
    std::vector<std::uint8_t> head;
    BinaryEncoder coder(head);
    SideCoder<BinaryEncoder> side_coder(coder);
    SymbolCounts counts;
    std::vector<std::vector<Symbol>> symbols;
    std::vector<std::pair<std::int32_t, int>> escapes;
    int quantisers = 1;
    for (const LevelTensor &tensor : tensors) {
        const Layout &layout = tensor.layout;
        if (layout.size() == 0) {
            symbols.emplace_back();
            continue;
        }
        if (layout.trellis) quantisers = 2;
        Side side{Combinations(1), find_scales(tensor.levels, layout)};
        side.combinations = fit_combinations(tensor.levels, layout, side.scales);
        side_coder.run(side, layout);
        std::vector<Symbol> &list = symbols.emplace_back();
        list.reserve(layout.size());
        visit(tensor.levels, layout, side, [&](const Visit &at) {
            if (!at.live) {
                list.push_back({std::uint16_t(zero_context), 0, 0, 0});
                return;
            }
            const int bits = split_bits(at.magnitude_class);
            const int context = table_context(at.quantiser, std::abs(at.lean), at.magnitude_class);
            const std::int32_t folded = at.lean < 0 ? -at.level : at.level;
            const Split split = split_level(folded, bits);
            list.push_back({std::uint16_t(context), std::uint8_t(split.symbol), std::uint8_t(bits), split.low});
            ++counts.row(context)[split.symbol];
            if (split.symbol == escape_symbol) escapes.emplace_back(folded, bits);
        });
    }
    const TreeTables tables = fit_tables(counts, quantisers);
    write_tables(coder, tables, quantisers);
    EscapeModel model;
    for (const auto &escape : escapes) model.code(coder, escape.first, escape.second);
    coder.finish();
    put32(out, std::uint32_t(head.size()));
    out.insert(out.end(), head.begin(), head.end());

    const std::vector<StartTable> starts = build_starts(tables);
    LaneEncoder lane_encoder;
    for (std::size_t i = tensors.size(); i-- > 0;) lane_encoder.put_tensor(symbols[i], tensors[i].layout, starts);
    lane_encoder.write(out);
}

void decode_tables(const std::uint8_t *data, std::size_t size, const std::vector<Layout> &layouts,
                   const std::vector<TableOutput> &outputs) {
    if (size < 4 + 4 * lanes || get32(data) > size - 4 - 4 * lanes) throw LevelsError("the stream is shorter than its own head says");
    const std::size_t head = get32(data);
    BinaryDecoder coder(data + 4, head);
    SideCoder<BinaryDecoder> side_coder(coder);
    std::vector<Side> sides;
    int quantisers = 1;
    for (const Layout &layout : layouts) {
        if (layout.size() == 0) {
            sides.emplace_back();
            continue;
        }
        if (layout.trellis) quantisers = 2;
        side_coder.run(sides.emplace_back(Side{Combinations(1), std::vector<std::uint8_t>(layout.rows)}), layout);
        if (coder.overrun()) throw LevelsError("the stream ends before its levels do");
    }
    const LaneTables tables = make_lane_tables(read_tables(coder, quantisers));
    LaneDecoder decoder(data + 4 + head, data + size, tables, coder);
    for (std::size_t i = 0; i < layouts.size(); ++i)
        if (layouts[i].size() > 0) decoder.run(layouts[i], sides[i], outputs[i]);
    decoder.finish();
}

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
            if (layout.trellis) state = trellis_next(state, levels[i]);
        }
    }
    return bits;
}

}  // namespace demitasse
