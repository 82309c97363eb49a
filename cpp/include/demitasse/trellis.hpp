// The trellis of dependent quantisation: which of two quantisers a level indexes, and what it stands for.
//
// Eight states, as in ISO/IEC 15938-17 (and, with four, in H.266). An even state reads its level on the quantiser Q0,
// whose points are the even multiples of the step; an odd state on Q1: zero and the odd multiples. The parity of the
// level leads to the next state. A row (output channel) starts in state 0, so rows are independent of each other.
#pragma once

#include <cstdint>

namespace demitasse {

constexpr int trellis_states = 8;

// [state][parity of the level]
constexpr std::uint8_t trellis_transitions[trellis_states][2] = {{0, 2}, {5, 7}, {1, 3}, {6, 4},
                                                                 {2, 0}, {4, 6}, {3, 1}, {7, 5}};

// 0: Q0, 1: Q1.
constexpr int trellis_quantiser(int state) { return state & 1; }

constexpr int trellis_next(int state, std::int32_t level) { return trellis_transitions[state][level & 1]; }

// The multiple of the step that a level stands for, before shifts: 0; else 2|level| - quantiser with the level's sign.
constexpr std::int32_t trellis_index(int quantiser, std::int32_t level) {
    return 2 * level + (level < 0 ? quantiser : level > 0 ? -quantiser : 0);
}

}  // namespace demitasse
