// Lossless coding of arrays of float32, float64, float16 and bytes. docs/format.md describes the stream.
//
// What can be compressed in trained weights is their magnitude: the exponent and the first bit of the mantissa, which
// depend on the row and the column. The rest of the mantissa is noise and is stored as it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace demitasse {

// A stream that cannot have been written by encode_lossless for these arrays.
class LosslessError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

enum class Element : std::uint8_t { float32, float64, float16, byte };

constexpr std::size_t element_size(Element element) {
    return element == Element::float32 ? 4 : element == Element::float64 ? 8 : element == Element::float16 ? 2 : 1;
}

// Rows of columns in C order; aligned to the element's size.
template <class Pointer>
struct Matrix {
    Pointer data;
    std::size_t rows, columns;
};
using ConstMatrix = Matrix<const void *>;
using MutableMatrix = Matrix<void *>;

std::vector<std::uint8_t> encode_lossless(Element element, const std::vector<ConstMatrix> &matrices);

// Fills the matrices, bit for bit. Throws LosslessError; reads nothing outside data, whatever it holds.
void decode_lossless(Element element, const std::uint8_t *data, std::size_t size,
                     const std::vector<MutableMatrix> &matrices);

// The distinct ones of count 32-bit values, aligned or not, sorted; empty if there are more than limit.
std::vector<std::uint32_t> distinct_values(const std::uint8_t *values, std::size_t count, std::size_t limit);

}  // namespace demitasse
