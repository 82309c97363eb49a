#include "levels_context.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace demitasse {

namespace {

constexpr std::int32_t expected_limit = (1 << 24) - 1;  // 1/4096 level
constexpr std::int32_t factor_limit = (1 << 15) - 1;    // 1/1024
constexpr std::int32_t mean_one = 1 << 14;

std::int32_t mantissa_of(int scale) { return (scale & 1) ? 256 : 362; }
int exponent_of(int scale) { return (scale + 1) / 2 - 13; }  // 25 stands for 1

int floor_log2(std::uint32_t x) { return 31 - __builtin_clz(x); }

}  // namespace

int row_scale(const std::int32_t *levels, std::size_t columns) {
    std::uint64_t sum = 0;
    for (std::size_t c = 0; c < columns; ++c) sum += std::uint64_t(std::abs(levels[c]));
    if (sum == 0) return 0;
    const double mean = double(sum) / double(columns);
    // Boundaries lie a quarter octave below each scale.
    double bound = std::sqrt(std::sqrt(2.0)) / 4096 ;
    int scale = 1;
    while (scale < row_scales - 1 && mean >= bound) {
        ++scale;
        bound *= std::sqrt(2.0);
    }
    return scale;
}

BandWalk::BandWalk(const Layout &layout, const Combinations &combinations)
    : columns_(layout.columns()), kernel_(layout.kernel()), channels_(layout.channels), combinations_(combinations) {
    if (combinations_.size() != kernel_) combinations_.assign(kernel_, combinations_.at(0));
    const std::int32_t kernel = std::int32_t(kernel_), width = std::int32_t(layout.kernel_w);
    distances_.resize(kernel_);
    for (std::int32_t position = 0; position < kernel; ++position) {
        Distances &distances = distances_[std::size_t(position)];
        distances.before = kernel > 1 ? kernel : 4;
        distances.up = position >= width ? width : kernel > 1 ? 2 * kernel : 3;
    }
    margin_ = std::size_t(std::max(2 * kernel, 4));
    levels_.assign((margin_ + columns_) * lanes, 0);
    mean_.assign(columns_, mean_one);
    factors_.assign(columns_, 0);
    ratios_.assign(channels_, 0);
    parts_[0].assign(columns_, 0);
    parts_[1].assign(columns_, 0);
}

void BandWalk::begin(const std::uint8_t *scales) {
    scale_sum_ = 0;
    for (int lane = 0; lane < lanes; ++lane) {
        const int scale = scales[lane];
        mantissa_[lane] = scale ? mantissa_of(scale) : 0;
        shift_[lane] = scale ? 6 - exponent_of(scale) : 0;
        if (scale) {
            const int up = exponent_of(scale) + 4;
            scale_sum_ += up >= 0 ? mantissa_[lane] << up : std::max(mantissa_[lane] >> -up, 1);
        }
    }
    if (seen_ == 0) seen_ = scale_sum_ / 2;
    rate_ = scale_sum_ ? (scale_sum_ << 16) / (seen_ + scale_sum_) : 0;
    gain_ = scale_sum_ ? (rate_ << 26) / scale_sum_ : 0;
    find_factors();
}

// Products and quotients of integers are taken in double precision, which does several at a time and is exact up to
// 2^53: 2^40 is the largest here.
void BandWalk::find_factors() {
    std::vector<std::int64_t> position_sum(kernel_, 0);
    std::int64_t total = 0;
    for (std::size_t k = 0; k < kernel_; ++k) {
        for (std::size_t i = 0; i < channels_; ++i) position_sum[k] += mean_[i * kernel_ + k];
        total += position_sum[k];
    }
    const double overall = double(total / std::int64_t(columns_) + 1);
    if (kernel_ == 1) ratios_ = mean_;
    for (std::size_t i = 0; i < channels_ && kernel_ > 1; ++i) {
        std::int64_t sum = 0;
        for (std::size_t k = 0; k < kernel_; ++k) sum += mean_[i * kernel_ + k];
        ratios_[i] = std::int32_t(sum / std::int64_t(kernel_));
    }
    for (std::size_t i = 0; i < channels_; ++i)
        ratios_[i] = std::int32_t(std::min(double(ratios_[i]) * 4096 / overall, double(1 << 20)));
    for (std::size_t k = 0; k < kernel_; ++k) {
        const double position_mean = double(position_sum[k] / std::int64_t(channels_)) / 65536;
        const std::int32_t *weight = combinations_[k].column;
        const std::int32_t of_column = weight[0], of_product = weight[1], of_one = weight[2] * 1024;
        const std::int32_t *mean = &mean_[k], *ratio = ratios_.data();
        std::int32_t *factor = &factors_[k], *columns = &parts_[0][k], *products = &parts_[1][k];
        for (std::size_t i = 0; i < channels_; ++i) {
            const std::int32_t column = std::min(mean[i * kernel_] >> 4, factor_limit);
            const std::int32_t product = std::int32_t(std::min(position_mean * ratio[i], double(factor_limit)));
            columns[i * kernel_] = column;
            products[i * kernel_] = product;
            factor[i * kernel_] = std::min((of_column * column + of_product * product + of_one) >> 12, factor_limit);
        }
    }
}

