// What the mixing coder learns: probabilities by context, how to weigh them, and linear predictors of a weight.
//
// Everything is 32-bit integer arithmetic on vectors of eight.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "demitasse/binary_coder.hpp"
#include "demitasse/logistic.hpp"
#include "levels_reference.hpp"

namespace demitasse {

constexpr int mixed_inputs = 8;   // of a mixer; the last is a constant or a parametric guess
constexpr int mixed_contexts = mixed_inputs - 1;
constexpr int sign_contexts = 5;  // and one of the parametric guess
constexpr int last_bucket = 49;   // of magnitudes
constexpr int decisions = 16;     // is it zero; is it beyond bucket 0, 1, ...: those told apart by contexts
constexpr int quantisers = 3;     // no trellis, Q0, Q1
constexpr int places = 64;        // kernel positions told apart
constexpr int context_values = 2048;
constexpr int energies = 128;     // classes of the expected magnitude, in eighths of an octave

// Eight 32-bit integers (GCC and Clang compile this for any processor).
typedef std::int32_t Eight __attribute__((vector_size(32), aligned(4), may_alias));

inline const Eight &eight(const std::int32_t *at) { return *reinterpret_cast<const Eight *>(at); }
inline Eight &eight(std::int32_t *at) { return *reinterpret_cast<Eight *>(at); }

inline std::int32_t sum(const Eight &v) { return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7])); }

inline void bound(Eight &v, std::int32_t limit) {
    v = v > limit ? Eight{} + limit : v;
    v = v < -limit ? Eight{} - limit : v;
}

// Mixes in the logistic domain (after Mahoney's PAQ). Each set of weights learns at a rate that falls with its use.
class Mixer {
  public:
    explicit Mixer(std::size_t sets) : weights_(sets * mixed_inputs, one / 8), used_(sets, 0) {}

    int dot(int set, const std::int32_t *x) const {
        const std::int32_t *w = &weights_[std::size_t(set) * mixed_inputs];
        const Eight products = (eight(w) >> 4) * eight(x);
        return clamp(sum(products) >> 14, -stretch_limit, stretch_limit);
    }

    void update(int set, const std::int32_t *x, int error) {
        std::int32_t *w = &weights_[std::size_t(set) * mixed_inputs];
        std::uint32_t &used = used_[std::size_t(set)];
        const int gain = (error >> 4) * (rate_floor + int(rate_head * 64 / (used + 64)));
        if (used < 65535) ++used;
        Eight &weights = eight(w);
        weights += (eight(x) * gain + (1 << 13)) >> 14;
        bound(weights, limit);
    }

  private:
    static constexpr std::int32_t one = 1 << 18, limit = 4 * one - 1;
    static constexpr int rate_floor = 16, rate_head = 128;
    std::vector<std::int32_t> weights_;  // 1/2^18
    std::vector<std::uint32_t> used_;
};

// Linear prediction from the neighbourhood, learned as it goes (normalised least mean squares).
struct Predictor {
    static constexpr int features = 16;

    std::int32_t weight[features];  // 1/65536

    std::int32_t predict(const std::int32_t *feature) const {
        const Eight products = (eight(weight) >> 4) * eight(feature) + (eight(weight + 8) >> 4) * eight(feature + 8);
        return sum(products) >> 12;
    }
    void learn(const std::int32_t *feature, std::int32_t error, int rate) {
        const Eight &low = eight(feature), &high = eight(feature + 8);
        const Eight squares = low * low + high * high;
        const std::int32_t norm = 256 + sum(squares);
        const std::int32_t gain = std::int32_t(std::clamp<std::int64_t>(std::int64_t(error) * rate * 4096 / norm, -(1 << 17), 1 << 17));
        Eight &first = eight(weight), &second = eight(weight + 8);
        first += (low * gain + (1 << 11)) >> 12;
        second += (high * gain + (1 << 11)) >> 12;
        bound(first, limit);
        bound(second, limit);
    }

    static constexpr std::int32_t limit = (1 << 18) - 1;
    static constexpr std::int32_t feature_limit = 511 * 16;  // keeps the sums within 32 bits
};

// Of kernels of one shape, by place.
struct Predictors {
    std::uint32_t height, width;
    Predictor expected[places], lean[places], spread[places];  // of magnitude, value, and distance from the value expected
};

constexpr std::size_t kernel_shapes = 16;  // that are remembered

// What is known around a weight before it is coded.
struct Surroundings {
    std::int32_t expected, lean, spread;  // 1/16 level: its magnitude, its value, how far from that it may be
    int contexts[mixed_contexts];         // < context_values
    int signs[sign_contexts];             // < context_values / 4
    int energy;                           // class of expected
    int place;                            // kernel position
    int agreement;                        // of signs with the row predicted from others, 0..15
    int quantiser;                        // 0: no trellis
};

// All that is learned; lives as long as a group of tensors.
class MixingModel {
  public:
    // Those of kernels of this shape: as the last such tensor left them, or new ones.
    Predictors &predictors_of(std::uint32_t height, std::uint32_t width) {
        for (Predictors &own : predictors_)
            if (own.height == height && own.width == width) return own;
        Predictors &own = predictors_[shapes_++ % kernel_shapes];
        start(own);
        own.height = height, own.width = width;
        return own;
    }

    AdaptiveBit reference_any[references_most], reference_same[references_most], slope_sign, slope[slope_limit];

