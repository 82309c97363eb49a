#include "levels_band_vector.hpp"

#ifdef DEMITASSE_X86

#include <immintrin.h>

#include <cstdlib>

#include "demitasse/trellis.hpp"

#define DEMITASSE_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi,bmi2,lzcnt,popcnt")))

namespace demitasse {

namespace {

// Where each lane that needs a word finds it among the next eight: [mask of the lanes][lane].
struct WordPlaces {
    std::uint8_t place[256][8];
    WordPlaces() {
        for (int mask = 0; mask < 256; ++mask) {
            int next = 0;
            for (int lane = 0; lane < 8; ++lane) place[mask][lane] = std::uint8_t(mask >> lane & 1 ? next++ : 0);
        }
    }
};

const WordPlaces places;

// Gives a word to each lane below its range.
DEMITASSE_TARGET inline __m256i refill(__m256i x, const std::uint8_t *&next) {
    const __m256i low = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256());
    const unsigned mask = unsigned(_mm256_movemask_ps(_mm256_castsi256_ps(low)));
    const __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(next)));
    const __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(places.place[mask])));
    const __m256i more = _mm256_or_si256(_mm256_slli_epi32(x, 16), _mm256_permutevar8x32_epi32(words, order));
    next += 2 * __builtin_popcount(mask);
    return _mm256_blendv_epi8(x, more, low);
}

// Two magnitudes or levels of at most 15 bits and a sign, side by side for madd.
DEMITASSE_TARGET inline __m256i pair(__m256i a, __m256i b) {
    return _mm256_blend_epi16(a, _mm256_slli_epi32(b, 16), 0xaa);
}

DEMITASSE_TARGET inline __m256i cap(__m256i level) {
    return _mm256_max_epi32(_mm256_min_epi32(level, _mm256_set1_epi32(magnitude_cap)), _mm256_set1_epi32(-magnitude_cap));
}

// A combination's weights, two and two for madd.
struct PlaceWeights {
    std::int32_t near_weights, far_weights, near_lean, far_lean;
};

std::int32_t pack(std::int32_t a, std::int32_t b) {
    return std::int32_t((std::uint32_t(a) & 0xffff) | std::uint32_t(b) << 16);
}

PlaceWeights pack(const Combination &from) {
    return {pack(from.neighbour[0], from.neighbour[1]), pack(from.neighbour[2], from.neighbour[3]),
            pack(from.lean[0], from.lean[1]), pack(from.lean[2], from.lean[3])};
}

// How many of a table's starts lie below a slot, as 16 masks of 16 bits.
DEMITASSE_TARGET inline __m256i below(const std::int16_t *tables, std::uint32_t context, std::uint32_t slot) {
    const __m256i row = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(tables + std::size_t(context) * table_symbols));
    return _mm256_cmpgt_epi16(_mm256_set1_epi16(std::int16_t(slot)), row);
}

DEMITASSE_TARGET inline __m256i count_pair(__m256i a, __m256i b) {
    const __m256i bytes = _mm256_sub_epi8(_mm256_setzero_si256(), _mm256_packs_epi16(a, b));
    return _mm256_sad_epu8(bytes, _mm256_setzero_si256());
}

}  // namespace