void BandWalk::contexts(std::size_t column, BandContexts &out) const {
    const std::size_t position = column % kernel_;
    const Distances &at = distances_[position];
    const Combination &combination = combinations_[position];
    const std::int32_t *here = &levels_[(margin_ + column) * lanes];
    const std::int32_t *neighbour[4] = {here - lanes, here - 2 * lanes, here - at.up * lanes, here - at.before * lanes};
    for (int lane = 0; lane < lanes; ++lane) {
        std::int32_t expected = (factors_[column] * mantissa_[lane]) >> shift_[lane];
        std::int32_t lean = 0;
        for (int i = 0; i < 4; ++i) {
            const std::int32_t level = std::clamp(neighbour[i][lane], -magnitude_cap, magnitude_cap);
            expected += combination.neighbour[i] * std::abs(level);
            lean += combination.lean[i] * level;
        }
        expected = std::clamp(expected, 16, expected_limit);
        const int e = floor_log2(std::uint32_t(expected));
        const int quarter = (e >= 2 ? expected >> (e - 2) : expected << (2 - e)) & 3;
        out.magnitude_class[lane] = std::min(4 * (e - 4) + quarter, classes - 1);
        const std::int32_t strength = std::abs(lean);
        const int amount = (strength >= expected >> 2) + (strength >= (expected >> 1) + (expected >> 2));
        out.lean[lane] = lean < 0 ? -amount : amount;
    }
}

void BandWalk::learn(std::size_t first, const std::int32_t *sums, std::size_t count) {
    std::int32_t *mean = &mean_[first];
    for (std::size_t i = 0; i < count; ++i) {
        const std::int64_t next = mean[i] + ((sums[i] * gain_) >> 16) - ((mean[i] * rate_) >> 16);
        mean[i] = std::int32_t(std::min<std::int64_t>(next, 64 * mean_one));
    }
}

void BandWalk::learn() {
    for (std::size_t c = 0; c < columns_; ++c) {
        std::int32_t sum = 0;
        for (int lane = 0; lane < lanes; ++lane) sum += std::min(std::abs(levels(c)[lane]), magnitude_cap);
        learn(c, &sum, 1);
    }
}

void BandWalk::end() {
    if (scale_sum_) seen_ = std::min(seen_ + scale_sum_, 31 * std::max(scale_sum_, seen_ / 31));
}

