// What the encoder of lossless streams decides by counting: classes of rows and columns, tables, how to split numbers.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "lossless_model.hpp"

namespace demitasse::lossless {

// log2 in 1/65536, by integer arithmetic: encoders on all machines decide alike. 0 for 0.
std::uint32_t log2_fixed(std::uint64_t x);

// Bits (in 1/65536) that counts cost under their own distribution.
std::uint64_t entropy(const std::uint32_t *counts, std::size_t size);

// Magnitude of an element in half octaves (exponent and first bit of the mantissa); -1 for zeros.
std::vector<std::int16_t> magnitudes(Element element, const ConstMatrix &matrix);

// The classes of every matrix's rows, and of its columns where they pay for themselves.
std::vector<Classes> find_classes(Element element, const std::vector<ConstMatrix> &matrices,
                                  const std::vector<Shape> &shapes);

// counts[class][symbol] to at most max_tables tables: neighbouring classes share one where that costs less.
void find_tables(std::vector<std::array<std::uint32_t, max_symbols>> &counts, std::size_t symbols, Model &model);

}  // namespace demitasse::lossless
