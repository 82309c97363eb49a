#include "lossless_vector.hpp"

#ifdef DEMITASSE_X86

#include <immintrin.h>

#include "lossless_model.hpp"

#define DEMITASSE_TARGET __attribute__((target("avx2,popcnt")))

namespace demitasse::lossless {
namespace {

constexpr std::size_t vectors = most_lanes / 8;

// Where each lane that needs a word finds it among the next eight: [mask of the lanes][lane].
struct WordPlaces {
    std::uint8_t place[256][8] = {};
    constexpr WordPlaces() {
        for (int mask = 0; mask < 256; ++mask) {
            int next = 0;
            for (int lane = 0; lane < 8; ++lane) place[mask][lane] = std::uint8_t(mask >> lane & 1 ? next++ : 0);
        }
    }
};
constexpr WordPlaces places;

DEMITASSE_TARGET inline __m256i words_at(const void *from) {
    return _mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i *>(from)));
}
DEMITASSE_TARGET inline __m256i bytes_at(const void *from) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i *>(from)));
}

// One step of eight lanes: their symbols.
DEMITASSE_TARGET inline __m256i step(__m256i &x, const std::uint8_t *&next, const std::uint32_t *tables, const std::uint8_t *which) {
    const __m256i twelve = _mm256_set1_epi32(0xFFF);
    const __m256i at = _mm256_or_si256(_mm256_slli_epi32(bytes_at(which), probability_bits), _mm256_and_si256(x, twelve));
    const __m256i entry = _mm256_i32gather_epi32(reinterpret_cast<const int *>(tables), at, 4);
    const __m256i count = _mm256_add_epi32(_mm256_and_si256(entry, twelve), _mm256_set1_epi32(1));
    const __m256i place = _mm256_and_si256(_mm256_srli_epi32(entry, 12), twelve);
    x = _mm256_add_epi32(_mm256_mullo_epi32(count, _mm256_srli_epi32(x, probability_bits)), place);
    const __m256i low = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256());
    const unsigned mask = unsigned(_mm256_movemask_ps(_mm256_castsi256_ps(low)));
    const __m256i words = _mm256_permutevar8x32_epi32(words_at(next), bytes_at(places.place[mask]));
    x = _mm256_blendv_epi8(x, _mm256_or_si256(_mm256_slli_epi32(x, 16), words), low);
    next += 2 * __builtin_popcount(mask);
    return _mm256_srli_epi32(entry, 24);
}

}  // namespace

DEMITASSE_TARGET std::size_t decode_lanes_avx2(std::uint32_t *states, const std::uint8_t *&next, const std::uint8_t *end,
                                               const std::uint32_t *tables, const std::uint8_t *which, std::size_t count,
                                               std::uint8_t *symbols) {
    __m256i x[vectors], symbol[vectors];
    for (std::size_t v = 0; v < vectors; ++v) x[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(states) + v);
    const std::uint8_t *from = next;
    std::size_t i = 0;
    for (; i + most_lanes <= count && std::size_t(end - from) >= 2 * most_lanes; i += most_lanes) {
        for (std::size_t v = 0; v < vectors; ++v) symbol[v] = step(x[v], from, tables, which + i + 8 * v);
        const __m256i packed = _mm256_packus_epi16(_mm256_packus_epi32(symbol[0], symbol[1]), _mm256_packus_epi32(symbol[2], symbol[3]));
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(symbols + i),
                            _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
    }
    for (std::size_t v = 0; v < vectors; ++v) _mm256_storeu_si256(reinterpret_cast<__m256i *>(states) + v, x[v]);
    next = from;
    return i;
}

// Eight elements take a whole number of bytes, so that each stands at the same place among its eight's bytes throughout.
DEMITASSE_TARGET std::size_t restore_avx2(const RawLayout &layout, const std::uint8_t *bits, const std::uint8_t *end, int phase,
                                          const std::uint8_t *symbols, std::size_t count, std::uint32_t *out) {
    const int middle = (phase + 4 * layout.raw) >> 3;
    alignas(32) std::uint8_t byte[32];
    alignas(32) std::int32_t shift[8];
    for (int i = 0; i < 8; ++i) {
        const int bit = phase + i * layout.raw;
        for (int b = 0; b < 4; ++b) byte[4 * i + b] = std::uint8_t((bit >> 3) - (i < 4 ? 0 : middle) + b);
        shift[i] = bit & 7;
    }
    const __m256i order = _mm256_load_si256(reinterpret_cast<const __m256i *>(byte));
    const __m256i shifts = _mm256_load_si256(reinterpret_cast<const __m256i *>(shift));
    const __m256i rest_mask = _mm256_set1_epi32(std::int32_t((1u << layout.rest) - 1));
    const __m256i sign_mask = _mm256_set1_epi32(layout.raw > layout.rest ? std::int32_t(1u << 31) : 0);
    const __m128i above = _mm_cvtsi32_si128(layout.dropped), to_sign = _mm_cvtsi32_si128(31 - layout.rest);
    const auto *fixed = reinterpret_cast<const int *>(layout.fixed);
    std::size_t i = 0;
    for (; i + 8 <= count && end - bits >= middle + 16; i += 8, bits += layout.raw) {
        const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i *>(bits))),
                                                     _mm_loadu_si128(reinterpret_cast<const __m128i *>(bits + middle)), 1);
        const __m256i raw = _mm256_srlv_epi32(_mm256_shuffle_epi8(both, order), shifts);
        const __m256i rest = _mm256_sll_epi32(_mm256_and_si256(raw, rest_mask), above);
        const __m256i sign = _mm256_and_si256(_mm256_sll_epi32(raw, to_sign), sign_mask);
        const __m256i key = _mm256_i32gather_epi32(fixed, bytes_at(symbols + i), 4);
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(out + i), _mm256_or_si256(key, _mm256_or_si256(rest, sign)));
    }
    return i;
}

}  // namespace demitasse::lossless

#endif
