#include <algorithm>
#include <cstring>

#include "demitasse/binary_coder.hpp"
#include "lossless_statistics.hpp"

namespace demitasse {
namespace {

using namespace lossless;

void put(std::vector<std::uint8_t> &out, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) out.push_back(std::uint8_t(value >> (8 * i)));
}

void put_varint(std::vector<std::uint8_t> &out, std::size_t value) {
    for (; value > 127; value >>= 7) out.push_back(std::uint8_t(value | 128));
    out.push_back(std::uint8_t(value));
}

class RawBits {
  public:
    explicit RawBits(std::vector<std::uint8_t> &out) : out_(out) {}
    // The lowest bits of value, count <= 57.
    void add(std::uint64_t value, int count) {
        held_ |= (value & ((std::uint64_t(1) << count) - 1)) << size_;
        for (size_ += count; size_ >= 8; size_ -= 8, held_ >>= 8) out_.push_back(std::uint8_t(held_));
    }
    void finish() {
        if (size_ > 0) out_.push_back(std::uint8_t(held_));
    }

  private:
    std::vector<std::uint8_t> &out_;
    std::uint64_t held_ = 0;
    int size_ = 0;
};

// Keys and raw bits of elements; see Alphabet.
class Splitter {
  public:
    Splitter(Fields fields, bool with_sign) : fields_(fields), with_sign_(with_sign) {}

    std::uint32_t key(std::uint64_t value) const {
        if (fields_.width == 8) return std::uint32_t(value);
        const std::uint64_t sign = value >> (fields_.width - 1);
        const std::uint64_t size = value & ~(std::uint64_t(1) << (fields_.width - 1));
        const int bits = key_bits(fields_, with_sign_);
        if (size == 0) return std::uint32_t((1u << bits) | sign);
        return std::uint32_t((with_sign_ ? value : size) >> rest_bits(fields_));
    }
    bool zero(std::uint32_t key) const { return fields_.width == 8 || key >> key_bits(fields_, with_sign_); }
    std::uint64_t rest(std::uint64_t value) const {
        return value & ((std::uint64_t(1) << rest_bits(fields_)) - 1);
    }

  private:
    Fields fields_;
    bool with_sign_;
};

template <class Word>
std::uint64_t element_at(const ConstMatrix &matrix, std::size_t i) {
    return static_cast<const Word *>(matrix.data)[i];
}

template <class Word>
class Encoder {
  public:
    Encoder(Element element, const std::vector<ConstMatrix> &matrices) : fields_(Fields::of(element)), matrices_(matrices) {
        for (const ConstMatrix &matrix : matrices) shapes_.push_back(Shape::of(matrix.rows, matrix.columns, element));
        model_.matrices = find_classes(element, matrices, shapes_);
        find_alphabet();
    }

    std::vector<std::uint8_t> encode() {
        number_symbols();
        find_counts();
        std::vector<std::uint8_t> model, symbols, out, raw;
        BinaryEncoder coder(model);
        code_model(coder, fields_, shapes_, model_);
        coder.finish();
        const std::size_t words = encode_symbols(symbols);
        encode_raw(raw);
        put_varint(out, model.size());
        put_varint(out, words);
        for (const auto *part : {&model, &symbols, &raw}) out.insert(out.end(), part->begin(), part->end());
        return out;
    }

  private:
    Splitter splitter() const { return Splitter(fields_, model_.alphabet.with_sign); }

    template <class Visit>  // (matrix, row, column, value), in order
    void each(Visit visit) const {
        for (std::size_t m = 0; m < matrices_.size(); ++m)
            for (std::size_t row = 0; row < shapes_[m].rows; ++row)
                for (std::size_t column = 0; column < shapes_[m].columns; ++column)
                    visit(m, row, column, element_at<Word>(matrices_[m], row * shapes_[m].columns + column));
    }

