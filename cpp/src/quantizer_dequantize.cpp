#include <algorithm>
#include <cstdint>

#include "demitasse/quantizer.hpp"
#include "demitasse/trellis.hpp"

namespace demitasse {

namespace {

constexpr std::size_t stretch = 512;  // columns whose quantisers are found before they become weights

// Transitions as nibbles of one number, so that the chain from state to state stays in registers.
constexpr std::uint64_t packed_transitions() {
    std::uint64_t out = 0;
    for (int state = 0; state < trellis_states; ++state)
        for (int parity = 0; parity < 2; ++parity)
            out |= std::uint64_t(trellis_transitions[state][parity]) << (8 * state + 4 * parity);
    return out;
}

// The quantiser that each level was read on; returns the state after the last.
int find_quantisers(const std::int32_t *levels, std::size_t count, int state, std::int32_t *quantisers) {
    constexpr std::uint64_t transitions = packed_transitions();
    for (std::size_t i = 0; i < count; ++i) {
        quantisers[i] = trellis_quantiser(state);
        state = int(transitions >> (8 * state + 4 * (levels[i] & 1))) & 7;
    }
    return state;
}

void reconstruct(const std::int32_t *levels, const std::int32_t *quantisers, std::size_t count, std::uint32_t scale, float step,
                 const float (&shifts)[3], float *out) {
    const float first = shifts[0], second = shifts[1], third = shifts[2];
    for (std::size_t i = 0; i < count; ++i) {
        const auto bits = std::uint32_t(levels[i]);  // unsigned, so that every int32 has a magnitude
        const std::uint32_t magnitude = levels[i] < 0 ? 0u - bits : bits;
        const float shift = magnitude == 1 ? first : magnitude == 2 ? second : magnitude == 3 ? third : 0.0f;
        const float value = (float(std::int32_t(scale * magnitude - std::uint32_t(quantisers[i]))) - shift) * step;
        out[i] = magnitude == 0 ? 0.0f : levels[i] < 0 ? -value : value;
    }
}

}  // namespace

void dequantize(const std::int32_t *levels, std::size_t rows, std::size_t columns, bool trellis,
                const Reconstruction &reconstruction, float *out) {
    std::int32_t quantisers[stretch] = {};
    for (std::size_t row = 0; row < rows; ++row) {
        const float step = reconstruction.steps[reconstruction.step_per_row ? row : 0];
        int state = 0;
        for (std::size_t from = 0; from < columns; from += stretch) {
            const std::size_t count = std::min(stretch, columns - from);
            if (trellis) state = find_quantisers(levels, count, state, quantisers);
            reconstruct(levels, quantisers, count, trellis ? 2u : 1u, step, reconstruction.shifts, out);
            levels += count;
            out += count;
        }
    }
}

}  // namespace demitasse
