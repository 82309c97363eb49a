#include "levels_mixing.hpp"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "demitasse/trellis.hpp"
#include "levels_mixing_model.hpp"
#include "levels_reference.hpp"

namespace demitasse {

namespace {

constexpr int near_most = 8;     // neighbours in the row that predictors see
constexpr int row_prior = 12;    // weights' worth of the tensor's mean in a row's mean
constexpr int expected_rate = 700, lean_rate = 2400;

// Half octaves of a magnitude in 1/16 level: 0, then from 1 up to 31.
inline int half_octave(std::int32_t x) {
    if (x <= 0) return 0;
    const int e = 31 - __builtin_clz(unsigned(x));
    return std::min(1 + 2 * e + (e > 0 ? (x >> (e - 1)) & 1 : 0), 31);
}

inline int eighth_octave(std::int32_t x) {
    if (x < 8) return std::max(x, 0);
    const int e = 31 - __builtin_clz(unsigned(x));
    return std::min(8 * (e - 2) + ((x >> (e - 3)) & 7), energies - 1);
}

inline int sign_place(std::int32_t x) { return (x > 0) - (x < 0) + 1; }

inline int lean_class(std::int32_t lean, std::int32_t expected) {
    const std::int32_t m = std::abs(lean) * 8;
    const int strength = m < expected ? 0 : m < 2 * expected ? 1 : m < 4 * expected ? 2 : m < 8 * expected ? 3 : 4;
    return lean < 0 ? -strength : strength;
}

// Distances, in columns, to earlier weights of the row: those near in the kernel first, then those of channels before.
std::vector<int> near_offsets(const Layout &layout) {
    const int kernel = int(layout.kernel()), width = int(layout.kernel_w);
    std::vector<int> out;
    for (int position = 0; position < kernel; ++position) {
        std::vector<std::pair<int, int>> found;
        for (int back = 1; back <= position; ++back) {
            const int dy = position / width - (position - back) / width, dx = position % width - (position - back) % width;
            found.emplace_back(dy * dy + dx * dx, back);
        }
        std::stable_sort(found.begin(), found.end());
        if (found.size() > near_most - 2) found.resize(near_most - 2);
        for (int back : {kernel, 2 * kernel, kernel - 1, kernel + 1, kernel - width, kernel + width})
            if (kernel > 1 && found.size() < near_most && back > position) found.emplace_back(0, back);
        for (int channels = kernel > 1 ? 3 : 1; found.size() < near_most; ++channels) found.emplace_back(0, channels * kernel);
        for (const auto &f : found) out.push_back(f.second);
    }
    return out;
}

// A row's levels in 1/16, clamped, with zeros before and after so that neighbours need no checks.
struct Line {
    explicit Line(std::size_t columns, std::size_t margin) : cells(columns + 2 * margin, 0), start(margin) {}
    std::int32_t *data() { return cells.data() + start; }
    std::vector<std::int32_t> cells;
    std::size_t start;
};

// One tensor in row order; an encoder reads its levels, a decoder writes them.
template <class Coder, bool writing>
class Walk {
  public:
    Walk(Coder &coder, MixingModel &model, const Layout &layout, std::int32_t *levels)
        : coder_(coder), model_(model), predictors_(model.predictors_of(layout.kernel_h, layout.kernel_w)), layout_(layout), levels_(levels), columns_(layout.columns()), kernel_(layout.kernel()),
          offsets_(near_offsets(layout)), mean_(columns_ + 2, 0), product_(columns_, 0) {
        const std::size_t margin = std::max<std::size_t>(8 * kernel_, 16);
        for (int i = 0; i < 4; ++i) lines_.emplace_back(columns_, margin);
        for (std::size_t position = 0; position < kernel_; ++position) {
            const std::size_t y = position / layout.kernel_w, x = position % layout.kernel_w;
            places_.push_back(int(kernel_ <= places ? position : std::min<std::size_t>(y, 7) * 8 + std::min<std::size_t>(x, 7)));
        }
    }

