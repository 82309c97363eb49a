#include "quantizer_steps.hpp"
#include "quantizer_survivors.hpp"

#ifdef DEMITASSE_AVX2

#define DEMITASSE_TARGET __attribute__((target("avx2")))

namespace demitasse {

namespace {

DEMITASSE_TARGET inline __m256i load(const int *numbers) { return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(numbers)); }

// Where the candidates of each state's quantiser stand among all candidates.
struct Places {
    __m256i even_lower, odd_lower, even_upper, odd_upper;
};

DEMITASSE_TARGET inline Places find_places() {
    const __m256i even_lower = _mm256_setr_epi32(0, 2, 0, 2, 0, 2, 0, 2), upper = _mm256_set1_epi32(subsets);
    const __m256i odd_lower = _mm256_add_epi32(even_lower, _mm256_set1_epi32(1));
    return {even_lower, odd_lower, _mm256_add_epi32(even_lower, upper), _mm256_add_epi32(odd_lower, upper)};
}

DEMITASSE_TARGET inline __m256i weigh(std::int32_t base, __m256i near, __m256i farther, const std::int32_t (&weights)[2]) {
    const __m256i first = _mm256_madd_epi16(near, _mm256_set1_epi32(weights[0]));
    const __m256i second = _mm256_madd_epi16(farther, _mm256_set1_epi32(weights[1]));
    return _mm256_add_epi32(_mm256_add_epi32(_mm256_set1_epi32(base), first), second);
}

DEMITASSE_TARGET inline __m256i find_contexts(__m256i expected, __m256i lean) {
    expected = _mm256_min_epi32(_mm256_max_epi32(expected, _mm256_set1_epi32(least_expected)), _mm256_set1_epi32(most_expected));
    const __m256i exponent = _mm256_srli_epi32(_mm256_castps_si256(_mm256_cvtepi32_ps(expected)), 21);
    const __m256i magnitude_class = _mm256_min_epi32(_mm256_sub_epi32(exponent, _mm256_set1_epi32(exponent_of_16)), _mm256_set1_epi32(classes - 1));
    const __m256i strength = _mm256_abs_epi32(lean), quarter = _mm256_srli_epi32(expected, 2), two = _mm256_set1_epi32(2);
    const __m256i below_one = _mm256_cmpgt_epi32(quarter, strength);
    const __m256i below_two = _mm256_cmpgt_epi32(_mm256_add_epi32(_mm256_srli_epi32(expected, 1), quarter), strength);
    const __m256i amount = _mm256_add_epi32(_mm256_add_epi32(two, below_one), below_two);
    const __m256i times_five = _mm256_add_epi32(_mm256_slli_epi32(magnitude_class, 2), magnitude_class);
    return _mm256_add_epi32(_mm256_add_epi32(times_five, two), _mm256_sign_epi32(amount, lean));
}

// What follows a level: of the state that led here by an even one or by an odd one.
DEMITASSE_TARGET inline __m256i arrive(__m256i by_even, __m256i by_odd, __m256i is_odd) {
    return _mm256_blendv_epi8(_mm256_permutevar8x32_epi32(by_even, load(before_even)),
                              _mm256_permutevar8x32_epi32(by_odd, load(before_odd)), is_odd);
}

// The lower or the upper candidate of each state, of one parity.
struct Choice {
    __m256i metric, level;
    unsigned uppers;
};

DEMITASSE_TARGET inline Choice choose(__m256 near_cost, __m256i levels, __m256i lower, __m256i upper, __m256 lower_bits, __m256 upper_bits) {
    const __m256 by_lower = _mm256_add_ps(_mm256_permutevar8x32_ps(near_cost, lower), lower_bits);
    const __m256 by_upper = _mm256_add_ps(_mm256_permutevar8x32_ps(near_cost, upper), upper_bits);
    const __m256 is_upper = _mm256_cmp_ps(by_upper, by_lower, _CMP_LT_OQ);
    const __m256 least = _mm256_min_ps(_mm256_blendv_ps(by_lower, by_upper, is_upper), _mm256_set1_ps(cost_limit));
    const __m256i which = _mm256_blendv_epi8(lower, upper, _mm256_castps_si256(is_upper));
    return {_mm256_cvttps_epi32(least), _mm256_permutevar8x32_epi32(levels, which), unsigned(_mm256_movemask_ps(is_upper))};
}

}  // namespace

