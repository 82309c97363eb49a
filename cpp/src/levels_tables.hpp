// The big-tensor coder: static tables by context, eight interleaved rANS lanes, one a row of a band.
#pragma once

#include <cstdint>
#include <vector>

#include "demitasse/levels.hpp"

namespace demitasse {

// Appends to out.
void encode_tables(const LevelTensor &tensor, std::vector<std::uint8_t> &out);
void decode_tables(const std::uint8_t *data, std::size_t size, const Layout &layout, std::int32_t *output);

}  // namespace demitasse
