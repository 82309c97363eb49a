// What the encoder tells the decoder of a lossless stream before the data: alphabet, tables, classes of rows and columns.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "demitasse/lossless.hpp"

namespace demitasse::lossless {

constexpr int probability_bits = 12;
constexpr std::uint32_t probability_one = 1u << probability_bits;
constexpr int classes = 64;             // of magnitude, a quarter octave each
constexpr int column_classes = 32;      // what a column adds to its row's class, -16..15
constexpr std::size_t max_tables = 16;
constexpr std::size_t max_symbols = 256;
constexpr std::size_t most_lanes = 32;
constexpr std::uint32_t lower_bound = 1u << 16;  // of a lane's state

// Few elements use one lane: each costs four bytes.
constexpr std::size_t lanes_for(std::size_t elements) { return elements < (1 << 14) ? 1 : most_lanes; }

// Bits of an element, from the top: sign, exponent, mantissa. All zero for bytes, whose symbol is the byte.
struct Fields {
    int width, exponent;

    static Fields of(Element element) {
        switch (element) {
            case Element::float32: return {32, 8};
            case Element::float64: return {64, 11};
            case Element::float16: return {16, 5};
            default: return {8, 7};
        }
    }
};

// How an element splits into a symbol and raw bits. The key is the sign (if with_sign), the exponent and the first
// bit of the mantissa; +0 and -0 have keys of their own. Keys that occur are numbered in ascending order: that is the
// symbol. If there are more than 256, the rarer ones share the last symbol, an escape, and are raw as a whole.
struct Alphabet {
    bool with_sign = false;
    int dropped = 0;  // low bits of the mantissa that are zero throughout
    std::vector<std::uint32_t> keys;
    bool escape = false;

    std::size_t symbols() const { return keys.size() + escape; }
};

constexpr int key_bits(Fields fields, bool with_sign) { return fields.width == 8 ? 8 : fields.exponent + 1 + with_sign; }
constexpr std::uint32_t key_count(Fields fields, bool with_sign) { return (1u << key_bits(fields, with_sign)) + 2; }
// Bits below the key (the sign not counted), before low zeros are dropped.
constexpr int rest_bits(Fields fields) { return fields.width == 8 ? 0 : fields.width - 2 - fields.exponent; }

// A matrix as the coder sees it: a column is a row, and narrow rows are one long row.
struct Shape {
    std::size_t rows, columns;

    static Shape of(std::size_t rows, std::size_t columns, Element element) {
        if (rows == 0 || columns == 0) return {0, 0};
        if (columns == 1 || (columns < 8 && element != Element::byte)) return {1, rows * columns};
        return {rows, columns};
    }
};

// The class of an element is that of its row plus that of its column, clamped to 0..63.
struct Classes {
    std::vector<std::uint8_t> rows;    // 0..63
    std::vector<std::int8_t> columns;  // -16..15; empty where all are 0
};

struct Model {
    Alphabet alphabet;
    std::array<std::uint8_t, classes> table{};                   // of each class
    std::vector<std::array<std::uint16_t, max_symbols>> counts;  // of each table, of 4096
    std::vector<Classes> matrices;
};

// Writes or reads a model, whose matrices' shapes are known; Coder is BinaryEncoder or BinaryDecoder.
template <class Coder>
void code_model(Coder &coder, Fields fields, const std::vector<Shape> &shapes, Model &model);

}  // namespace demitasse::lossless
