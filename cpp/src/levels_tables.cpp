#include "levels_tables.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "levels_band.hpp"
#include "levels_context.hpp"
#include "levels_side.hpp"
#include "levels_split.hpp"
#include "levels_statistics.hpp"

namespace demitasse {

namespace {

struct Symbol {  // one weight, ready for rANS
    std::uint16_t context;
    std::uint8_t symbol, bits;
    std::uint32_t low;
};

void put32(std::vector<std::uint8_t> &out, std::uint32_t value) {
    for (int i = 0; i < 4; ++i) out.push_back(std::uint8_t(value >> (8 * i)));
}

std::uint32_t get32(const std::uint8_t *p) {
    return std::uint32_t(p[0]) | std::uint32_t(p[1]) << 8 | std::uint32_t(p[2]) << 16 | std::uint32_t(p[3]) << 24;
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
    out.entries.resize(std::size_t(table_contexts + 1) * table_symbols);
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
            out.entries[at] = {std::uint16_t(start), std::uint16_t(starts[std::size_t(symbol) + 1] - start), std::uint32_t(symbol)};
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
        band_.escapes = &escapes_;
        band_.coder = &coder;
    }
    LaneDecoder(const LaneDecoder &) = delete;
    LaneDecoder &operator=(const LaneDecoder &) = delete;

    void run(const Layout &layout, const Side &side, const TableOutput &output) {
        BandWalk walk(layout, side.combinations);
        band_.walk = &walk;
        band_.place_weights.clear();
        for (std::size_t k = 0; k < layout.kernel(); ++k) band_.place_weights.emplace_back(walk.combination(k));
        band_.trellis = layout.trellis != 0;
        band_.transitions = transitions_of(layout.trellis);
        const DecodeBand path = layout.trellis == wide_states ? decode_band_plain : output.path;
        std::fill(std::begin(band_.shifts), std::end(band_.shifts), 0.0f);
        if (output.weights) std::copy_n(output.how.shifts, shift_count, band_.shifts + 1);
        for (std::size_t row = 0; row < layout.rows; row += lanes) {
            const int rows = int(std::min<std::size_t>(lanes, layout.rows - row));
            std::fill(std::begin(band_.scale), std::end(band_.scale), std::uint8_t(0));
            std::fill(std::begin(band_.step), std::end(band_.step), 0.0f);
            std::fill(std::begin(band_.trellis_state), std::end(band_.trellis_state), 0);
            std::copy_n(&side.scales[row], rows, band_.scale);
            for (int lane = 0; lane < rows && output.weights; ++lane)
                band_.step[lane] = output.how.steps[output.how.step_per_row ? row + std::size_t(lane) : 0];
            walk.begin(band_.scale);
            run_band(row, rows, path, output);
            walk.end();
        }
    }

    void finish() const {
        if (band_.next != band_.end) throw LevelsError("bytes are left over after the last level");
        for (std::uint32_t x : band_.state)
            if (x != lane_low) throw LevelsError("a lane ends in the wrong state: the stream is damaged");
    }

  private:
    // A tile at a time, so that what is untangled is still in the cache.
    void run_band(std::size_t row, int rows, DecodeBand path, const TableOutput &output) {
        constexpr std::size_t tile = 128;
        std::int32_t levels[tile * lanes];
        float weights[tile * lanes];
        std::int32_t sums[tile];
        const std::size_t columns = band_.walk->columns();
        for (std::size_t first = 0; first < columns; first += tile) {
            const std::size_t last = std::min(first + tile, columns);
            band_.levels = output.levels ? levels : nullptr;
            band_.weights = output.weights ? weights : nullptr;
            band_.sums = sums;
            const std::size_t column = path(band_, first, last);
            if (column < last) decode_band_plain(band_, column, last);
            if (coder_.overrun()) throw LevelsError("the stream ends before its levels do");
            band_.walk->learn(first, sums, last - first);
            const std::size_t start = row * columns + first;
            if (output.levels) untangle(levels, last - first, rows, output.levels + start, columns);
            if (output.weights) untangle(weights, last - first, rows, output.weights + start, columns);
        }
    }

    template <class T>
    static void untangle(const T *tile, std::size_t count, int rows, T *out, std::size_t stride) {
        for (int lane = 0; lane < rows; ++lane) {
            T *row = out + std::size_t(lane) * stride;
            for (std::size_t c = 0; c < count; ++c) row[c] = tile[c * lanes + std::size_t(lane)];
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

}  // namespace demitasse
