#include <algorithm>
#include <array>
#include <cstring>

#include "demitasse/binary_coder.hpp"
#include "lossless_model.hpp"

namespace demitasse {
namespace {

using namespace lossless;

std::uint64_t load(const std::uint8_t *p, std::size_t size) {
    std::uint64_t out = 0;
    for (std::size_t i = 0; i < size; ++i) out |= std::uint64_t(p[i]) << (8 * i);
    return out;
}

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

// Bits below one another from the lowest of each byte on. Beyond the end there are zeros, which `finished` finds out.
class RawBits {
  public:
    RawBits(const std::uint8_t *data, std::size_t size) : data_(data), size_(size) {}

    // The next bits, count <= 57, with rubbish above them.
    std::uint64_t take(int count) {
        const std::size_t byte = position_ >> 3;
        std::uint64_t word = 0;
        if (byte + 8 <= size_) {
            word = eight(data_ + byte);
        } else if (byte < size_) {
            word = load(data_ + byte, size_ - byte);
        }
        word >>= position_ & 7;
        position_ += std::size_t(count);
        return word;
    }

    // The same where there is enough: for the next elements, so many bits each.
    bool plenty(std::size_t elements, int bits) const { return (position_ + elements * std::size_t(bits)) / 8 + 8 <= size_; }
    std::uint64_t take_from_plenty(int count) {
        const std::uint64_t word = eight(data_ + (position_ >> 3)) >> (position_ & 7);
        position_ += std::size_t(count);
        return word;
    }

    bool finished() const { return (position_ + 7) >> 3 == size_; }

  private:
    static std::uint64_t eight(const std::uint8_t *p) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        std::uint64_t word;
        std::memcpy(&word, p, 8);
        return word;
#else
        return load(p, 8);
#endif
    }

    const std::uint8_t *data_;
    std::size_t size_, position_ = 0;
};

// Lanes of rANS states that take 16-bit words from one stream as they run low. An entry of a table, for each of the
// 4096 lowest bits of a state: symbol in bits 24..31, place within the symbol 12..23, its count less one 0..11.
class Lanes {
  public:
    // The states of the lanes in use, then count words.
    Lanes(const std::uint8_t *data, std::size_t used, std::size_t count)
        : used_(used), next_(data + 4 * used), end_(next_ + 2 * count) {
        states_.fill(lower_bound);
        for (std::size_t lane = 0; lane < used; ++lane) {
            states_[lane] = std::uint32_t(load(data + 4 * lane, 4));
            if (states_[lane] < lower_bound) throw LosslessError("a state is too low");
        }
    }

    // Symbols of count elements of a row; tables(i) is the table of the i-th.
    template <class Tables>
    void decode(std::size_t count, std::uint8_t *symbols, Tables tables) {
        std::size_t i = used_ == lanes ? decode_together(count, symbols, tables) : 0;
        for (; i < count; ++i) {
            std::uint32_t &state = states_[i % used_];
            symbols[i] = step(state, tables(i));
            if (state < lower_bound) {
                if (next_ == end_) throw LosslessError("a stream of symbols is cut");
                state = state << 16 | next_[0] | std::uint32_t(next_[1]) << 8;
                next_ += 2;
            }
        }
    }

    bool finished() const {
        return next_ == end_ &&
               std::all_of(states_.begin(), states_.end(), [](std::uint32_t state) { return state == lower_bound; });
    }

  private:
    static std::uint8_t step(std::uint32_t &state, const std::uint32_t *table) {
        const std::uint32_t entry = table[state & (probability_one - 1)];
        state = ((entry & 0xFFF) + 1) * (state >> probability_bits) + (entry >> 12 & 0xFFF);
        return std::uint8_t(entry >> 24);
    }

    // All lanes at once, while there is at least a word for each; how many symbols that made. The states are local
    // and never indexed by a variable once the loop is unrolled: they stay in registers.
    template <class Tables>
    std::size_t decode_together(std::size_t count, std::uint8_t *symbols, Tables tables) {
        std::uint32_t states[lanes];
        std::copy(states_.begin(), states_.end(), states);
        const std::uint8_t *next = next_;
        std::size_t i = 0;
        for (; i + lanes <= count && std::size_t(end_ - next) >= 2 * lanes; i += lanes) {
#if defined(__GNUC__)
#pragma GCC unroll 8
#endif
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                std::uint32_t state = states[lane];
                symbols[i + lane] = step(state, tables(i + lane));
                const std::uint32_t fed = state << 16 | next[0] | std::uint32_t(next[1]) << 8;
                const bool low = state < lower_bound;
                states[lane] = low ? fed : state;
                next += low ? 2 : 0;
            }
        }
        std::copy(states, states + lanes, states_.begin());
        next_ = next;
        return i;
    }

    std::array<std::uint32_t, lanes> states_{};
    std::size_t used_;
    const std::uint8_t *next_, *end_;
};

std::vector<std::uint32_t> lookup_tables(const Model &model) {
    std::vector<std::uint32_t> out(model.counts.size() * probability_one);
    std::size_t place = 0;
    for (const auto &counts : model.counts) {
        for (std::size_t symbol = 0; symbol < max_symbols; ++symbol) {
            for (std::uint32_t i = 0; i < counts[symbol]; ++i)
                out[place++] = std::uint32_t(symbol) << 24 | i << 12 | (counts[symbol] - 1u);
        }
    }
    return out;
}

// What a symbol stands for: fixed bits, and raw bits of which the low ones go above the dropped and the next is the sign.
struct Meaning {
    std::uint64_t fixed = 0;
    std::uint64_t rest_mask = 0;
    std::uint64_t sign_mask = 0;
    int raw = 0;
};

