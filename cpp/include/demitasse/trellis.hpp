// The trellis of dependent quantisation: which of two quantisers a level indexes, and what it stands for.
//
// An even state reads its level on the quantiser Q0, whose points are the even multiples of the step; an odd state on
// Q1: zero and the odd multiples. The parity of the level leads to the next state. A row (output channel) starts in
// state 0, so rows are independent of each other. There are two machines: one of eight states, as in ISO/IEC 15938-17
// (and, with four, in H.266), and a wide one of 256, Ungerboeck's code for amplitude modulation (1987), which takes
// about 0.04 bits a weight less for the same error, and longer to search.
#pragma once

#include <cstdint>

namespace demitasse {

constexpr int trellis_states = 8, wide_states = 256;

using Transitions = std::uint8_t[2];  // by parity of the level

constexpr Transitions trellis_transitions[trellis_states] = {{0, 2}, {5, 7}, {1, 3}, {6, 4},
                                                                 {2, 0}, {4, 6}, {3, 1}, {7, 5}};

struct WideTransitions {
    Transitions next[wide_states] = {};
    constexpr WideTransitions() {
        for (int state = 0; state < wide_states; ++state)
            for (int parity = 0; parity < 2; ++parity)
                next[state][parity] = std::uint8_t((state ^ (state & 1 ? 0515 : 0) ^ (parity ? 0362 : 0)) >> 1);
    }
};
inline constexpr WideTransitions wide_transitions;

// Of the machine with so many states.
inline const Transitions *transitions_of(int states) {
    return states == wide_states ? wide_transitions.next : trellis_transitions;
}

// 0: Q0, 1: Q1.
constexpr int trellis_quantiser(int state) { return state & 1; }

// Of the machine of eight states.
constexpr int trellis_next(int state, std::int32_t level) { return trellis_transitions[state][level & 1]; }

// The multiple of the step that a level stands for, before shifts: 0; else 2|level| - quantiser with the level's sign.
constexpr std::int32_t trellis_index(int quantiser, std::int32_t level) {
    return 2 * level + (level < 0 ? quantiser : level > 0 ? -quantiser : 0);
}

}  // namespace demitasse
