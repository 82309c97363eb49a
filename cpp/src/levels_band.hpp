// One band of eight rows, decoded column by column: the plain path and the vector paths do the same, bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "levels_context.hpp"
#include "levels_statistics.hpp"

namespace demitasse {

// What the decoder looks up, by context (the last one is that of rows that are all zero).
struct LaneTables {
    std::vector<std::int16_t> below;    // [context][16]: start of each symbol less one
    std::vector<std::uint32_t> packed;  // [context][16]: start, and frequency in the upper half
};

struct BandDecoder {
    // The band.
    BandWalk *walk;
    std::uint8_t scale[lanes];
    bool trellis;
    std::int32_t trellis_state[lanes];
    const LaneTables *tables;

    // The lanes.
    std::uint32_t state[lanes];
    const std::uint8_t *next, *end;

    // Escaped levels come from elsewhere, in coding order.
    std::int32_t (*escape)(void *source, int bits);
    void *escape_source;

    // Weights, besides levels, if wanted: columns x lanes.
    float *weights;
    float step[lanes];
    float shifts[8];  // of magnitudes 0..4 and beyond
};

constexpr std::uint32_t lane_low = 1u << 16;  // a lane's state lies in [2^16, 2^32)

// Decodes columns from first on; returns the first one not decoded. The plain path goes to the end or throws; the
// others stop where fewer than 32 bytes of input are left.
std::size_t decode_band_plain(BandDecoder &band, std::size_t first);

using DecodeBand = std::size_t (*)(BandDecoder &, std::size_t);

// The vector paths that this machine can run, fastest first; the plain one is last.
struct BandPath {
    const char *name;
    DecodeBand decode;
};
const std::vector<BandPath> &band_paths();

}  // namespace demitasse