    // The sign joins the key where that saves more than the tables may cost; low zeros are dropped.
    void find_alphabet() {
        Alphabet &alphabet = model_.alphabet;
        const Splitter plain(fields_, false), with_sign(fields_, true);
        std::vector<std::uint32_t> keys(key_count(fields_, false)), signed_keys(key_count(fields_, true));
        std::uint64_t rest = 0, nonzero = 0;
        each([&](std::size_t, std::size_t, std::size_t, std::uint64_t value) {
            const std::uint32_t key = plain.key(value);
            ++keys[key];
            ++signed_keys[with_sign.key(value)];
            rest |= plain.rest(value);
            nonzero += !plain.zero(key);
        });
        if (fields_.width > 8) {
            const std::uint64_t coded = entropy(signed_keys.data(), signed_keys.size());
            const std::uint64_t raw = entropy(keys.data(), keys.size()) + (nonzero << 16);
            alphabet.with_sign = coded + (nonzero << 16) / 64 + (std::uint64_t(512) << 16) < raw;
            while (alphabet.dropped < rest_bits(fields_) && !(rest >> alphabet.dropped & 1)) ++alphabet.dropped;
        }
        const std::vector<std::uint32_t> &counts = alphabet.with_sign ? signed_keys : keys;
        std::vector<std::uint32_t> used;
        for (std::uint32_t key = 0; key < counts.size(); ++key)
            if (counts[key]) used.push_back(key);
        if (used.size() > max_symbols) {
            std::stable_sort(used.begin(), used.end(), [&](std::uint32_t a, std::uint32_t b) { return counts[a] > counts[b]; });
            used.resize(max_symbols - 1);
            std::sort(used.begin(), used.end());
            alphabet.escape = true;
        }
        alphabet.keys = std::move(used);
    }

    void number_symbols() {
        const Alphabet &alphabet = model_.alphabet;
        std::vector<std::uint8_t> number(key_count(fields_, alphabet.with_sign), std::uint8_t(alphabet.keys.size()));
        for (std::size_t i = 0; i < alphabet.keys.size(); ++i) number[alphabet.keys[i]] = std::uint8_t(i);
        const Splitter split = splitter();
        each([&](std::size_t m, std::size_t row, std::size_t column, std::uint64_t value) {
            const Classes &own = model_.matrices[m];
            const int of_column = own.columns.empty() ? 0 : own.columns[column];
            symbols_.push_back(number[split.key(value)]);
            classes_.push_back(std::uint8_t(std::clamp(own.rows[row] + of_column, 0, classes - 1)));
        });
    }

    void find_counts() {
        std::vector<std::array<std::uint32_t, max_symbols>> counts(classes);
        for (std::size_t i = 0; i < symbols_.size(); ++i) ++counts[classes_[i]][symbols_[i]];
        find_tables(counts, model_.alphabet.symbols(), model_);
        for (const auto &of_table : counts) model_.counts.push_back(normalised(of_table));
    }

    // To a sum of 4096, nothing that occurs at 0.
    static std::array<std::uint16_t, max_symbols> normalised(const std::array<std::uint32_t, max_symbols> &counts) {
        std::array<std::uint16_t, max_symbols> out{};
        std::uint64_t total = 0;
        std::int64_t left = probability_one;
        for (const std::uint32_t count : counts) total += count;
        if (total == 0) {
            out[0] = probability_one;
            return out;
        }
        for (std::size_t i = 0; i < max_symbols; ++i) {
            if (!counts[i]) continue;
            const std::uint64_t share = (std::uint64_t(counts[i]) * probability_one + total / 2) / total;
            out[i] = std::uint16_t(std::max<std::uint64_t>(share, 1));
            left -= out[i];
        }
        while (left != 0) {  // where it changes least, relatively
            const int step = left > 0 ? 1 : -1;
            auto *largest = &*std::max_element(out.begin(), out.end());
            const std::int64_t change = step > 0 ? left : std::max<std::int64_t>(left, -(*largest / 4));
            *largest = std::uint16_t(*largest + change);
            left -= change;
        }
        return out;
    }

