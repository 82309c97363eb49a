#include "lossless_model.hpp"

#include "demitasse/binary_coder.hpp"

namespace demitasse::lossless {
namespace {

// The probability of a one, learnt fast at first.
class AdaptiveBit {
  public:
    template <class Coder>
    bool code(Coder &coder, bool bit) {
        const bool coded = coder.code(p_, bit);
        const std::int32_t target = coded ? 65535 - 32 : 32;
        p_ = std::uint16_t(p_ + (target - p_) / (seen_ + 2));
        if (seen_ < 30) ++seen_;
        return coded;
    }

  private:
    std::uint16_t p_ = 32768;
    std::uint8_t seen_ = 0;
};

// A whole number below 2^Bits, most significant bit first.
template <int Bits>
class Tree {
  public:
    template <class Coder>
    std::uint32_t code(Coder &coder, std::uint32_t value) {
        std::uint32_t node = 1;
        for (int bit = Bits - 1; bit >= 0; --bit) node = node << 1 | bits_[node].code(coder, value >> bit & 1);
        return node & ((1u << Bits) - 1);
    }

  private:
    std::array<AdaptiveBit, std::size_t(1) << Bits> bits_;
};

// A whole number below 2^15: its length in bits, then its bits below the first.
class Number {
  public:
    template <class Coder>
    std::uint32_t code(Coder &coder, std::uint32_t value) {
        std::uint32_t length = 0;
        while (length < 15 && value >> length) ++length;
        length = length_.code(coder, length);
        if (length < 2) return length;
        std::uint32_t out = 1;
        for (int bit = int(length) - 2; bit >= 0; --bit) {
            const bool given = value >> bit & 1;
            const bool first = bit == int(length) - 2;
            out = out << 1 | (first ? first_[length].code(coder, given) : coder.code(32768, given));
        }
        return out;
    }

  private:
    Tree<4> length_;
    std::array<AdaptiveBit, 16> first_;
};

template <class Coder>
void code_alphabet(Coder &coder, Fields fields, Alphabet &alphabet) {
    Number numbers;
    alphabet.with_sign = coder.code(32768, alphabet.with_sign);
    alphabet.dropped = int(numbers.code(coder, std::uint32_t(alphabet.dropped)));
    if (alphabet.dropped > rest_bits(fields)) throw LosslessError("more bits dropped than a number has");
    alphabet.escape = coder.code(32768, alphabet.escape);
    const std::uint32_t count = numbers.code(coder, std::uint32_t(alphabet.keys.size()));
    if (count + alphabet.escape > max_symbols) throw LosslessError("too many symbols");
    alphabet.keys.resize(count);
    Number gaps;
    std::uint32_t next = 0;
    for (std::uint32_t &key : alphabet.keys) {
        key = next + gaps.code(coder, key - next);
        if (key >= key_count(fields, alphabet.with_sign)) throw LosslessError("a symbol stands for nothing");
        next = key + 1;
    }
}

// Counts add up to 4096; each is told by its length and bits, with the length of the table before as context.
template <class Coder>
void code_tables(Coder &coder, Model &model) {
    const std::size_t symbols = model.alphabet.symbols();
    Tree<5> table_numbers;
    model.counts.resize(table_numbers.code(coder, std::uint32_t(model.counts.size())));
    if (model.counts.empty() != (symbols == 0) || model.counts.size() > max_tables)
        throw LosslessError("a wrong number of tables");
    AdaptiveBit next;
    std::uint8_t table = 0;
    for (std::size_t i = 1; i < classes && model.counts.size() > 1; ++i) {
        table = std::uint8_t(table + next.code(coder, model.table[i] != table));
        model.table[i] = table;
    }
    if (!model.counts.empty() && std::size_t(table) + 1 != model.counts.size()) throw LosslessError("a table is not used");

    std::array<Number, 15> numbers;
    std::array<std::uint8_t, max_symbols> before{};
    for (auto &counts : model.counts) {
        std::uint32_t left = probability_one;
        std::uint8_t previous = 0;
        for (std::size_t symbol = 0; symbol < symbols; ++symbol) {
            const std::size_t context = (std::size_t(before[symbol]) + previous + 1) / 2;
            const std::uint32_t count =
                symbol + 1 == symbols ? left : numbers[context].code(coder, std::uint32_t(counts[symbol]));
            if (count > left) throw LosslessError("probabilities above one");
            left -= count;
            counts[symbol] = std::uint16_t(count);
            previous = 0;
            while (count >> previous) ++previous;
            before[symbol] = previous;
        }
        for (std::size_t symbol = symbols; symbol < max_symbols; ++symbol) counts[symbol] = 0;
    }
}

template <class Coder>
void code_classes(Coder &coder, const std::vector<Shape> &shapes, Model &model) {
    Tree<6> row_steps;
    std::array<Tree<5>, 4> columns;
    AdaptiveBit has_columns;
    model.matrices.resize(shapes.size());
    std::uint32_t row = 0;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        Classes &own = model.matrices[i];
        own.rows.resize(shapes[i].rows);
        for (std::uint8_t &value : own.rows) {
            row = (row + row_steps.code(coder, (value - row) % classes)) % classes;
            value = std::uint8_t(row);
        }
        if (shapes[i].rows < 2) continue;
        if (!has_columns.code(coder, !own.columns.empty())) continue;
        own.columns.resize(shapes[i].columns);
        std::uint32_t previous = column_classes / 2;
        for (std::int8_t &value : own.columns) {
            const std::uint32_t context = previous < 15 ? 0 : previous < 16 ? 1 : previous < 17 ? 2 : 3;
            previous = columns[context].code(coder, std::uint32_t(value + column_classes / 2));
            value = std::int8_t(int(previous) - column_classes / 2);
        }
    }
}

}  // namespace

template <class Coder>
void code_model(Coder &coder, Fields fields, const std::vector<Shape> &shapes, Model &model) {
    code_alphabet(coder, fields, model.alphabet);
    code_tables(coder, model);
    code_classes(coder, shapes, model);
}

template void code_model(BinaryEncoder &, Fields, const std::vector<Shape> &, Model &);
template void code_model(BinaryDecoder &, Fields, const std::vector<Shape> &, Model &);

}  // namespace demitasse::lossless
