// The small-tensor coder: adaptive binary contexts, logistic mixing, no tables in the stream.
#pragma once

#include <cstdint>
#include <vector>

#include "demitasse/levels.hpp"

namespace demitasse {

// Appends to out.
void encode_mixing(const std::vector<LevelTensor> &tensors, std::vector<std::uint8_t> &out);
// Without vectors: on the path that every machine has, for tests.
void decode_mixing(const std::uint8_t *data, std::size_t size, const std::vector<Layout> &layouts,
                   const std::vector<std::int32_t *> &outputs, bool vectors);

}  // namespace demitasse
