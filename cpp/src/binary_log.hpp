// Logarithms of whole numbers, in integer arithmetic: what the encoders decide is the same with every library.
#pragma once

#include <cstdint>

namespace demitasse {

constexpr int log_bits = 16;

// Binary logarithm of x > 0 in 1/65536, rounded down: squaring the mantissa gives one bit after another.
constexpr std::int64_t binary_log(std::uint64_t x) {
    int exponent = 63;
    while (x >> exponent == 0) --exponent;
    std::uint64_t mantissa = x << (63 - exponent) >> 32;  // in [2^31, 2^32)
    std::int64_t out = exponent;
    for (int i = 0; i < log_bits; ++i) {
        mantissa = mantissa * mantissa >> 31;
        const bool carry = mantissa >> 32;
        mantissa >>= carry;
        out = 2 * out + carry;
    }
    return out;
}

constexpr float log_unit = 1.0f / (1 << log_bits);

}  // namespace demitasse