// As forward_plain, eight states at a time; the same operations on the same numbers.
DEMITASSE_TARGET int SurvivorSearch::forward_avx2(const CandidateTable &table, const SearchRow &row) {
    const Places places = find_places();
    const __m256i cap = _mm256_set1_epi32(magnitude_cap), floor = _mm256_set1_epi32(-magnitude_cap);
    __m256i cost = _mm256_setr_epi32(0, unreachable, unreachable, unreachable, unreachable, unreachable, unreachable, unreachable);
    __m256i near = _mm256_setzero_si256(), farther = near;  // past levels, two and two
    alignas(32) std::int32_t numbers[trellis_states], contexts[trellis_states];
    const std::size_t kernel = positions_.size();
    const float *all_bits = table.bits(0, 0);
    for (std::size_t c = 0, position = 0; c < row.columns; ++c, position = position + 1 == kernel ? 0 : position + 1) {
        const Near &weights = positions_[position].near;
        const __m256i context = find_contexts(weigh(expected_[c], _mm256_abs_epi16(near), _mm256_abs_epi16(farther), weights.expected),
                                              weigh(lean_[c], near, farther, weights.lean));
        const int cell = row.cells.cell[c];
        const __m256 importance = _mm256_set1_ps(row.importance(c) * cost_unit), magnitude = _mm256_set1_ps(row.cells.magnitude[c]);
        Choice even, odd;
        if (cell != far_cell) {
            const __m256 distance = _mm256_sub_ps(magnitude, _mm256_load_ps(table.points(cell)));
            const __m256 near_cost = _mm256_mul_ps(_mm256_mul_ps(distance, distance), importance);
            const __m256i levels = load(table.levels(cell).level);
            const __m256i at = _mm256_add_epi32(_mm256_mullo_epi32(context, _mm256_set1_epi32(cells * candidates)), _mm256_set1_epi32(cell * candidates));
            even = choose(near_cost, levels, places.even_lower, places.even_upper,
                          _mm256_i32gather_ps(all_bits, _mm256_add_epi32(at, places.even_lower), 4),
                          _mm256_i32gather_ps(all_bits, _mm256_add_epi32(at, places.even_upper), 4));
            odd = choose(near_cost, levels, places.odd_lower, places.odd_upper,
                         _mm256_i32gather_ps(all_bits, _mm256_add_epi32(at, places.odd_lower), 4),
                         _mm256_i32gather_ps(all_bits, _mm256_add_epi32(at, places.odd_upper), 4));
        } else {
            _mm256_store_si256(reinterpret_cast<__m256i *>(numbers), cost);
            _mm256_store_si256(reinterpret_cast<__m256i *>(contexts), context);
            far_context_[c] = std::uint16_t(contexts[cheapest(numbers)]);
            const CandidateTable::Far far = table.far(far_context_[c], row.cells.magnitude[c], row.cells.negative(c), row.importance(c));
            const __m256 distance = _mm256_sub_ps(magnitude, _mm256_load_ps(far.points.value));
            const __m256 sum = _mm256_add_ps(_mm256_mul_ps(_mm256_mul_ps(distance, distance), importance), _mm256_load_ps(far.bits.value));
            const __m256i levels = load(far.levels.level);
            even = choose(sum, levels, places.even_lower, places.even_upper, _mm256_setzero_ps(), _mm256_setzero_ps());
            odd = choose(sum, levels, places.odd_lower, places.odd_upper, _mm256_setzero_ps(), _mm256_setzero_ps());
        }
        const __m256i by_even = _mm256_permutevar8x32_epi32(_mm256_add_epi32(cost, even.metric), load(before_even));
        const __m256i by_odd = _mm256_permutevar8x32_epi32(_mm256_add_epi32(cost, odd.metric), load(before_odd));
        const __m256i is_odd = _mm256_cmpgt_epi32(by_even, by_odd);
        cost = _mm256_min_epi32(by_even, by_odd);
        const __m256i last = _mm256_min_epi32(_mm256_max_epi32(arrive(even.level, odd.level, is_odd), floor), cap);
        const __m256i came = arrive(near, near, is_odd), came_farther = arrive(farther, farther, is_odd);
        near = _mm256_blend_epi16(last, _mm256_slli_epi32(came, 16), 0xaa);
        farther = _mm256_blend_epi16(_mm256_srli_epi32(came, 16), _mm256_slli_epi32(came_farther, 16), 0xaa);
        trace_[c] = unsigned(_mm256_movemask_ps(_mm256_castsi256_ps(is_odd))) | even.uppers << 8 | odd.uppers << 16;
        if (c % stretch == stretch - 1) cost = less_the_least(cost);
    }
    _mm256_store_si256(reinterpret_cast<__m256i *>(numbers), cost);
    return cheapest(numbers);
}

}  // namespace demitasse

#endif
