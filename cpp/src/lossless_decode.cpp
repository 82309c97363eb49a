#include <algorithm>
#include <array>
#include <cstring>

#include "demitasse/binary_coder.hpp"
#include "lossless_lanes.hpp"
#include "lossless_model.hpp"
#include "lossless_restore.hpp"

namespace demitasse {
namespace {

using namespace lossless;

constexpr std::size_t run = 4096;  // elements that are decoded together
static_assert(run % most_lanes == 0, "every run begins with the first lane");

std::size_t varint(const std::uint8_t *&next, const std::uint8_t *end) {
    std::size_t out = 0;
    for (int shift = 0; shift < 42; shift += 7) {
        if (next == end) break;
        const std::uint8_t byte = *next++;
        out |= std::size_t(byte & 127) << shift;
        if (byte < 128) return out;
    }
    throw LosslessError("a stream of numbers is cut");
}

// The numbers of elements' tables, in the order of the stream.
class TableNumbers {
  public:
    TableNumbers(const Model &model, const std::vector<Shape> &shapes) : model_(model), shapes_(shapes) {
        // By class, so far beyond 0..63 on both sides that no sum of a row and a column needs clamping.
        for (int i = 0; i < int(number_.size()); ++i)
            number_[std::size_t(i)] = model.table[std::size_t(std::clamp(i - column_classes / 2, 0, classes - 1))];
    }

    void next(std::size_t count, std::uint8_t *which) {
        while (count > 0) {
            const Shape shape = shapes_[matrix_];
            const std::size_t part = std::min(count, shape.columns - column_);
            if (shape.rows > 0 && part > 0) {
                const Classes &own = model_.matrices[matrix_];
                const std::uint8_t *of_row = &number_[own.rows[row_] + std::size_t(column_classes) / 2];
                if (own.columns.empty()) {
                    std::memset(which, *of_row, part);
                } else {
                    const std::int8_t *added = &own.columns[column_];
                    for (std::size_t i = 0; i < part; ++i) which[i] = of_row[added[i]];
                }
                which += part;
                count -= part;
                column_ += part;
            }
            if (column_ < shape.columns) continue;
            column_ = 0;
            if (++row_ < shape.rows) continue;
            row_ = 0;
            ++matrix_;
        }
    }

  private:
    const Model &model_;
    const std::vector<Shape> &shapes_;
    std::array<std::uint8_t, classes + column_classes> number_;
    std::size_t matrix_ = 0, row_ = 0, column_ = 0;
};

template <class Word>
void decode_elements(const Model &model, Lanes &lanes, RawBits &bits, const std::vector<Shape> &shapes,
                     const Restorer &restorer, std::size_t elements, const std::vector<MutableMatrix> &matrices) {
    const std::vector<std::uint32_t> tables = lookup_tables(model);
    TableNumbers numbers(model, shapes);
    std::array<std::uint8_t, run> which, symbols;
    std::size_t matrix = 0, at = 0;
    for (std::size_t done = 0; done < elements; done += run) {
        const std::size_t count = std::min(run, elements - done);
        numbers.next(count, which.data());
        lanes.decode(tables.data(), which.data(), count, symbols.data());
        for (std::size_t i = 0; i < count;) {
            const std::size_t size = matrices[matrix].rows * matrices[matrix].columns, part = std::min(count - i, size - at);
            if (part > 0) restorer.restore(&symbols[i], part, bits, static_cast<Word *>(matrices[matrix].data) + at);
            i += part;
            at += part;
            if (at < size) continue;
            at = 0;
            ++matrix;
        }
    }
}

}  // namespace

void decode_lossless(Element element, const std::uint8_t *data, std::size_t size,
                     const std::vector<MutableMatrix> &matrices) {
    const Fields fields = Fields::of(element);
    std::vector<Shape> shapes;
    std::size_t elements = 0;
    for (const MutableMatrix &matrix : matrices) {
        shapes.push_back(Shape::of(matrix.rows, matrix.columns, element));
        elements += matrix.rows * matrix.columns;
    }
    if (elements == 0) {
        if (size) throw LosslessError("bytes for no elements");
        return;
    }
    const std::uint8_t *next = data, *const end = data + size;
    const std::size_t model_size = varint(next, end), word_count = varint(next, end);
    const std::size_t used = lanes_for(elements), left = std::size_t(end - next);
    if (model_size > left || 4 * used > left - model_size || word_count > (left - model_size - 4 * used) / 2)
        throw LosslessError("a stream of numbers is cut");

    Model model;
    BinaryDecoder coder(next, model_size);
    code_model(coder, fields, shapes, model);
    if (coder.overrun()) throw LosslessError("the model of a stream is cut");
    if (model.counts.empty()) throw LosslessError("no symbols");
    next += model_size;
    Lanes lanes(next, used, word_count);
    next += 4 * used + 2 * word_count;
    RawBits bits(next, std::size_t(end - next));
    const Restorer restorer(fields, model.alphabet);
    const auto decode = [&](auto word) { decode_elements<decltype(word)>(model, lanes, bits, shapes, restorer, elements, matrices); };
    switch (fields.width) {
        case 8: decode(std::uint8_t{}); break;
        case 16: decode(std::uint16_t{}); break;
        case 32: decode(std::uint32_t{}); break;
        default: decode(std::uint64_t{}); break;
    }
    if (!lanes.finished() || !bits.finished()) throw LosslessError("a stream of numbers does not end well");
}

}  // namespace demitasse
