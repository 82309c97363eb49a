// Linear predictions of a weight from its neighbours and from what its row, column and channel were so far.
//
// Two of them, learnt as they go: is it zero, and which value does it lean to. Integers, the same on every machine.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include "demitasse/logistic.hpp"

namespace demitasse::clusters {

// Normalised least mean squares.
template <std::size_t features>
class LinearPredictor {
  public:
    using Features = std::array<std::int32_t, features>;
    static constexpr std::int32_t limit = 1 << 17;  // of a feature

    explicit LinearPredictor(std::size_t trusted) { weights_[trusted] = 1 << 16; }
    LinearPredictor() = default;

    std::int32_t predict(const Features &x) const {
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < features; ++i) sum += std::int64_t(weights_[i]) * x[i];
        return std::int32_t(std::clamp<std::int64_t>(sum >> 16, -2 * limit, 2 * limit));
    }

    // rate in 1/1024; softening is added to the features' power
    void learn(const Features &x, std::int32_t error, std::int32_t rate, std::int64_t softening) {
        std::int64_t power = softening + 1;
        for (const std::int32_t each : x) power += std::int64_t(each) * each;
        const std::int64_t gain = std::int64_t(error) * (1 << 30) / power * rate >> 4;
        for (std::size_t i = 0; i < features; ++i)
            weights_[i] = std::int32_t(std::clamp<std::int64_t>(weights_[i] + (gain * x[i] >> 20), -2 * limit, 2 * limit));
    }

  private:
    Features weights_{};  // 1/65536
};

// Sums over a row, a column, a channel, a place in the kernel, or all so far.
struct Sums {
    std::int64_t count = 0, filled = 0, magnitude = 0, value = 0;

    void add(std::int32_t x) {
        ++count;
        filled += x != 0;
        magnitude += std::abs(x);
        value += x;
    }
    // The share that is not zero, in 1/65536; prior: for so many weights it was what it is in general.
    std::int32_t density(std::int64_t general, int prior) const {
        return std::int32_t((filled * 65536 + prior * general) / (count + prior));
    }
    std::int32_t tendency(int prior) const { return std::int32_t(value / (filled + prior)); }
};

// Both predictions along one tensor, row by row. Values are in 1/65536 of twice the largest, or so.
class Predictions {
  public:
    Predictions() = default;
    Predictions(std::size_t columns, std::size_t kernel, std::size_t width, std::int32_t typical)
        : columns_(columns), kernel_(kernel), of_columns_(columns), of_channels_(kernel > 1 ? columns / kernel + 1 : 0),
          of_places_(std::min(kernel, columns)), near_(std::min(kernel, largest_kernel)), values_(kept_rows * (columns + 1)) {
        of_all_ = {16, 8, 8 * std::int64_t(typical), 0};
        const std::size_t told_apart = std::min(kernel, most_places);
        filling_.assign(told_apart, LinearPredictor<fill_features>(2));
        leaning_.resize(told_apart);
        for (std::size_t place = 0; place < near_.size(); ++place) find_near(place, width);
    }

    void predict(std::size_t row, std::size_t column) {
        place_ = column % kernel_;
        if (column == 0) begin_row();
        if (place_ == 0) in_kernel_ = 0;
        look(row, column);
        fill_features_of(column);
        lean_features_of(column);
        fill_ = filling().predict(fill_x_);
        lean_ = leaning().predict(lean_x_);
        const int p = clamp(fill_, 400, 65536 - 400);
        zero_odds_ = stretch(logistic_tables(), 65536 - p);
        lean_odds_ = int(std::clamp<std::int64_t>(std::int64_t(lean_) * 512 / (mean() + 1), -1000, 1000));
    }

    void learn(std::size_t row, std::size_t column, std::int32_t value) {
        filling().learn(fill_x_, (value ? 65536 : 0) - fill_, 60, std::int64_t(1) << 34);
        if (value) leaning().learn(lean_x_, value - lean_, 320, 8 * std::int64_t(mean()) * mean());
        for (Sums *sums : {&of_row_, &of_columns_[column], &of_places_[place_], &of_all_}) sums->add(value);
        if (kernel_ > 1) of_channels_[column / kernel_].add(value);
        in_kernel_ += value != 0;
        recent_ += ((value ? 65536 : 0) - recent_) / 8;
        line(row)[column] = value;
    }

    int fill() const { return zero_odds_; }  // log-odds of zero
    int lean() const { return lean_odds_; }  // of a positive value, about
    std::size_t fill_class() const { return std::size_t(clamp((zero_odds_ + 1536) / 48, 0, 63)); }
    std::size_t lean_class() const {
        int size = 0;
        while (size < 15 && std::abs(lean_odds_) >= steps[size]) ++size;
        return std::size_t(lean_odds_ < 0 ? 15 - size : 16 + size);
    }

  private:
    static constexpr std::size_t near_most = 8, most_places = 64, largest_kernel = 1024, kept_rows = 3, around = 16;
    static constexpr std::size_t fill_features = 8 + around + 3, lean_features = around + 4;
    static constexpr int steps[15] = {4, 8, 13, 19, 27, 38, 54, 76, 108, 152, 215, 304, 431, 609, 861};

