#include "lossless_statistics.hpp"

#include <algorithm>
#include <cstring>

namespace demitasse::lossless {
namespace {

constexpr int zeros_below = 12;  // half octaves that a zero counts as below the mean of the others

template <class Word>
std::vector<std::int16_t> magnitudes_of(Fields fields, const ConstMatrix &matrix) {
    const std::size_t count = matrix.rows * matrix.columns;
    const auto *values = static_cast<const Word *>(matrix.data);
    std::vector<std::int16_t> out(count);
    for (std::size_t i = 0; i < count; ++i) {
        const Word size = Word(values[i] << 1);
        out[i] = size ? std::int16_t(size >> (fields.width - 1 - fields.exponent)) : std::int16_t(-1);
    }
    return out;
}

std::int64_t rounded(std::int64_t sum, std::int64_t count) {
    return (2 * sum + (sum < 0 ? -count : count)) / (2 * count);
}

// What coding these magnitudes by class costs, with the classes of Classes or without its columns; in 1/65536 bits.
class Histogram {
  public:
    Histogram() : counts_(std::size_t(classes) * symbols) {}
    void add(int own_class, int magnitude) {
        ++counts_[std::size_t(std::clamp(own_class, 0, classes - 1)) * symbols + std::size_t((magnitude + 1) & (symbols - 1))];
    }
    std::uint64_t cost() const {
        std::uint64_t out = 0;
        for (std::size_t i = 0; i < classes; ++i) out += entropy(&counts_[i * symbols], symbols);
        return out;
    }

  private:
    static constexpr std::size_t symbols = 128;
    std::vector<std::uint32_t> counts_;
};

bool columns_pay(const std::vector<std::int16_t> &sizes, Shape shape, const Classes &own) {
    Histogram without, with;
    std::array<std::uint32_t, column_classes> used{};
    for (std::size_t row = 0; row < shape.rows; ++row) {
        for (std::size_t column = 0; column < shape.columns; ++column) {
            const int size = sizes[row * shape.columns + column];
            without.add(own.rows[row], size);
            with.add(own.rows[row] + own.columns[column], size);
        }
    }
    for (const std::int8_t value : own.columns) ++used[std::size_t(value + column_classes / 2)];
    const std::uint64_t table = std::uint64_t(64) << 16;  // the mixed classes cost a little more in tables, too
    return with.cost() + entropy(used.data(), used.size()) + table < without.cost();
}

void find_column_classes(const std::vector<std::int16_t> &sizes, Shape shape, int zero, Classes &own) {
    std::vector<std::int64_t> sums(shape.columns);
    std::int64_t total = 0;
    for (std::size_t row = 0; row < shape.rows; ++row) {
        const std::int16_t *of_row = &sizes[row * shape.columns];
        for (std::size_t column = 0; column < shape.columns; ++column)
            sums[column] += of_row[column] < 0 ? zero : of_row[column];
    }
    for (const std::int64_t sum : sums) total += sum;
    const auto rows = std::int64_t(shape.rows), columns = std::int64_t(shape.columns);
    own.columns.resize(shape.columns);
    for (std::size_t column = 0; column < shape.columns; ++column) {
        const std::int64_t away = rounded(2 * (sums[column] - rounded(total, columns)), rows);
        own.columns[column] = std::int8_t(std::clamp<std::int64_t>(away, -column_classes / 2, column_classes / 2 - 1));
    }
    if (!columns_pay(sizes, shape, own)) own.columns.clear();
}

// Bytes have no magnitude; their columns (the fields of records) are told apart.
std::vector<Classes> byte_classes(const std::vector<Shape> &shapes) {
    std::vector<Classes> out(shapes.size());
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        out[i].rows.assign(shapes[i].rows, column_classes / 2);
        if (shapes[i].rows < 2 || shapes[i].columns > column_classes) continue;
        for (std::size_t column = 0; column < shapes[i].columns; ++column)
            out[i].columns.push_back(std::int8_t(int(column) - column_classes / 2));
    }
    return out;
}

}  // namespace

std::uint32_t log2_fixed(std::uint64_t x) {
    if (x == 0) return 0;
    int whole = 0;
    while (x >> whole > 1) ++whole;
    std::uint64_t mantissa = whole > 31 ? x >> (whole - 31) : x << (31 - whole);  // [1, 2) in 2^-31
    std::uint32_t out = std::uint32_t(whole) << 16;
    for (std::uint32_t bit = 1u << 15; bit; bit >>= 1) {
        mantissa = mantissa * mantissa >> 31;
        if (mantissa >> 32) {
            out |= bit;
            mantissa >>= 1;
        }
    }
    return out;
}