    // Backwards, as rANS must; lanes take turns.
    std::size_t encode_symbols(std::vector<std::uint8_t> &out) const {
        std::vector<std::array<std::uint16_t, max_symbols>> starts;
        for (const auto &counts : model_.counts) {
            starts.emplace_back();
            std::uint32_t sum = 0;
            for (std::size_t i = 0; i < max_symbols; ++i, sum += counts[i - 1]) starts.back()[i] = std::uint16_t(sum);
        }
        const std::size_t used = lanes_for(symbols_.size());
        std::array<std::uint32_t, most_lanes> states;
        states.fill(lower_bound);
        std::vector<std::uint16_t> words;
        for (std::size_t i = symbols_.size(); i-- > 0;) {
            const std::size_t table = model_.table[classes_[i]];
            const std::uint32_t count = model_.counts[table][symbols_[i]];
            std::uint32_t &state = states[i % used];
            if (state >= std::uint64_t(count) << 20) {
                words.push_back(std::uint16_t(state));
                state >>= 16;
            }
            state = (state / count << probability_bits) + state % count + starts[table][symbols_[i]];
        }
        for (std::size_t lane = 0; lane < used; ++lane) put(out, states[lane], 4);
        for (std::size_t word = words.size(); word-- > 0;) put(out, words[word], 2);
        return words.size();
    }

    void encode_raw(std::vector<std::uint8_t> &out) const {
        if (fields_.width == 8) return;
        const Splitter split = splitter();
        const Alphabet &alphabet = model_.alphabet;
        const int rest = rest_bits(fields_) - alphabet.dropped;
        RawBits bits(out);
        std::size_t i = 0;
        each([&](std::size_t, std::size_t, std::size_t, std::uint64_t value) {
            if (alphabet.escape && symbols_[i++] == alphabet.keys.size()) {
                bits.add(value, fields_.width / 2);
                bits.add(value >> fields_.width / 2, fields_.width / 2);
            } else if (!split.zero(split.key(value))) {
                bits.add(split.rest(value) >> alphabet.dropped, rest);
                if (!alphabet.with_sign) bits.add(value >> (fields_.width - 1), 1);
            }
        });
        bits.finish();
    }

    Fields fields_;
    const std::vector<ConstMatrix> &matrices_;
    std::vector<Shape> shapes_;
    Model model_;
    std::vector<std::uint8_t> symbols_, classes_;
};

}  // namespace

std::vector<std::uint8_t> encode_lossless(Element element, const std::vector<ConstMatrix> &matrices) {
    std::size_t elements = 0;
    for (const ConstMatrix &matrix : matrices) elements += matrix.rows * matrix.columns;
    if (elements == 0) return {};
    switch (element) {
        case Element::float32: return Encoder<std::uint32_t>(element, matrices).encode();
        case Element::float64: return Encoder<std::uint64_t>(element, matrices).encode();
        case Element::float16: return Encoder<std::uint16_t>(element, matrices).encode();
        default: return Encoder<std::uint8_t>(element, matrices).encode();
    }
}

std::vector<std::uint32_t> distinct_values(const std::uint8_t *values, std::size_t count, std::size_t limit) {
    std::size_t slots = 16;
    while (slots < 4 * limit) slots *= 2;
    std::vector<std::uint32_t> table(slots), out;
    std::vector<std::uint8_t> used(slots);
    for (std::size_t i = 0; i < count; ++i) {
        std::uint32_t value;
        std::memcpy(&value, values + 4 * i, 4);
        std::size_t slot = std::size_t(std::uint64_t(value) * 0x9E3779B97F4A7C15u >> 40) & (slots - 1);
        while (used[slot] && table[slot] != value) slot = (slot + 1) & (slots - 1);
        if (used[slot]) continue;
        if (out.size() == limit) return {};
        used[slot] = 1;
        table[slot] = value;
        out.push_back(value);
    }
    std::sort(out.begin(), out.end());
    return out;
}

}  // namespace demitasse