namespace {

constexpr int fitted = Combination::neighbours + Combination::columns;

constexpr std::size_t position_worth = 1000;  // weights that pay for a combination

struct Sample {
    float magnitude[fitted];
    float level[Combination::neighbours];
    float target;
    std::uint32_t position;
};

// Minimises x'Ax - 2b'x by coordinate descent, x >= 0 where wanted.
void solve(const double (&a)[fitted][fitted], const double (&b)[fitted], int n, bool nonnegative, double (&x)[fitted]) {
    for (int round = 0; round < 200; ++round) {
        for (int i = 0; i < n; ++i) {
            if (a[i][i] <= 0) continue;
            double residual = b[i];
            for (int j = 0; j < n; ++j) residual -= a[i][j] * x[j];
            x[i] += residual / a[i][i];
            if (nonnegative && x[i] < 0) x[i] = 0;
        }
    }
}

std::vector<Sample> draw_samples(const std::int32_t *levels, const Layout &layout, const std::vector<std::uint8_t> &scales) {
    BandWalk walk(layout, Combinations(1));
    const std::size_t columns = layout.columns(), bands = (layout.rows + lanes - 1) / lanes;
    const std::size_t wanted = 60000;
    const std::size_t stride = std::max<std::size_t>(columns * bands / wanted, 1) | 1;
    std::vector<Sample> out;
    std::size_t next = stride / 2;
    for (std::size_t band = 0; band < bands; ++band) {
        const int rows = int(std::min<std::size_t>(lanes, layout.rows - band * lanes));
        std::uint8_t scale[lanes] = {};
        std::copy_n(&scales[band * lanes], rows, scale);
        walk.begin(scale);
        for (int lane = 0; lane < rows; ++lane) {
            const std::int32_t *row = levels + (band * lanes + std::size_t(lane)) * columns;
            for (std::size_t c = 0; c < columns; ++c) walk.levels(c)[lane] = row[c];
        }
        for (; next < columns; next += stride) {
            const BandWalk::Distances &at = walk.distances(next % layout.kernel());
            const std::int32_t *here = walk.levels(next);
            for (int lane = 0; lane < rows; ++lane) {
                if (!scale[lane]) continue;
                const std::int32_t near[4] = {here[lane - lanes], here[lane - 2 * lanes], here[lane - at.up * lanes],
                                              here[lane - at.before * lanes]};
                Sample sample;
                for (int i = 0; i < 4; ++i) {
                    sample.level[i] = float(std::clamp(near[i], -magnitude_cap, magnitude_cap));
                    sample.magnitude[i] = std::fabs(sample.level[i]);
                }
                const float row = float(walk.scale_mantissas()[lane]) / float(1 << walk.scale_shifts()[lane]) * 64.0f / 1024 / 256;
                for (int i = 0; i < 2; ++i) sample.magnitude[4 + i] = row * float(walk.column_parts(i)[next]);
                sample.magnitude[6] = row * 1024;
                sample.position = std::uint32_t(next % layout.kernel());
                sample.target = float(std::clamp(here[lane], -magnitude_cap, magnitude_cap));
                out.push_back(sample);
            }
        }
        next -= columns;
        walk.learn();
        walk.end();
    }
    return out;
}

}  // namespace

namespace {

struct Equations {
    double a[fitted][fitted] = {}, b[fitted] = {};

    void add(const float *x, int n, double target, double weight) {
        for (int i = 0; i < n; ++i) {
            for (int j = 0; j <= i; ++j) a[i][j] += weight * x[i] * x[j];
            b[i] += weight * x[i] * target;
        }
    }
    void solve(int n, bool nonnegative, double (&x)[fitted]) {
        for (int i = 0; i < n; ++i) {
            a[i][i] *= 1.0001;
            for (int j = 0; j < i; ++j) a[j][i] = a[i][j];
        }
        demitasse::solve(a, b, n, nonnegative, x);
    }
};

// Squared errors count in relation to the expectation: reweighted least squares.
Combination fit_position(const std::vector<Sample> &samples, std::int64_t position) {
    Combination out;
    double x[fitted] = {0.05, 0.05, 0.05, 0.05, 0.3, 0.3, 0.2}, lean[fitted] = {};
    for (int round = 0; round < 3; ++round) {
        Equations magnitudes, levels;
        for (const Sample &sample : samples) {
            if (position >= 0 && sample.position != position) continue;
            double expected = 1e-3;
            for (int i = 0; i < fitted; ++i) expected += x[i] * sample.magnitude[i];
            const double weight = 1 / (expected * expected + 0.5 * expected);
            magnitudes.add(sample.magnitude, fitted, std::fabs(double(sample.target)), weight);
            if (round == 2) levels.add(sample.level, Combination::neighbours, sample.target, weight);
        }
        magnitudes.solve(fitted, true, x);
        if (round == 2) levels.solve(Combination::neighbours, false, lean);
    }
    // In multiples of 1/256, as they are written.
    const auto fixed = [](double value) { return std::int32_t(std::clamp(std::floor(value * 256 + 0.5), -511.0, 511.0)) * 16; };
    for (int i = 0; i < Combination::neighbours; ++i) {
        out.neighbour[i] = fixed(x[i]);
        out.lean[i] = fixed(lean[i]);
    }
    for (int i = 0; i < Combination::columns; ++i) out.column[i] = fixed(x[Combination::neighbours + i]);
    return out;
}

}  // namespace

Combinations fit_combinations(const std::int32_t *levels, const Layout &layout, const std::vector<std::uint8_t> &scales) {
    const std::vector<Sample> samples = draw_samples(levels, layout, scales);
    Combinations out;
    if (layout.kernel() == 1 || layout.size() < layout.kernel() * position_worth) {
        out.push_back(fit_position(samples, -1));
    } else {
        for (std::size_t position = 0; position < layout.kernel(); ++position)
            out.push_back(fit_position(samples, std::int64_t(position)));
    }
    return out;
}

}  // namespace demitasse