    void run() {
        std::unique_ptr<RowReferences> references;
        if (!writing) references = std::make_unique<RowReferences>(levels_, layout_);
        for (std::uint32_t r = 0; r < layout_.rows; ++r) {
            guess_row(r, references.get());
            products();
            row(r);
        }
    }

  private:
    static std::int32_t sixteenths(std::int32_t level) { return clamp(level, -511, 511) * 16; }

    // What the rows above that the encoder names say about this one.
    void guess_row(std::uint32_t r, RowReferences *references) {
        std::int32_t *guess = lines_[guess_line].data();
        std::fill_n(guess, columns_, 0);
        if (columns_ < 16) return;
        std::vector<RowReference> chosen;
        if (references) chosen = references->find(r);
        if (r == 0) return;
        for (std::size_t k = 0; k < references_most; ++k) {
            const bool more = k < chosen.size();
            if (!model_.reference_any[k].code(coder_, more, 60)) break;
            const RowReference reference = code_reference(r, k, more ? chosen[k] : RowReference{1, 1});
            const std::int32_t *other = levels_ + std::size_t(r - reference.distance) * columns_;
            for (std::size_t c = 0; c < columns_; ++c) guess[c] += clamp(other[c], -511, 511) * reference.slope * 2;
        }
        for (std::size_t c = 0; c < columns_; ++c) guess[c] = clamp(guess[c], -Predictor::feature_limit, Predictor::feature_limit);
    }

    RowReference code_reference(std::uint32_t r, std::size_t k, RowReference reference) {
        if (model_.reference_same[k].code(coder_, reference.distance == distance_[k], 60)) {
            reference.distance = distance_[k];
        } else {
            const std::uint32_t most = std::min(r, reference_window - 1);
            std::uint32_t value = 0;
            for (int i = 31 - __builtin_clz(most); i >= 0; --i)
                value = value << 1 | std::uint32_t(coder_.code(32768, (reference.distance >> i) & 1));
            reference.distance = distance_[k] = value;
        }
        if (reference.distance == 0 || reference.distance > r)
            throw LevelsError("a row refers to one that is not above it: the stream is damaged");
        const bool negative = model_.slope_sign.code(coder_, reference.slope < 0, 60);
        int slope = 1;
        while (slope < slope_limit && model_.slope[slope].code(coder_, std::abs(reference.slope) > slope, 60)) ++slope;
        reference.slope = negative ? -slope : slope;
        return reference;
    }

    // Channel mean x kernel-position mean of the rows above, 1/16 level.
    void products() {
        std::vector<std::int64_t> position(kernel_, 0);
        std::int64_t total = 0;
        for (std::size_t c = 0, k = 0; c < columns_; ++c) {
            position[k] += mean_[c + 1];
            if (++k == kernel_) k = 0;
        }
        for (std::int64_t sum : position) total += sum;
        const std::int64_t overall = total / std::int64_t(columns_) + 1;
        for (std::int64_t &sum : position) sum /= std::int64_t(layout_.channels);
        for (std::size_t c = 0; c < columns_; c += kernel_) {
            std::int64_t channel = 0;
            for (std::size_t k = 0; k < kernel_; ++k) channel += mean_[c + k + 1];
            channel /= std::int64_t(kernel_);
            for (std::size_t k = 0; k < kernel_; ++k) product_[c + k] = std::int32_t(channel * position[k] / overall >> 4);
        }
    }

    static std::int32_t scaled(std::int32_t mean, std::int64_t ratio) {
        return std::int32_t(std::min<std::int64_t>(mean * ratio >> 8, Predictor::feature_limit));
    }

