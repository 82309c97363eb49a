#include "levels_mixing.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "demitasse/binary_coder.hpp"
#include "demitasse/logistic.hpp"
#include "demitasse/trellis.hpp"

namespace demitasse {

namespace {

constexpr int unary_limit = 20;   // magnitudes from here on escape to an Elias-gamma code
constexpr int decisions = 16;     // unary decisions told apart by contexts
constexpr int quantisers = 3;     // no trellis, Q0, Q1
constexpr int inputs = 8;         // of the mixer, the last a constant
constexpr int magnitude_cap = 2047;

// A probability (22 bits) and a count (10 bits) that sets its rate.
struct Counter {
    std::uint32_t state = 1u << 31;

    int p() const { return int(state >> 16); }
    void update(bool bit, int limit, const std::uint32_t *reciprocal) {
        const int n = int(state & 1023);
        const std::int64_t p22 = state >> 10;
        const std::int64_t target = bit ? (1 << 22) - 1 : 0;
        std::int64_t next = p22 + (target - p22) * std::int64_t(reciprocal[n]) / 65536;
        state = std::uint32_t(next) << 10 | std::uint32_t(n < limit ? n + 1 : n);
    }
};

struct Reciprocals {
    std::uint32_t value[1024];
    Reciprocals() {
        for (int n = 0; n < 1024; ++n) value[n] = std::uint32_t(65536 * 2 / (2 * n + 3));
    }
};

const Reciprocals reciprocals;

class Mixer {
  public:
    Mixer(int sets, int initial) : weights_(std::size_t(sets) * inputs, initial) {}

    int dot(int set, const int *x) const {
        const std::int32_t *w = &weights_[std::size_t(set) * inputs];
        std::int64_t sum = 0;
        for (int i = 0; i < inputs; ++i) sum += std::int64_t(w[i]) * x[i];
        return clamp(int(sum >> 16), -stretch_limit, stretch_limit);
    }
    void update(int set, const int *x, int error, int rate) {
        std::int32_t *w = &weights_[std::size_t(set) * inputs];
        for (int i = 0; i < inputs; ++i) w[i] += (x[i] * error * rate + (1 << 15)) >> 16;
    }

  private:
    std::vector<std::int32_t> weights_;
};

// Online least squares on magnitudes or signed values of the neighbourhood (normalised LMS), fixed point.
template <int n>
struct Predictor {
    std::int32_t weight[n];  // 1/65536
    std::int32_t feature[n];

    std::int32_t predict() const {
        std::int64_t sum = 0;
        for (int i = 0; i < n; ++i) sum += std::int64_t(weight[i]) * feature[i];
        return std::int32_t(sum >> 16);
    }
    void learn(std::int32_t error, int rate) {
        std::int64_t norm = 64;
        for (int i = 0; i < n; ++i) norm += std::int64_t(feature[i]) * feature[i];
        const std::int64_t gain = (std::int64_t(error) << 28) / norm;
        for (int i = 0; i < n; ++i) weight[i] += std::int32_t(gain * feature[i] * rate / (std::int64_t(1) << 28));
    }
};

// Half octaves of a magnitude in 1/16 level: 0, then 1 upwards.
inline int half_octave(std::int32_t x) {
    if (x <= 0) return 0;
    const int e = 31 - __builtin_clz(unsigned(x));
    return 1 + 2 * e + (e > 0 ? (x >> (e - 1)) & 1 : 0);
}

inline int eighth_octave(std::int32_t x) {  // of a magnitude in 1/256 level; 0..127
    if (x < 8) return x < 0 ? 0 : x;
    const int e = 31 - __builtin_clz(unsigned(x));
    return std::min(8 * (e - 2) + ((x >> (e - 3)) & 7), 127);
}

inline int sign_of(std::int32_t x) { return (x > 0) - (x < 0); }

struct Cell {  // what is known around a weight
    int contexts[inputs - 1];
    int sign_contexts[inputs - 1];
    int energy;      // class of the expected magnitude
    int shift;       // low bits split off
    int quantiser;
};

// Everything that is learned; lives as long as the group.
class Model {
  public:
    Model() {
        for (int i = 0; i < inputs - 1; ++i) {
            magnitude_[i].resize(std::size_t(context_size) * quantisers * decisions);
            sign_[i].resize(context_size);
        }
    }

    static constexpr int context_size = 1024;