    template <class Coder>
    std::int32_t code_level(Coder &coder, const Surroundings &around, std::int32_t level) {
        const std::uint32_t magnitude = std::uint32_t(std::abs(level));
        if (!magnitude_bit(coder, around, 0, magnitude > 0)) return 0;
        const int wanted = magnitude ? bucket_of(magnitude - 1) : 0;
        int bucket = 0;
        while (bucket < last_bucket && magnitude_bit(coder, around, bucket + 1, wanted > bucket)) ++bucket;
        // The lower bits of a wide bucket.
        std::uint32_t value = bucket < 4 ? std::uint32_t(bucket) : std::uint32_t(2 + (bucket & 1));
        for (int left = bucket < 4 ? 0 : bucket / 2 - 1; left-- > 0;) {
            const bool bit = ((magnitude - 1) >> left) & 1;
            const bool learned = value < 128 && left < 6;
            value = value << 1 | std::uint32_t(learned ? lower_bits_[left][value].code(coder, bit) : coder.code(32768, bit));
        }
        if (++value > std::uint32_t(level_limit)) throw LevelsError("a level is beyond all limits: the stream is damaged");
        return sign_bit(coder, around, value, level < 0) ? -std::int32_t(value) : std::int32_t(value);
    }

  private:
    static void start(Predictors &all) {
        constexpr std::int32_t magnitude[8] = {1000, 16000, 8000, 4000, 4000, 8000, 6000, 0};
        for (int place = 0; place < places; ++place) {
            Predictor &expected = all.expected[place], &lean = all.lean[place];
            std::copy_n(magnitude, 8, expected.weight);
            for (int i = 0; i < 8; ++i) expected.weight[8 + i] = 6000 / (i + 1);
            all.spread[place] = expected;
            std::fill_n(lean.weight, Predictor::features, 0);
            lean.weight[0] = 50000;
        }
    }

    // Magnitudes less one fall into buckets: 0, 1, 2, 3, 4-5, 6-7, 8-11, 12-15, 16-23 and so on.
    static int bucket_of(std::uint32_t beyond) {
        if (beyond < 4) return int(beyond);
        const int e = 31 - __builtin_clz(beyond);
        return 2 * e + int((beyond >> (e - 1)) & 1);
    }

    template <class Coder>
    bool magnitude_bit(Coder &coder, const Surroundings &around, int decision, bool bit) {
        const int d = around.quantiser * decisions + std::min(decision, decisions - 1), early = std::min(decision, 3);
        AdaptiveBit *slot[mixed_contexts];
        for (int i = 0; i < mixed_contexts; ++i)
            slot[i] = &magnitude_[(std::size_t(i) * context_values + std::size_t(around.contexts[i])) * decisions * quantisers + std::size_t(d)];
        const int sets[3] = {d, by_energy + energies / 2 * early + around.energy / 2, by_place + places * early + around.place};
        return mixed(coder, magnitude_mixer_, slot, mixed_contexts, 256, sets, bit);
    }

    template <class Coder>
    bool sign_bit(Coder &coder, const Surroundings &around, std::uint32_t value, bool negative) {
        const int strength = int(std::min(value, 4u)) - 1;
        // Log-odds, were the weight normal around the lean.
        const std::int64_t square = std::int64_t(around.spread) * around.spread;
        const std::int64_t odds = std::int64_t(std::min(value, 511u)) * 16 * around.lean * 192 / square;
        const int tilt = int(std::clamp<std::int64_t>(odds, -2047, 2047)), tilt_class = clamp(tilt / 48, -31, 31) + 31;
        AdaptiveBit *slot[sign_contexts + 1];
        for (int i = 0; i <= sign_contexts; ++i) {
            const int context = i < sign_contexts ? around.signs[i] : tilt_class;
            slot[i] = &sign_[std::size_t(i) * context_values + std::size_t(context * 4 + strength)];
        }
        const int sets[3] = {0, sign_by_energy + around.energy / 2, sign_by_agreement + around.agreement};
        return mixed(coder, sign_mixer_, slot, sign_contexts + 1, -tilt, sets, negative);
    }

    template <class Coder>
    bool mixed(Coder &coder, Mixer &mixer, AdaptiveBit *const *slot, int n, int last, const int (&sets)[3], bool bit) {
        std::int32_t x[mixed_inputs] = {};
        for (int i = 0; i < n; ++i) x[i] = stretch(logistic_, slot[i]->p());
        x[mixed_inputs - 1] = last;
        int dots[3], sum = 0;
        for (int i = 0; i < 3; ++i) sum += dots[i] = mixer.dot(sets[i], x);
        bit = coder.code(std::uint32_t(clamp(squash(logistic_, sum * 171 / 512), 16, 65520)), bit);
        const int target = bit ? 65535 : 0;
        for (int i = 0; i < 3; ++i) mixer.update(sets[i], x, target - squash(logistic_, dots[i]));
        for (int i = 0; i < n; ++i) slot[i]->update(bit, 250);
        return bit;
    }

    static constexpr int by_energy = decisions * quantisers, by_place = by_energy + 4 * energies / 2;
    static constexpr int sign_by_energy = 1, sign_by_agreement = sign_by_energy + energies / 2;

    const LogisticTables &logistic_ = logistic_tables();
    std::vector<AdaptiveBit> magnitude_ = std::vector<AdaptiveBit>(std::size_t(mixed_contexts) * context_values * decisions * quantisers);
    std::vector<AdaptiveBit> sign_ = std::vector<AdaptiveBit>(std::size_t(sign_contexts + 1) * context_values);
    Mixer magnitude_mixer_{by_place + 4 * places};
    Mixer sign_mixer_{sign_by_agreement + 16};
    AdaptiveBit lower_bits_[6][128];
    Predictors predictors_[kernel_shapes] = {};
    std::size_t shapes_ = 0;
};

}  // namespace demitasse