class Restorer {
  public:
    Restorer(Fields fields, const Alphabet &alphabet)
        : width_(fields.width), rest_(rest_bits(fields) - alphabet.dropped), dropped_(alphabet.dropped) {
        const int bits = key_bits(fields, alphabet.with_sign);
        for (std::size_t symbol = 0; symbol < alphabet.keys.size(); ++symbol) {
            Meaning &meaning = meanings_[symbol];
            const std::uint32_t key = alphabet.keys[symbol];
            if (width_ == 8) {
                meaning.fixed = key;
            } else if (key >> bits) {  // +0, -0
                meaning.fixed = std::uint64_t(key & 1) << (width_ - 1);
                plain_ = false;
            } else {
                meaning.fixed = std::uint64_t(key) << rest_bits(fields);
                meaning.rest_mask = rest_ > 0 ? ~std::uint64_t(0) >> (64 - rest_) : 0;
                meaning.sign_mask = !alphabet.with_sign;
                meaning.raw = rest_ + !alphabet.with_sign;
            }
        }
        escape_ = alphabet.escape ? int(alphabet.keys.size()) : -1;
        plain_ = plain_ && !alphabet.escape && !alphabet.keys.empty();
    }

    template <class Word>
    void restore(const std::uint8_t *symbols, std::size_t count, RawBits &bits, Word *out) const {
        if (width_ == 8) {
            for (std::size_t i = 0; i < count; ++i) out[i] = Word(meanings_[symbols[i]].fixed);
        } else if (plain_ && bits.plenty(count, meanings_[0].raw)) {
            Meaning meaning = meanings_[0];
            for (std::size_t i = 0; i < count; ++i) {
                meaning.fixed = meanings_[symbols[i]].fixed;
                out[i] = Word(value(meaning, bits.take_from_plenty(meaning.raw)));
            }
        } else {
            for (std::size_t i = 0; i < count; ++i) {
                if (int(symbols[i]) == escape_) {
                    const int low = width_ / 2;
                    const std::uint64_t mask = (std::uint64_t(1) << low) - 1;
                    const std::uint64_t below = bits.take(low) & mask;
                    out[i] = Word(below | (bits.take(low) & mask) << low);
                } else {
                    const Meaning &meaning = meanings_[symbols[i]];
                    out[i] = Word(value(meaning, bits.take(meaning.raw)));
                }
            }
        }
    }

  private:
    std::uint64_t value(const Meaning &meaning, std::uint64_t raw) const {
        return meaning.fixed | (raw & meaning.rest_mask) << dropped_ |
               (raw >> rest_ & meaning.sign_mask) << (width_ - 1);
    }

    std::array<Meaning, max_symbols> meanings_{};
    int width_, rest_, dropped_, escape_ = -1;
    bool plain_ = true;
};

struct Stream {
    Model model;
    std::vector<std::uint32_t> tables;
    Lanes lanes;
    RawBits bits;
};

template <class Word>
void decode_matrix(Stream &stream, const Restorer &restorer, Shape shape, const Classes &own, Word *out) {
    constexpr std::size_t step = 4096;
    std::array<std::uint8_t, step> symbols;
    // Tables by class, so far beyond 0..63 on both sides that no sum of a row and a column needs clamping.
    std::array<const std::uint32_t *, classes + column_classes> tables;
    for (int i = 0; i < int(tables.size()); ++i) {
        const int own_class = std::clamp(i - column_classes / 2, 0, classes - 1);
        tables[std::size_t(i)] = &stream.tables[stream.model.table[std::size_t(own_class)] * std::size_t(probability_one)];
    }
    for (std::size_t row = 0; row < shape.rows; ++row) {
        const std::uint32_t *const *of_row = &tables[own.rows[row] + std::size_t(column_classes) / 2];
        for (std::size_t column = 0; column < shape.columns; column += step) {
            const std::size_t count = std::min(step, shape.columns - column);
            if (own.columns.empty()) {
                const std::uint32_t *table = *of_row;
                stream.lanes.decode(count, symbols.data(), [table](std::size_t) { return table; });
            } else {
                const std::int8_t *added = &own.columns[column];
                stream.lanes.decode(count, symbols.data(), [=](std::size_t i) { return of_row[added[i]]; });
            }
            restorer.restore(symbols.data(), count, stream.bits, out + row * shape.columns + column);
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
    std::vector<std::uint32_t> tables = lookup_tables(model);
    next += model_size;
    const std::uint8_t *raw = next + 4 * used + 2 * word_count;
    Stream stream{std::move(model), std::move(tables), Lanes(next, used, word_count), RawBits(raw, std::size_t(end - raw))};
    const Restorer restorer(fields, stream.model.alphabet);
    for (std::size_t i = 0; i < matrices.size(); ++i) {
        const Classes &own = stream.model.matrices[i];
        switch (fields.width) {
            case 8: decode_matrix(stream, restorer, shapes[i], own, static_cast<std::uint8_t *>(matrices[i].data)); break;
            case 16: decode_matrix(stream, restorer, shapes[i], own, static_cast<std::uint16_t *>(matrices[i].data)); break;
            case 32: decode_matrix(stream, restorer, shapes[i], own, static_cast<std::uint32_t *>(matrices[i].data)); break;
            default: decode_matrix(stream, restorer, shapes[i], own, static_cast<std::uint64_t *>(matrices[i].data)); break;
        }
    }
    if (!stream.lanes.finished() || !stream.bits.finished()) throw LosslessError("a stream of numbers does not end well");
}

}  // namespace demitasse