    template <class Coder>
    bool magnitude_bit(Coder &coder, const Cell &cell, int decision, bool bit) {
        const int d = std::min(decision, decisions - 1) * quantisers + cell.quantiser;
        Counter *slot[inputs - 1];
        for (int i = 0; i < inputs - 1; ++i) slot[i] = &magnitude_[i][std::size_t(cell.contexts[i]) * quantisers * decisions + d];
        return mixed(coder, slot, d, 64 * std::min(decision, 3) + (cell.energy >> 1), bit, fine_mixer_, coarse_mixer_);
    }

    template <class Coder>
    bool sign_bit(Coder &coder, const Cell &cell, bool bit) {
        Counter *slot[inputs - 1];
        for (int i = 0; i < inputs - 1; ++i) slot[i] = &sign_[i][cell.sign_contexts[i]];
        return mixed(coder, slot, 0, cell.energy >> 1, bit, sign_mixer_, sign_energy_mixer_);
    }

    template <class Coder>
    bool plain_bit(Coder &coder, Counter &counter, bool bit) {
        bit = coder.code(std::uint32_t(clamp(counter.p(), 32, 65504)), bit);
        counter.update(bit, 255, reciprocals.value);
        return bit;
    }

    Counter low_bits[32][2][32];
    Counter escape_exponent[32];
    Counter escape_mantissa[32];
    Predictor<9> expected{};
    Predictor<7> lean{};

  private:
    template <class Coder>
    bool mixed(Coder &coder, Counter *const *slot, int set_a, int set_b, bool bit, Mixer &a, Mixer &b) {
        int x[inputs];
        for (int i = 0; i < inputs - 1; ++i) x[i] = stretch(tables_, slot[i]->p());
        x[inputs - 1] = 256;
        const int pa = squash(tables_, a.dot(set_a, x)), pb = squash(tables_, b.dot(set_b, x));
        const int p = squash(tables_, (a.dot(set_a, x) + b.dot(set_b, x)) >> 1);
        bit = coder.code(std::uint32_t(clamp(p, 16, 65520)), bit);
        const int target = bit ? 65535 : 0;
        a.update(set_a, x, target - pa, 6);
        b.update(set_b, x, target - pb, 6);
        for (int i = 0; i < inputs - 1; ++i) slot[i]->update(bit, 400, reciprocals.value);
        return bit;
    }

    const LogisticTables &tables_ = logistic_tables();
    std::vector<Counter> magnitude_[inputs - 1];
    std::vector<Counter> sign_[inputs - 1];
    Mixer fine_mixer_{decisions * quantisers, 65536 / 4};
    Mixer coarse_mixer_{64 * 4, 65536 / 4};
    Mixer sign_mixer_{1, 65536 / 4};
    Mixer sign_energy_mixer_{64, 65536 / 4};
};

template <class Coder>
std::int32_t code_level(Coder &coder, Model &model, Cell &cell, std::int32_t level) {
    const std::uint32_t m = std::uint32_t(std::abs(level));
    const std::uint32_t q = m >> cell.shift;
    std::uint32_t value = 0;
    while (value < unary_limit && model.magnitude_bit(coder, cell, int(value), q > value)) ++value;
    if (value == unary_limit) {
        const std::uint32_t rest = q - unary_limit + 1;
        int exponent = 0;
        while (model.plain_bit(coder, model.escape_exponent[exponent], (rest >> exponent) > 1)) {
            if (++exponent > 25) throw LevelsError("a level is beyond all limits: the stream is damaged");
        }
        std::uint32_t mantissa = 1;
        for (int i = exponent - 1; i >= 0; --i) {
            const bool bit = (rest >> i) & 1;
            mantissa = mantissa << 1 |
                       std::uint32_t(i == exponent - 1 ? model.plain_bit(coder, model.escape_mantissa[exponent], bit)
                                                       : coder.code(32768, bit));
        }
        value += mantissa - 1;
    }
    const std::uint32_t top = value;
    for (int i = cell.shift - 1; i >= 0; --i) {
        const bool bit = (m >> i) & 1;
        value = value << 1 | std::uint32_t(i >= cell.shift - 2 ? model.plain_bit(coder, model.low_bits[cell.shift][i == cell.shift - 1][std::min(top, 31u)], bit)
                                                    : coder.code(32768, bit));
    }
    if (value > std::uint32_t(level_limit)) throw LevelsError("a level is beyond all limits: the stream is damaged");
    if (value == 0) return 0;
    const int strength = int(std::min(value, 4u)) - 1;
    for (int &context : cell.sign_contexts) context = context * 4 + strength;
    return model.sign_bit(coder, cell, level < 0) ? -std::int32_t(value) : std::int32_t(value);
}

// One tensor in row order; levels are read by an encoder, written by a decoder.
template <class Coder>
class Walk {
  public:
    Walk(Coder &coder, Model &model, const Layout &layout)
        : coder_(coder), model_(model), layout_(layout), columns_(layout.columns()), kernel_(layout.kernel()),
          mean_(columns_ + 2, 0), zeros_(columns_ + 2, 0) {}

