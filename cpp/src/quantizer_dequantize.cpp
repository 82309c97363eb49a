#include <algorithm>
#include <cstdint>
#include <cstring>

#include "demitasse/quantizer.hpp"
#include "quantizer_steps.hpp"

namespace demitasse {

namespace {

constexpr std::size_t part = 512;  // columns whose quantisers are found before they become weights

// Transitions as nibbles of one number, so that the chain from state to state stays in registers.
constexpr std::uint64_t packed_transitions() {
    std::uint64_t out = 0;
    for (int state = 0; state < trellis_states; ++state)
        for (int parity = 0; parity < 2; ++parity)
            out |= std::uint64_t(trellis_transitions[state][parity]) << (8 * state + 4 * parity);
    return out;
}

// The quantiser that each level was read on; returns the state after the last.
int find_quantisers(const std::int32_t *levels, std::size_t count, int state, bool wide, std::int32_t *quantisers) {
    if (wide) {
        for (std::size_t i = 0; i < count; ++i) {
            quantisers[i] = trellis_quantiser(state);
            state = wide_transitions.next[state][levels[i] & 1];
        }
        return state;
    }
    constexpr std::uint64_t transitions = packed_transitions();
    for (std::size_t i = 0; i < count; ++i) {
        quantisers[i] = trellis_quantiser(state);
        state = int(transitions >> (8 * state + 4 * (levels[i] & 1))) & 7;
    }
    return state;
}

#ifdef DEMITASSE_AVX2
#define DEMITASSE_INLINE inline __attribute__((always_inline))
#else
#define DEMITASSE_INLINE inline
#endif

// Inlined into functions for different instruction sets: none fuses operations, so all give the same bits.
DEMITASSE_INLINE void reconstruct_with(const std::int32_t *levels, const std::int32_t *quantisers, std::size_t count,
                                       std::uint32_t scale, float step, const float (&shifts)[shift_count], float *out) {
    // Selections are masks of bits: compilers make vectors of these, and not of conditions on floats.
    std::uint32_t shift_bits[shift_count];
    std::memcpy(shift_bits, shifts, sizeof shift_bits);
    for (std::size_t i = 0; i < count; ++i) {
        const auto bits = std::uint32_t(levels[i]);  // unsigned, so that every int32 has a magnitude
        const std::uint32_t negative = 0u - (bits >> 31), magnitude = (bits ^ negative) - negative;
        const std::uint32_t index = scale * magnitude - std::uint32_t(quantisers[i]);
        std::uint32_t chosen = 0;
        for (std::uint32_t k = 0; k < shift_count; ++k) chosen |= shift_bits[k] & (0u - std::uint32_t(index == k + 1));
        float shift;
        std::memcpy(&shift, &chosen, sizeof shift);
        const float value = (float(std::int32_t(index)) - shift) * step;
        std::uint32_t value_bits;
        std::memcpy(&value_bits, &value, sizeof value_bits);
        value_bits = (value_bits ^ (negative & 0x80000000u)) & (0u - std::uint32_t(magnitude != 0));
        std::memcpy(&out[i], &value_bits, sizeof value_bits);
    }
}

#ifdef DEMITASSE_AVX2
__attribute__((target("avx2"))) void reconstruct_avx2(const std::int32_t *levels, const std::int32_t *quantisers, std::size_t count,
                                                      std::uint32_t scale, float step, const float (&shifts)[shift_count], float *out) {
    reconstruct_with(levels, quantisers, count, scale, step, shifts, out);
}
#endif

void reconstruct(const std::int32_t *levels, const std::int32_t *quantisers, std::size_t count, std::uint32_t scale, float step,
                 const float (&shifts)[shift_count], float *out) {
#ifdef DEMITASSE_AVX2
    if (has_avx2()) return reconstruct_avx2(levels, quantisers, count, scale, step, shifts, out);
#endif
    reconstruct_with(levels, quantisers, count, scale, step, shifts, out);
}

}  // namespace

void dequantize(const std::int32_t *levels, std::size_t rows, std::size_t columns, int trellis,
                const Reconstruction &reconstruction, float *out) {
    std::int32_t quantisers[part] = {};
    for (std::size_t row = 0; row < rows; ++row) {
        const float step = reconstruction.steps[reconstruction.step_per_row ? row : 0];
        int state = 0;
        for (std::size_t from = 0; from < columns; from += part) {
            const std::size_t count = std::min(part, columns - from);
            if (trellis) state = find_quantisers(levels, count, state, trellis == wide_states, quantisers);
            reconstruct(levels, quantisers, count, trellis ? 2u : 1u, step, reconstruction.shifts, out);
            levels += count;
            out += count;
        }
    }
}

}  // namespace demitasse