    LinearPredictor<fill_features> &filling() { return filling_[std::min(place_, most_places - 1)]; }
    LinearPredictor<lean_features> &leaning() { return leaning_[std::min(place_, most_places - 1)]; }
    std::int32_t *line(std::size_t row) { return &values_[row % kept_rows * (columns_ + 1)]; }
    const Sums &channel(std::size_t column) const { return kernel_ > 1 ? of_channels_[column / kernel_] : of_columns_[column]; }
    std::int32_t mean() const { return std::int32_t(of_all_.magnitude / of_all_.filled); }

    // The places before this one in the kernel, nearest first.
    void find_near(std::size_t place, std::size_t width) {
        std::vector<std::pair<std::size_t, std::size_t>> found;
        const std::size_t x = place % width;
        for (std::size_t dy = 0; dy <= std::min<std::size_t>(place / width, 2); ++dy)
            for (std::size_t other = x - std::min<std::size_t>(x, 3); other < std::min(x + 4, width); ++other) {
                const std::size_t dx = x > other ? x - other : other - x;
                if (dy > 0 || other < x) found.emplace_back(dy * dy + dx * dx, dy * width + x - other);
            }
        std::sort(found.begin(), found.end());
        if (found.size() > near_most) found.resize(near_most);
        for (const auto &each : found) near_[place].push_back(each.second);
        for (std::size_t channels = 3; kernel_ == 1 && channels < 6; ++channels) near_[place].push_back(channels);
    }

    void begin_row() {
        of_row_ = Sums();
        recent_ = 32768;
    }

    void look(std::size_t row, std::size_t column) {
        around_.fill(0);
        const std::int32_t *here = line(row) + column;
        if (place_ < near_.size()) {
            const std::vector<std::size_t> &near = near_[place_];
            for (std::size_t i = 0; i < near.size(); ++i) around_[i] = column >= near[i] ? *(here - near[i]) : 0;
        }
        const std::size_t channels[4] = {kernel_, 2 * kernel_, kernel_ - 1, kernel_ + 1};
        for (std::size_t i = 0; i < 4; ++i)
            around_[near_most + i] = (i < 2 || kernel_ > 1) && column >= channels[i] ? *(here - channels[i]) : 0;
        if (row > 0) {
            const std::int32_t *above = line(row - 1) + column;
            around_[12] = above[0];
            around_[13] = column + 1 < columns_ ? above[1] : 0;
            around_[14] = column > 0 ? *(above - 1) : 0;
        }
        if (row > 1) around_[15] = line(row - 2)[column];
    }

    void fill_features_of(std::size_t column) {
        const std::int64_t general = of_all_.filled * 65536 / of_all_.count;
        const auto product = [&](std::int64_t a, std::int64_t b) {
            return std::int32_t(std::min<std::int64_t>(a * b / std::max<std::int64_t>(general, 1), 65535));
        };
        const std::int32_t of_column = of_columns_[column].density(general, 6), of_row = of_row_.density(general, 24);
        const std::int32_t of_channel = channel(column).density(general, 16);
        const std::int32_t of_place = of_places_[place_].density(general, 30), column_and_row = product(of_column, of_row);
        const std::int32_t all = kernel_ > 1 ? product(product(of_channel, of_place), of_row) : column_and_row;
        const std::int32_t in_kernel = place_ ? std::int32_t(in_kernel_ * 65536 / std::int64_t(place_)) : recent_;
        std::int32_t *out = fill_x_.data();
        for (const std::int32_t x : {of_column, of_row, all, column_and_row, of_channel, of_place, recent_, in_kernel}) *out++ = x;
        for (const std::int32_t x : around_) *out++ = x ? 65536 : 0;
        for (const std::size_t i : {std::size_t(0), std::size_t(1), near_most})
            *out++ = std::int32_t(std::min<std::int64_t>(std::abs(around_[i]) * std::int64_t(32768) / (mean() + 1), 65536));
    }

    void lean_features_of(std::size_t column) {
        std::int32_t *out = lean_x_.data();
        for (const std::int32_t x : around_) *out++ = x;
        *out++ = of_columns_[column].tendency(16);
        *out++ = of_row_.tendency(16);
        *out++ = kernel_ > 1 ? of_channels_[column / kernel_].tendency(8) : 0;
        *out++ = kernel_ > 1 ? of_places_[place_].tendency(8) : 0;
    }

    std::size_t columns_ = 0, kernel_ = 1, place_ = 0;
    std::vector<Sums> of_columns_, of_channels_, of_places_;
    Sums of_row_, of_all_;
    std::vector<std::vector<std::size_t>> near_;  // by place: how many columns back
    std::vector<std::int32_t> values_;            // the last rows, in turn
    std::vector<LinearPredictor<fill_features>> filling_;
    std::vector<LinearPredictor<lean_features>> leaning_;
    std::array<std::int32_t, around> around_{};
    std::array<std::int32_t, fill_features> fill_x_{};
    std::array<std::int32_t, lean_features> lean_x_{};
    std::int64_t in_kernel_ = 0;
    std::int32_t recent_ = 0, fill_ = 0, lean_ = 0;
    int zero_odds_ = 0, lean_odds_ = 0;
};

}  // namespace demitasse::clusters