    void run(std::int32_t *levels, bool write) {
        static const std::int32_t initial[9] = {6000, 4000, 5000, 5000, 2000, 16000, 12000, 4000, 1000};
        std::copy(initial, initial + 9, model_.expected.weight);
        std::fill(model_.lean.weight, model_.lean.weight + 7, 0);
        for (std::uint32_t r = 0; r < layout_.rows; ++r) row(levels, r, write);
    }

  private:
    static std::int32_t magnitude(std::int32_t level) { return std::min(std::abs(level), magnitude_cap); }

    void row(std::int32_t *levels, std::uint32_t r, bool write) {
        std::int32_t *cur = levels + std::size_t(r) * columns_;
        const std::int32_t *above = r > 0 ? cur - columns_ : zeros_.data();
        const std::int32_t *above2 = r > 1 ? above - columns_ : zeros_.data();
        int state = 0;
        std::int64_t row_sum = 0;
        const int kw = int(layout_.kernel_w), kernel = int(kernel_);
        std::int32_t row_mean = tensor_mean_;
        std::int64_t ratio = 256;
        int position = 0, kernel_column = 0;
        std::int32_t recent = tensor_mean_;
        for (std::size_t c = 0; c < columns_; ++c) {
            const auto back = [&](std::size_t distance) { return c >= distance ? cur[c - distance] : 0; };
            const std::int32_t left = back(1), left2 = back(2);
            const std::int32_t up = position >= kw ? cur[c - kw] : back(kernel > 1 ? std::size_t(kernel) * 2 : 3);
            const std::int32_t before = back(kernel > 1 ? std::size_t(kernel) : 4);
            const std::int32_t over = above[c], over2 = above2[c];
            if ((c & 3) == 0) {
                row_mean = std::int32_t((row_sum * 16 + std::int64_t(tensor_mean_) * 32) / std::int64_t((c + 32)));
                ratio = std::min<std::int64_t>((std::int64_t(row_mean) * 256 + 8) / (tensor_mean_ + 1), 4096);
            }
            auto &e = model_.expected;
            std::int32_t *f = e.feature;
            f[0] = magnitude(left) * 16;
            f[1] = magnitude(left2) * 16;
            f[2] = magnitude(up) * 16;
            f[3] = magnitude(before) * 16;
            f[4] = magnitude(over) * 16;
            f[5] = std::int32_t(std::min<std::int64_t>((mean_[c + 1] >> 4) * ratio >> 8, 65535));
            f[6] = row_mean;
            f[7] = (mean_[c] + mean_[c + 2]) >> 5;
            f[8] = recent;
            const std::int32_t expected = std::max(e.predict(), 1);
            auto &s = model_.lean;
            const auto signed_feature = [](std::int32_t level) { return clamp(level, -magnitude_cap, magnitude_cap) * 16; };
            s.feature[0] = signed_feature(left);
            s.feature[1] = signed_feature(left2);
            s.feature[2] = signed_feature(up);
            s.feature[3] = signed_feature(before);
            s.feature[4] = signed_feature(over);
            s.feature[5] = signed_feature(over2);
            s.feature[6] = signed_feature(r > 0 && c + 1 < columns_ ? above[c + 1] : 0);
            const std::int32_t lean = s.predict();

            Cell cell;
            const int octave = eighth_octave(expected * 16);
            cell.energy = octave;
            cell.shift = expected >= 16 * 8 ? 31 - __builtin_clz(unsigned(expected >> 6)) : 0;
            cell.quantiser = layout_.trellis ? 1 + trellis_quantiser(state) : 0;
            const auto low = [&](std::int32_t level, int limit) { return int(std::min(std::abs(level) >> cell.shift, limit)); };
            const int lean_class = lean_strength(lean, expected);
            const int kp = std::min(position, 31);
            cell.contexts[0] = octave * 5 + std::abs(lean_class);
            cell.contexts[1] = std::min(octave >> 2, 31) * 32 + low(left, 3) * 8 + low(up, 3) * 2 + low(before, 1);
            cell.contexts[2] = std::min(half_octave(mean_[c + 1] >> 4), 31) * 32 + std::min(half_octave(row_mean), 31);
            cell.contexts[3] = low(left, 3) + 4 * low(left2, 3) + 16 * low(up, 3) + 64 * low(before, 3);
            cell.contexts[4] = low(over, 3) + 4 * low(over2, 3) + 16 * low(before, 1) + 32 * std::min(half_octave(f[7]), 31);
            cell.contexts[5] = kp * 32 + std::min(half_octave(row_mean), 31);
            cell.contexts[6] = std::min(half_octave(recent), 31) * 32 + std::min(half_octave((f[5] + f[7]) >> 1), 31);
            const int sl = sign_of(left) + 1, su = sign_of(up) + 1, sb = sign_of(before) + 1, so = sign_of(over) + 1;
            cell.sign_contexts[0] = lean_class + 4;
            cell.sign_contexts[1] = sl + 3 * su + 9 * sb + 27 * so;
            cell.sign_contexts[2] = sl + 3 * (sign_of(left2) + 1) + 9 * sb;
            cell.sign_contexts[3] = kp * 3 + so;
            cell.sign_contexts[4] = kp * 3 + sb;
            cell.sign_contexts[5] = so + 3 * (sign_of(over2) + 1) + 9 * sl;
            cell.sign_contexts[6] = std::min(octave >> 3, 15) * 9 + lean_class + 4;

            const std::int32_t level = code_level(coder_, model_, cell, write ? 0 : cur[c]);
            if (write) cur[c] = level;
            if (layout_.trellis) state = trellis_next(state, level);
            const std::int32_t m = magnitude(level);
            e.learn(m * 16 - expected, 120);
            s.learn(signed_feature(level) - lean, 120);
            row_sum += m;
            recent += (m * 64 - recent * 4) >> 4;
            const std::int32_t target = m * 256;
            mean_[c + 1] += std::int32_t((std::int64_t(target) - mean_[c + 1]) * reciprocals.value[std::min<std::uint32_t>(r, 60)] / 65536);
            if (++position == kernel) position = 0;
        }
        const std::int32_t mean = std::int32_t(row_sum * 16 / std::int64_t(std::max<std::size_t>(columns_, 1)));
        tensor_mean_ = r == 0 ? mean : tensor_mean_ + (mean - tensor_mean_) / std::int32_t(std::min<std::uint32_t>(r + 1, 32));
        (void)kernel_column;
        if (r == 0) std::fill(mean_.begin(), mean_.end(), mean * 16);
    }

