#include "levels_reference.hpp"

#include <algorithm>
#include <cmath>

#include "binary_log.hpp"

namespace demitasse {

namespace {

constexpr int clamped = 181;        // two of them multiply to less than 2^15
constexpr double side_bits = 10.0;  // of a reference, besides its distance

std::int64_t dot(const std::int16_t *a, const std::int16_t *b, std::size_t n) {
    std::int64_t sum = 0;
    for (std::size_t first = 0; first < n; first += 4096) {
        const std::size_t last = std::min(first + 4096, n);
        std::int32_t part = 0;
        for (std::size_t i = first; i < last; ++i) part += std::int32_t(a[i]) * b[i];
        sum += part;
    }
    return sum;
}

// In bits. Sums of squares are far below 2^56, and with the noise not much below 1.
double log_of(double energy) { return double(binary_log(std::uint64_t(energy * 64) + 1)) / (1 << log_bits); }

}  // namespace

RowReferences::RowReferences(const std::int32_t *levels, const Layout &layout)
    : levels_(levels), columns_(layout.columns()),
      window_(std::min<std::size_t>(layout.rows, reference_window) * columns_),
      gram_(std::size_t(reference_window) * reference_window) {}

void RowReferences::enter(std::uint32_t r) {
    std::int16_t *own = &window_[std::size_t(r % reference_window) * columns_];
    const std::int32_t *row = levels_ + std::size_t(r) * columns_;
    for (std::size_t c = 0; c < columns_; ++c) own[c] = std::int16_t(std::clamp(row[c], -clamped, clamped));
    for (std::uint32_t d = 0; d < reference_window && d <= r; ++d) {
        const std::int16_t *other = &window_[std::size_t((r - d) % reference_window) * columns_];
        gram_[std::size_t(r % reference_window) * reference_window + d] = dot(own, other, columns_);
    }
}

std::vector<RowReference> RowReferences::find(std::uint32_t r) {
    enter(r);
    std::vector<RowReference> out;
    const std::uint32_t most = std::min(r, reference_window - 1);
    const double n = double(columns_), noise = n / 6;
    double energy = double(product(r, 0));  // of what is left to predict
    std::vector<double> left(most + 1);     // its products with the rows above
    for (std::uint32_t d = 1; d <= most; ++d) left[d] = double(product(r, d));
    const double cost = side_bits + double(binary_log(most + 1)) / (1 << log_bits);
    while (int(out.size()) < references_most) {
        RowReference best{0, 0};
        double least = energy;
        for (std::uint32_t d = 1; d <= most; ++d) {
            const double square = double(product(r - d, 0));
            if (square == 0) continue;
            const double slope = std::clamp(std::floor(left[d] / square * 8 + 0.5), -double(slope_limit), double(slope_limit));
            const double rest = energy - slope / 4 * left[d] + slope * slope / 64 * square;
            if (slope != 0 && rest < least) {
                least = rest;
                best = {d, int(slope)};
            }
        }
        if (best.slope == 0 || n / 2 * (log_of(energy + noise) - log_of(least + noise)) < cost) break;
        for (std::uint32_t d = 1; d <= most; ++d) {
            const std::int64_t between = d > best.distance ? product(r - best.distance, d - best.distance) : product(r - d, best.distance - d);
            left[d] -= best.slope / 8.0 * double(between);
        }
        energy = least;
        out.push_back(best);
    }
    return out;
}

}  // namespace demitasse