    void row(std::uint32_t r) {
        std::int32_t *out = levels_ + std::size_t(r) * columns_;
        std::int32_t *cur = lines_[r % 3].data();
        const std::int32_t *above = lines_[(r + 2) % 3].data(), *above2 = lines_[(r + 1) % 3].data();
        const std::int32_t *guess = lines_[guess_line].data();
        int state = 0, agreement = 0, position = 0;
        std::int64_t row_sum = 0, ratio = 256;
        std::int32_t row_mean = tensor_mean_, recent = tensor_mean_, kernel_sum = 0;
        const int kernel = int(kernel_), width = int(layout_.kernel_w);
        const Transitions *transitions = transitions_of(layout_.trellis);
        const std::int32_t rate = AdaptiveBit::rate(int(std::min<std::uint32_t>(r, 255)));
        alignas(32) std::int32_t e[Predictor::features], s[Predictor::features];
        for (std::size_t c = 0; c < columns_; ++c) {
            if ((c & 3) == 0) {
                row_mean = std::int32_t((row_sum * 16 + std::int64_t(tensor_mean_) * row_prior) / std::int64_t(c + row_prior));
                ratio = std::min<std::int64_t>((std::int64_t(row_mean) * 256 + 8) / (tensor_mean_ + 1), 4096);
            }
            const std::int32_t *here = cur + c;
            const int *offset = &offsets_[std::size_t(position) * near_most];
            s[0] = guess[c];
            s[1] = above[c];
            s[2] = above2[c];
            s[3] = guess[c + 1];
            s[4] = guess[std::ptrdiff_t(c) - 1];
            s[5] = above[c + 1];
            s[6] = above[std::ptrdiff_t(c) - 1];
            s[7] = 0;
            for (int i = 0; i < near_most; ++i) s[8 + i] = here[-offset[i]];
            e[0] = std::abs(s[0]);
            e[1] = scaled(mean_[c + 1] >> 4, ratio);
            e[2] = row_mean;
            e[3] = (mean_[c] + mean_[c + 2]) >> 5;
            e[4] = recent;
            e[5] = kernel > 1 && position > 0 ? kernel_sum / position : recent;
            e[6] = scaled(product_[c], ratio);
            for (int i = 0; i < near_most; ++i) e[8 + i] = std::abs(s[8 + i]);

            Surroundings around;
            around.place = places_[std::size_t(position)];
            Predictor &magnitudes = predictors_.expected[around.place], &values = predictors_.lean[around.place];
            Predictor &distances = predictors_.spread[around.place];
            const std::int32_t lean = values.predict(s);
            e[7] = std::min(std::abs(lean), Predictor::feature_limit);
            const std::int32_t expected = std::max(magnitudes.predict(e), 1), spread = std::max(distances.predict(e), 4);
            around.expected = expected;
            around.lean = lean;
            around.spread = spread;
            around.energy = eighth_octave(std::min(expected, 1 << 20) * 16);
            around.quantiser = layout_.trellis ? 1 + trellis_quantiser(state) : 0;
            around.agreement = clamp((agreement + 1024) >> 7, 0, 15);
            const std::int32_t left = here[-1], left2 = here[-2];
            const std::int32_t up = position >= width ? here[-width] : here[kernel > 1 ? -2 * kernel : -3];
            const std::int32_t before = here[kernel > 1 ? -kernel : -4];
            const std::int32_t corner = position >= width && (position + 1) % width ? here[1 - width] : up;
            const auto low = [&](std::int32_t x, int limit) { return int(std::min((std::abs(x) + 8) >> 4, limit)); };
            const int lean_size = lean_class(lean, expected), place = around.place;
            around.contexts[0] = around.energy * 5 + std::abs(lean_size);
            around.contexts[1] = half_octave(mean_[c + 1] >> 4) * 32 + half_octave(row_mean);
            around.contexts[2] = low(s[0], 3) + 4 * low(s[1], 3) + 16 * low(before, 1) + 32 * half_octave(e[3]);
            around.contexts[3] = place * 32 + around.energy / 4;
            around.contexts[4] = eighth_octave(std::min(spread, 1 << 20) * 16) / 2 * 32 + half_octave(std::abs(lean));
            around.contexts[5] = half_octave(e[5]) * 32 + half_octave(e[6]);
            around.contexts[6] = around.energy / 8 * 64 + low(corner, 3) * 16 + low(left2, 3) * 4 + low(s[0], 3);
            around.signs[0] = lean_size + 4;
            around.signs[1] = around.energy / 8 * 9 + lean_size + 4;
            around.signs[2] = place * 3 + sign_place(s[0]);
            around.signs[3] = around.agreement * 3 + sign_place(s[0]);
            around.signs[4] = sign_place(left) + 3 * sign_place(up) + 9 * sign_place(before) + 27 * sign_place(s[1]);

            const std::int32_t level = model_.code_level(coder_, around, writing ? 0 : out[c]);
            if (writing) out[c] = level;
            if (layout_.trellis) state = transitions[state][level & 1];
            const std::int32_t value = sixteenths(level), m = std::abs(value);
            cur[c] = value;
            magnitudes.learn(e, m - expected, expected_rate);
            values.learn(s, value - lean, lean_rate);
            distances.learn(e, std::abs(value - lean) - spread, expected_rate);
            row_sum += m >> 4;
            recent += (m - recent) >> 2;
            if (value && s[0]) agreement += (((value < 0) == (s[0] < 0) ? 1024 : -1024) - agreement) >> 5;
            mean_[c + 1] += std::int32_t((std::int64_t(m) * 16 - mean_[c + 1]) * rate / 65536);
            kernel_sum += m;
            if (++position == kernel) position = kernel_sum = 0;
        }
        const std::int32_t mean = std::int32_t(row_sum * 16 / std::int64_t(columns_));
        tensor_mean_ = r == 0 ? mean : tensor_mean_ + (mean - tensor_mean_) / std::int32_t(std::min<std::uint32_t>(r + 1, 32));
        if (r == 0) std::fill(mean_.begin(), mean_.end(), mean * 16);
    }

