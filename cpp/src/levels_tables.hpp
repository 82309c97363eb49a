// The big-tensor coder: static tables by context, eight interleaved rANS lanes, one a row of a band.
#pragma once

#include <cstdint>
#include <vector>

#include "demitasse/levels.hpp"
#include "levels_band.hpp"

namespace demitasse {

// Appends to out.
void encode_tables(const std::vector<LevelTensor> &tensors, std::vector<std::uint8_t> &out);
// Where a tensor goes: levels, or weights, whichever is not null.
struct TableOutput {
    std::int32_t *levels;
    float *weights;
    Reconstruction how;
    DecodeBand path;
};

void decode_tables(const std::uint8_t *data, std::size_t size, const std::vector<Layout> &layouts,
                   const std::vector<TableOutput> &outputs);

}  // namespace demitasse
