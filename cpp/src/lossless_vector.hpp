// The vector paths of the decoder of floats, for x86 with AVX2. They do what the plain ones do, bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define DEMITASSE_X86 1

namespace demitasse::lossless {

inline bool has_avx2() {
    static const bool value = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt");
    return value;
}

// As decode_lanes_plain.
std::size_t decode_lanes_avx2(std::uint32_t *states, const std::uint8_t *&next, const std::uint8_t *end,
                              const std::uint32_t *tables, const std::uint8_t *which, std::size_t count, std::uint8_t *symbols);

// How the raw bits of elements of 32 bits go into them: those of rest above the dropped ones; then, if signs are raw,
// the sign. fixed[symbol] is all else.
struct RawLayout {
    const std::uint32_t *fixed;
    int raw, rest, dropped;  // raw <= 25
};

// Eight elements at a time, as many as fit into count and into the bytes from bits on, of which the first `phase` bits
// belong to others; how many those were.
std::size_t restore_avx2(const RawLayout &layout, const std::uint8_t *bits, const std::uint8_t *end, int phase,
                         const std::uint8_t *symbols, std::size_t count, std::uint32_t *out);

}  // namespace demitasse::lossless

#endif
