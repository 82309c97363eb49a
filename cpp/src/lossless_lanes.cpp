#include "lossless_lanes.hpp"

#include "lossless_vector.hpp"

namespace demitasse::lossless {
namespace {

std::uint8_t step(std::uint32_t &state, const std::uint32_t *tables, std::uint8_t which) {
    const std::uint32_t entry = tables[std::size_t(which) << probability_bits | (state & (probability_one - 1))];
    state = ((entry & 0xFFF) + 1) * (state >> probability_bits) + (entry >> 12 & 0xFFF);
    return std::uint8_t(entry >> 24);
}

}  // namespace

std::vector<std::uint32_t> lookup_tables(const Model &model) {
    std::vector<std::uint32_t> out(model.counts.size() * probability_one);
    std::size_t place = 0;
    for (const auto &counts : model.counts) {
        for (std::size_t symbol = 0; symbol < max_symbols; ++symbol) {
            const std::uint32_t count = counts[symbol];
            std::uint32_t entry = std::uint32_t(symbol) << 24 | (count - 1);
            for (std::uint32_t i = 0; i < count; ++i, entry += 1u << 12) out[place + i] = entry;
            place += count;
        }
    }
    return out;
}

Lanes::Lanes(const std::uint8_t *data, std::size_t used, std::size_t count)
    : used_(used), next_(data + 4 * used), end_(next_ + 2 * count) {
    for (std::size_t lane = 0; lane < used; ++lane, data += 4) {
        states_[lane] = std::uint32_t(data[0]) | std::uint32_t(data[1]) << 8 | std::uint32_t(data[2]) << 16 |
                        std::uint32_t(data[3]) << 24;
        if (states_[lane] < lower_bound) throw LosslessError("a state is too low");
    }
}

std::size_t decode_lanes_plain(std::uint32_t *states, const std::uint8_t *&next, const std::uint8_t *end,
                               const std::uint32_t *tables, const std::uint8_t *which, std::size_t count, std::uint8_t *symbols) {
    const std::uint8_t *from = next;
    std::size_t i = 0;
    for (; i + most_lanes <= count && std::size_t(end - from) >= 2 * most_lanes; i += most_lanes) {
        for (std::size_t lane = 0; lane < most_lanes; ++lane) {
            std::uint32_t state = states[lane];
            symbols[i + lane] = step(state, tables, which[i + lane]);
            const std::uint32_t fed = state << 16 | from[0] | std::uint32_t(from[1]) << 8;
            const bool low = state < lower_bound;
            states[lane] = low ? fed : state;
            from += low ? 2 : 0;
        }
    }
    next = from;
    return i;
}

void Lanes::decode(const std::uint32_t *tables, const std::uint8_t *which, std::size_t count, std::uint8_t *symbols) {
    std::size_t i = 0;
    if (used_ == most_lanes) {
#ifdef DEMITASSE_X86
        if (has_avx2()) i = decode_lanes_avx2(states_.data(), next_, end_, tables, which, count, symbols);
        else
#endif
            i = decode_lanes_plain(states_.data(), next_, end_, tables, which, count, symbols);
    }
    for (; i < count; ++i) {
        std::uint32_t &state = states_[i % used_];
        symbols[i] = step(state, tables, which[i]);
        if (state >= lower_bound) continue;
        if (next_ == end_) throw LosslessError("a stream of symbols is cut");
        state = state << 16 | next_[0] | std::uint32_t(next_[1]) << 8;
        next_ += 2;
    }
}

}  // namespace demitasse::lossless