    static constexpr std::size_t guess_line = 3;

    Coder &coder_;
    MixingModel &model_;
    Predictors &predictors_;
    const Layout &layout_;
    std::int32_t *levels_;
    std::size_t columns_, kernel_;
    std::vector<int> offsets_, places_;
    std::vector<std::int32_t> mean_;     // running mean magnitude of each column, 1/256 level, one cell of margin
    std::vector<std::int32_t> product_;
    std::vector<Line> lines_;            // this row and the two above, in turn; the guess
    std::uint32_t distance_[references_most] = {1, 1, 1, 1, 1, 1, 1, 1};
    std::int32_t tensor_mean_ = 16;      // 1/16 level
};

#if defined(__x86_64__) && defined(__GNUC__)
// The same code, compiled once more for machines with AVX2: integers, so the same stream.
template <class SomeWalk>
__attribute__((target("avx2,bmi,bmi2,lzcnt"), flatten)) void run_avx2(SomeWalk &walk) {
    walk.run();
}

template <class SomeWalk>
void run(SomeWalk walk, bool vectors) {
    static const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                             __builtin_cpu_supports("lzcnt");
    if (avx2 && vectors) run_avx2(walk);
    else walk.run();
}
#else
template <class SomeWalk>
void run(SomeWalk walk, bool) {
    walk.run();
}
#endif

}  // namespace

void encode_mixing(const std::vector<LevelTensor> &tensors, std::vector<std::uint8_t> &out) {
    const auto model = std::make_unique<MixingModel>();
    BinaryEncoder coder(out);
    for (const LevelTensor &tensor : tensors) {
        if (tensor.layout.size() == 0) continue;
        run(Walk<BinaryEncoder, false>(coder, *model, tensor.layout, const_cast<std::int32_t *>(tensor.levels)), true);
    }
    coder.finish();
}

void decode_mixing(const std::uint8_t *data, std::size_t size, const std::vector<Layout> &layouts,
                   const std::vector<std::int32_t *> &outputs, bool vectors) {
    // Every level is at least one decision, and none costs less than 1/2840 of a bit: for what cannot be there, nothing
    // is allocated.
    constexpr std::size_t levels_a_byte = 1 << 15;
    std::size_t total = 0;
    for (const Layout &layout : layouts) total += layout.size();
    if (total / levels_a_byte > size + 16) throw LevelsError("the stream is too short for its levels");
    const auto model = std::make_unique<MixingModel>();
    BinaryDecoder coder(data, size);
    for (std::size_t i = 0; i < layouts.size(); ++i) {
        if (layouts[i].size() == 0) continue;
        run(Walk<BinaryDecoder, true>(coder, *model, layouts[i], outputs[i]), vectors);
        if (coder.overrun()) throw LevelsError("the stream ends before its levels do");
    }
}

}  // namespace demitasse
