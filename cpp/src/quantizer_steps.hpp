// What the searches of the trellis share: who leads to whom, and how costs are kept.
#pragma once

#include <algorithm>
#include <cstdint>

#include "demitasse/trellis.hpp"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define DEMITASSE_AVX2 1
#include <immintrin.h>
#endif

namespace demitasse {

constexpr std::int32_t unreachable = 1 << 29;
constexpr std::size_t stretch = 32;  // columns between two subtractions of the least cost, so that no sum overflows

// The state that leads to each state by an even and by an odd level. Those of states 0 to 3 are even, the others odd.
constexpr int before_even[trellis_states] = {0, 2, 4, 6, 5, 1, 3, 7};
constexpr int before_odd[trellis_states] = {4, 6, 0, 2, 3, 7, 5, 1};

constexpr bool transitions_agree() {
    for (int state = 0; state < trellis_states; ++state) {
        if (trellis_next(before_even[state], 0) != state || trellis_next(before_odd[state], 1) != state) return false;
        if (trellis_quantiser(before_even[state]) != state / 4 || trellis_quantiser(before_odd[state]) != state / 4) return false;
    }
    return true;
}
static_assert(transitions_agree(), "the tables of predecessors are those of the trellis");

inline int cheapest(const std::int32_t (&cost)[trellis_states]) {
    return int(std::min_element(cost, cost + trellis_states) - cost);
}

#ifdef DEMITASSE_AVX2

inline bool has_avx2() {
    static const bool value = __builtin_cpu_supports("avx2");
    return value;
}

__attribute__((target("avx2"))) inline __m256i less_the_least(__m256i cost) {
    __m128i least = _mm_min_epi32(_mm256_castsi256_si128(cost), _mm256_extracti128_si256(cost, 1));
    least = _mm_min_epi32(least, _mm_shuffle_epi32(least, 0x4e));
    least = _mm_min_epi32(least, _mm_shuffle_epi32(least, 0xb1));
    return _mm256_sub_epi32(cost, _mm256_broadcastd_epi32(least));
}

#endif

}  // namespace demitasse