std::uint64_t entropy(const std::uint32_t *counts, std::size_t size) {
    std::uint64_t total = 0, out = 0;
    for (std::size_t i = 0; i < size; ++i) total += counts[i];
    const std::uint64_t whole = log2_fixed(total);
    for (std::size_t i = 0; i < size; ++i)
        if (counts[i]) out += counts[i] * (whole - log2_fixed(counts[i]));
    return out;
}

std::vector<std::int16_t> magnitudes(Element element, const ConstMatrix &matrix) {
    const Fields fields = Fields::of(element);
    switch (element) {
        case Element::float32: return magnitudes_of<std::uint32_t>(fields, matrix);
        case Element::float64: return magnitudes_of<std::uint64_t>(fields, matrix);
        case Element::float16: return magnitudes_of<std::uint16_t>(fields, matrix);
        default: return {};
    }
}

std::vector<Classes> find_classes(Element element, const std::vector<ConstMatrix> &matrices,
                                  const std::vector<Shape> &shapes) {
    if (element == Element::byte) return byte_classes(shapes);
    std::vector<std::vector<std::int16_t>> sizes;
    std::int64_t sum = 0, count = 0;
    for (const ConstMatrix &matrix : matrices) {
        sizes.push_back(magnitudes(element, matrix));
        for (const std::int16_t size : sizes.back()) {
            sum += size < 0 ? 0 : size;
            count += size >= 0;
        }
    }
    const int mean = count ? int(rounded(sum, count)) : 0, zero = mean - zeros_below;
    std::vector<Classes> out(matrices.size());
    for (std::size_t i = 0; i < matrices.size(); ++i) {
        for (std::size_t row = 0; row < shapes[i].rows; ++row) {
            std::int64_t of_row = 0;
            for (std::size_t column = 0; column < shapes[i].columns; ++column) {
                const std::int16_t size = sizes[i][row * shapes[i].columns + column];
                of_row += size < 0 ? zero : size;
            }
            const std::int64_t own = rounded(2 * of_row, std::int64_t(shapes[i].columns)) - 2 * mean + classes / 2;
            out[i].rows.push_back(std::uint8_t(std::clamp<std::int64_t>(own, 0, classes - 1)));
        }
        if (shapes[i].rows >= 8) find_column_classes(sizes[i], shapes[i], zero, out[i]);
    }
    return out;
}

void find_tables(std::vector<std::array<std::uint32_t, max_symbols>> &counts, std::size_t symbols, Model &model) {
    struct Group {
        std::size_t last;  // class; it starts after the group before
        std::uint64_t cost;
        std::array<std::uint32_t, max_symbols> counts;
    };
    const auto cost = [symbols](const std::array<std::uint32_t, max_symbols> &of) {
        std::uint64_t table = 0;
        for (std::size_t symbol = 0; symbol < symbols; ++symbol) table += of[symbol] ? 6 : 1;
        return entropy(of.data(), symbols) + (table << 16);
    };
    const auto merged = [](const Group &a, const Group &b) {
        auto sum = a.counts;
        for (std::size_t symbol = 0; symbol < max_symbols; ++symbol) sum[symbol] += b.counts[symbol];
        return sum;
    };
    std::vector<Group> groups;
    std::vector<std::uint64_t> together;  // cost of a group with the next
    for (std::size_t i = 0; i < counts.size(); ++i) groups.push_back({i, cost(counts[i]), counts[i]});
    for (std::size_t i = 0; i + 1 < groups.size(); ++i) together.push_back(cost(merged(groups[i], groups[i + 1])));
    while (groups.size() > 1) {
        std::size_t best = 0;
        std::int64_t least = INT64_MAX;
        for (std::size_t i = 0; i < together.size(); ++i) {
            const auto loss = std::int64_t(together[i] - groups[i].cost - groups[i + 1].cost);
            if (loss < least) {
                least = loss;
                best = i;
            }
        }
        if (least > 0 && groups.size() <= max_tables) break;
        groups[best] = {groups[best + 1].last, together[best], merged(groups[best], groups[best + 1])};
        groups.erase(groups.begin() + std::ptrdiff_t(best) + 1);
        together.erase(together.begin() + std::ptrdiff_t(best));
        if (best < together.size()) together[best] = cost(merged(groups[best], groups[best + 1]));
        if (best > 0) together[best - 1] = cost(merged(groups[best - 1], groups[best]));
    }
    std::size_t group = 0;
    for (std::size_t i = 0; i < classes; ++i) {
        model.table[i] = std::uint8_t(group);
        if (i == groups[group].last) ++group;
    }
    counts.clear();
    for (const Group &each : groups) counts.push_back(each.counts);
}

}  // namespace demitasse::lossless
