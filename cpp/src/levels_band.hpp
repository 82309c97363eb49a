// One band of eight rows, decoded column by column: the plain path and the vector paths do the same, bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "demitasse/trellis.hpp"
#include "levels_context.hpp"
#include "levels_side.hpp"
#include "levels_statistics.hpp"

namespace demitasse {

// What the decoder looks up, by context (the last one is that of rows that are all zero).
struct LaneTables {
    struct Symbol {
        std::uint16_t start, frequency;
        std::uint32_t symbol;
    };
    std::vector<std::int16_t> below;  // [context][16]: start of each symbol less one
    std::vector<Symbol> entries;      // [context][16]
};

// A combination's weights, two and two in 32 bits.
struct PackedWeights {
    explicit PackedWeights(const Combination &from);
    std::int32_t near_weights, far_weights, near_lean, far_lean;
};

struct BandDecoder {
    // The band.
    BandWalk *walk;
    std::vector<PackedWeights> place_weights;  // by kernel position
    std::uint8_t scale[lanes];
    bool trellis;
    const Transitions *transitions;  // the vector paths know those of eight states alone
    std::int32_t trellis_state[lanes];
    const LaneTables *tables;

    // The lanes.
    std::uint32_t state[lanes];
    const std::uint8_t *next, *end;

    // Escaped levels come from elsewhere, in coding order.
    EscapeModel *escapes;
    BinaryDecoder *coder;

    // Where the next column's go, levels and weights if they are wanted. The walk and the sum of magnitudes have levels
    // up to magnitude_cap.
    std::int32_t *sums;
    std::int32_t *levels;
    float *weights;
    float step[lanes];
    float shifts[shift_count + 2];  // of indices 0, 1, ... and beyond
};

constexpr std::uint32_t lane_low = 1u << 16;  // a lane's state lies in [2^16, 2^32)

// Decodes columns from first to last (not included); returns the first one not decoded. The plain path goes to the last
// or throws; the others stop where fewer than 32 bytes of input are left.
std::size_t decode_band_plain(BandDecoder &band, std::size_t first, std::size_t last);

using DecodeBand = std::size_t (*)(BandDecoder &, std::size_t first, std::size_t last);

// The vector paths that this machine can run, fastest first; the plain one is last.
struct BandPath {
    const char *name;
    DecodeBand decode;
};
const std::vector<BandPath> &band_paths();

}  // namespace demitasse
