#include "levels_band.hpp"

#include <algorithm>
#include <cstdlib>

#include "levels_band_vector.hpp"
#include "levels_split.hpp"

namespace demitasse {

namespace {

void refill(BandDecoder &band, int lane) {
    std::uint32_t &x = band.state[lane];
    if (x >= lane_low) return;
    if (band.end - band.next < 2) throw LevelsError("the stream ends before its levels do");
    x = x << 16 | std::uint32_t(band.next[0]) | std::uint32_t(band.next[1]) << 8;
    band.next += 2;
}

std::vector<BandPath> find_paths() {
    std::vector<BandPath> out;
#ifdef DEMITASSE_X86
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
        out.push_back({"avx512", decode_band_avx512});
    if (__builtin_cpu_supports("avx2")) out.push_back({"avx2", decode_band_avx2});
#endif
    out.push_back({"plain", decode_band_plain});
    return out;
}

std::int32_t pack(std::int32_t a, std::int32_t b) {
    return std::int32_t((std::uint32_t(a) & 0xffff) | std::uint32_t(b) << 16);
}

}  // namespace

PackedWeights::PackedWeights(const Combination &from)
    : near_weights(pack(from.neighbour[0], from.neighbour[1])), far_weights(pack(from.neighbour[2], from.neighbour[3])),
      near_lean(pack(from.lean[0], from.lean[1])), far_lean(pack(from.lean[2], from.lean[3])) {}

std::size_t decode_band_plain(BandDecoder &band, std::size_t first, std::size_t last) {
    BandWalk &walk = *band.walk;
    const LaneTables &tables = *band.tables;
    BandContexts contexts;
    for (std::size_t c = first; c < last; ++c) {
        walk.contexts(c, contexts);
        int symbol[lanes], bits[lanes];
        for (int lane = 0; lane < lanes; ++lane) {
            const bool live = band.scale[lane] != 0;
            const int magnitude_class = contexts.magnitude_class[lane];
            const int quantiser = band.trellis ? trellis_quantiser(band.trellis_state[lane]) : 0;
            const int context = live ? table_context(quantiser, std::abs(contexts.lean[lane]), magnitude_class) : zero_context;
            const std::int16_t *below = &tables.below[std::size_t(context) * table_symbols];
            std::uint32_t &x = band.state[lane];
            const std::int32_t slot = std::int32_t(x & ((1u << table_bits) - 1));
            int found = 0;
            for (int i = 1; i < table_symbols; ++i) found += slot > below[i];
            const LaneTables::Symbol &entry = tables.entries[std::size_t(context) * table_symbols + std::size_t(found)];
            symbol[lane] = found;
            bits[lane] = live ? split_bits(magnitude_class) : 0;
            x = entry.frequency * (x >> table_bits) + std::uint32_t(slot) - entry.start;
            refill(band, lane);
        }
        std::int32_t levels[lanes];
        for (int lane = 0; lane < lanes; ++lane) {
            const std::uint32_t low = band.state[lane] & ((1u << bits[lane]) - 1);
            band.state[lane] >>= bits[lane];
            refill(band, lane);
            levels[lane] = join_level(symbol[lane], low, bits[lane]);
        }
        std::int32_t sum = 0;
        for (int lane = 0; lane < lanes; ++lane) {
            if (symbol[lane] == escape_symbol) levels[lane] = band.escapes->code(*band.coder, 0, bits[lane]);
            if (contexts.lean[lane] < 0) levels[lane] = -levels[lane];
            const int state = band.trellis_state[lane];
            if (band.weights) {
                const std::int32_t magnitude = std::abs(levels[lane]);
                const std::int32_t index = band.trellis && magnitude ? 2 * magnitude - trellis_quantiser(state) : magnitude;
                const float value = (float(index) - band.shifts[std::min(index, shift_count + 1)]) * band.step[lane];
                *band.weights++ = levels[lane] < 0 ? -value : value;
            }
            if (band.levels) *band.levels++ = levels[lane];
            if (band.trellis) band.trellis_state[lane] = band.transitions[state][levels[lane] & 1];
            walk.levels(c)[lane] = std::clamp(levels[lane], -magnitude_cap, magnitude_cap);
            sum += std::abs(walk.levels(c)[lane]);
        }
        *band.sums++ = sum;
    }
    return last;
}

const std::vector<BandPath> &band_paths() {
    static const std::vector<BandPath> paths = find_paths();
    return paths;
}

}  // namespace demitasse