    static int lean_strength(std::int32_t lean, std::int32_t expected) {
        const std::int32_t m = std::abs(lean) * 8;
        const int strength = m < expected ? 0 : m < 2 * expected ? 1 : m < 4 * expected ? 2 : m < 8 * expected ? 3 : 4;
        return lean < 0 ? -strength : strength;
    }

    Coder &coder_;
    Model &model_;
    const Layout &layout_;
    std::size_t columns_, kernel_;
    std::vector<std::int32_t> mean_;  // running mean magnitude of each column, 1/256 level, one cell of margin
    std::vector<std::int32_t> zeros_;
    std::int32_t tensor_mean_ = 16;  // 1/16 level
};

}  // namespace

void encode_mixing(const std::vector<LevelTensor> &tensors, std::vector<std::uint8_t> &out) {
    auto model = std::make_unique<Model>();
    BinaryEncoder coder(out);
    for (const LevelTensor &tensor : tensors) {
        Walk<BinaryEncoder>(coder, *model, tensor.layout).run(const_cast<std::int32_t *>(tensor.levels), false);
    }
    coder.finish();
}

void decode_mixing(const std::uint8_t *data, std::size_t size, const std::vector<Layout> &layouts,
                   const std::vector<std::int32_t *> &outputs) {
    auto model = std::make_unique<Model>();
    BinaryDecoder coder(data, size);
    for (std::size_t i = 0; i < layouts.size(); ++i) {
        Walk<BinaryDecoder>(coder, *model, layouts[i]).run(outputs[i], true);
        if (coder.overrun()) throw LevelsError("the stream ends before its levels do");
    }
}

}  // namespace demitasse