DEMITASSE_TARGET std::size_t decode_band_avx512(BandDecoder &band, std::size_t first) {
    BandWalk &walk = *band.walk;
    const std::size_t columns = walk.columns(), kernel = walk.kernel();
    const std::int16_t *rows = band.tables->below.data();
    const int *packed = reinterpret_cast<const int *>(band.tables->packed.data());
    const std::int32_t *factors = walk.column_factors();
    const __m256i zero = _mm256_setzero_si256(), one = _mm256_set1_epi32(1);
    std::vector<PlaceWeights> place_weights;
    for (std::size_t k = 0; k < kernel; ++k) place_weights.push_back(pack(walk.combination(k)));
    const __m256i mantissa = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(walk.scale_mantissas()));
    const __m256i shift = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(walk.scale_shifts()));
    const __m256i live = _mm256_cmpgt_epi32(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(band.scale))), zero);
    alignas(32) std::int32_t next_even[8], next_odd[8], quantiser_of[8];
    for (int state = 0; state < 8; ++state) {
        next_even[state] = trellis_next(state, 0);
        next_odd[state] = trellis_next(state, 1);
        quantiser_of[state] = trellis_quantiser(state);
    }
    const __m256i even = _mm256_load_si256(reinterpret_cast<const __m256i *>(next_even));
    const __m256i odd = _mm256_load_si256(reinterpret_cast<const __m256i *>(next_odd));
    const __m256i quantisers = _mm256_load_si256(reinterpret_cast<const __m256i *>(quantiser_of));
    const __m256 shifts = _mm256_loadu_ps(band.shifts), steps = _mm256_loadu_ps(band.step);
    const bool trellis = band.trellis;
    float *const out = band.weights;

    __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(band.state));
    __m256i trellis_state = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(band.trellis_state));
    const std::uint8_t *next = band.next;
    std::int32_t *here = walk.levels(first);
    __m256i left = cap(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(here - lanes)));
    __m256i left2 = cap(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(here - 2 * lanes)));
    std::size_t position = first % kernel, c = first;
    for (; c < columns && band.end - next >= 32; ++c, here += lanes) {
        const BandWalk::Distances &at = walk.distances(position);
        const PlaceWeights &weights = place_weights[position];
        if (++position == kernel) position = 0;
        const __m256i up = cap(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(here - at.up * lanes)));
        const __m256i before = cap(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(here - at.before * lanes)));
        const __m256i near = pair(left, left2), far = pair(up, before);
        const __m256i column = _mm256_srlv_epi32(_mm256_madd_epi16(_mm256_set1_epi32(factors[c]), mantissa), shift);
        __m256i expected = _mm256_add_epi32(_mm256_madd_epi16(_mm256_abs_epi16(near), _mm256_set1_epi32(weights.near_weights)),
                                            _mm256_madd_epi16(_mm256_abs_epi16(far), _mm256_set1_epi32(weights.far_weights)));
        expected = _mm256_add_epi32(expected, column);
        expected = _mm256_max_epi32(_mm256_min_epi32(expected, _mm256_set1_epi32((1 << 24) - 1)), _mm256_set1_epi32(16));
        // Below 2^24 an integer is exact in float32, whose exponent and upper two bits of mantissa are its class.
        __m256i magnitude_class = _mm256_srli_epi32(_mm256_castps_si256(_mm256_cvtepi32_ps(expected)), 21);
        magnitude_class = _mm256_min_epi32(_mm256_sub_epi32(magnitude_class, _mm256_set1_epi32((127 + 4) * 4)), _mm256_set1_epi32(classes - 1));
        const __m256i lean = _mm256_add_epi32(_mm256_madd_epi16(near, _mm256_set1_epi32(weights.near_lean)), _mm256_madd_epi16(far, _mm256_set1_epi32(weights.far_lean)));
        const __m256i strength = _mm256_abs_epi32(lean), quarter = _mm256_srli_epi32(expected, 2);
        const __m256i weak = _mm256_cmpgt_epi32(quarter, strength);
        const __m256i middling = _mm256_cmpgt_epi32(_mm256_add_epi32(quarter, _mm256_srli_epi32(expected, 1)), strength);
        // amount = 2 + weak + middling, as masks are -1
        __m256i context = _mm256_add_epi32(_mm256_set1_epi32(2), _mm256_add_epi32(weak, middling));
        const __m256i folded = _mm256_srai_epi32(_mm256_andnot_si256(weak, lean), 31);
        const __m256i quantiser = trellis ? _mm256_permutevar8x32_epi32(quantisers, trellis_state) : zero;
        context = _mm256_add_epi32(context, _mm256_add_epi32(quantiser, _mm256_slli_epi32(quantiser, 1)));
        context = _mm256_add_epi32(_mm256_madd_epi16(context, _mm256_set1_epi32(classes)), magnitude_class);
        context = _mm256_blendv_epi8(_mm256_set1_epi32(zero_context), context, live);

        const __m256i slot = _mm256_and_si256(x, _mm256_set1_epi32((1 << table_bits) - 1));
        alignas(32) std::uint32_t contexts[8], slots[8];
        _mm256_store_si256(reinterpret_cast<__m256i *>(contexts), context);
        _mm256_store_si256(reinterpret_cast<__m256i *>(slots), slot);
        const __m256i c01 = count_pair(below(rows, contexts[0], slots[0]), below(rows, contexts[1], slots[1]));
        const __m256i c23 = count_pair(below(rows, contexts[2], slots[2]), below(rows, contexts[3], slots[3]));
        const __m256i c45 = count_pair(below(rows, contexts[4], slots[4]), below(rows, contexts[5], slots[5]));
        const __m256i c67 = count_pair(below(rows, contexts[6], slots[6]), below(rows, contexts[7], slots[7]));
        const __m256i c0123 = _mm256_packus_epi32(c01, c23), c4567 = _mm256_packus_epi32(c45, c67);
        const __m256i counts = _mm256_add_epi32(_mm256_permute2x128_si256(c0123, c4567, 0x20), _mm256_permute2x128_si256(c0123, c4567, 0x31));
        const __m256i symbol = _mm256_sub_epi32(counts, one);
        const __m256i entry = _mm256_i32gather_epi32(packed, _mm256_add_epi32(_mm256_slli_epi32(context, 4), symbol), 4);
        x = _mm256_add_epi32(_mm256_mullo_epi32(_mm256_srli_epi32(entry, 16), _mm256_srli_epi32(x, table_bits)),
                             _mm256_sub_epi32(slot, _mm256_and_si256(entry, _mm256_set1_epi32(0xffff))));
        x = refill(x, next);

        __m256i level = _mm256_sub_epi32(symbol, _mm256_set1_epi32(table_reach));
        __m256i bits = zero;
        const __m256i large = _mm256_and_si256(live, _mm256_cmpgt_epi32(magnitude_class, _mm256_set1_epi32(split_class - 1)));
        if (!_mm256_testz_si256(large, large)) {
            bits = _mm256_srai_epi32(_mm256_sub_epi32(magnitude_class, _mm256_set1_epi32(split_class - 4)), 2);
            bits = _mm256_and_si256(bits, large);
            const __m256i width = _mm256_sllv_epi32(one, bits);
            const __m256i low = _mm256_and_si256(x, _mm256_sub_epi32(width, one));
            x = _mm256_srlv_epi32(x, bits);
            x = refill(x, next);
            level = _mm256_sub_epi32(_mm256_add_epi32(_mm256_sllv_epi32(level, bits), low), _mm256_srli_epi32(width, 1));
        }
        const unsigned escaped = unsigned(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(symbol, _mm256_set1_epi32(escape_symbol)))));
        if (escaped) {
            alignas(32) std::int32_t levels[8], splits[8];
            _mm256_store_si256(reinterpret_cast<__m256i *>(levels), level);
            _mm256_store_si256(reinterpret_cast<__m256i *>(splits), bits);
            for (int lane = 0; lane < 8; ++lane)
                if (escaped >> lane & 1) levels[lane] = band.escape(band.escape_source, splits[lane]);
            level = _mm256_load_si256(reinterpret_cast<const __m256i *>(levels));
        }
        level = _mm256_sub_epi32(_mm256_xor_si256(level, folded), folded);
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(here), level);
        left2 = left;
        left = cap(level);
        if (out) {
            const __m256i magnitude = _mm256_abs_epi32(level);
            __m256i index = magnitude;
            if (trellis) {
                const __m256i nonzero = _mm256_cmpgt_epi32(magnitude, zero);
                index = _mm256_sub_epi32(_mm256_add_epi32(magnitude, magnitude), _mm256_and_si256(quantiser, nonzero));
            }
            const __m256 towards_zero = _mm256_permutevar8x32_ps(shifts, _mm256_min_epi32(magnitude, _mm256_set1_epi32(4)));
            const __m256 value = _mm256_mul_ps(_mm256_sub_ps(_mm256_cvtepi32_ps(index), towards_zero), steps);
            const __m256 sign = _mm256_castsi256_ps(_mm256_and_si256(level, _mm256_set1_epi32(std::int32_t(0x80000000u))));
            _mm256_storeu_ps(out + c * lanes, _mm256_xor_ps(value, sign));
        }
        if (trellis) {
            const __m256i parity = _mm256_slli_epi32(level, 31);
            trellis_state = _mm256_castps_si256(
                _mm256_blendv_ps(_mm256_castsi256_ps(_mm256_permutevar8x32_epi32(even, trellis_state)),
                                 _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(odd, trellis_state)), _mm256_castsi256_ps(parity)));
        }
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(band.state), x);
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(band.trellis_state), trellis_state);
    band.next = next;
    return c;
}

}  // namespace demitasse

#endif
