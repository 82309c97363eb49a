#include "demitasse/text.hpp"

#include <array>
#include <memory>

#include "demitasse/binary_coder.hpp"
#include "demitasse/logistic.hpp"
#include "text_contexts.hpp"

namespace demitasse {
namespace {

using namespace text;

// A probability of a one that is the mean of what was seen, at first, and forgets later.
struct Counter {
    std::uint16_t p = 32768;
    std::uint8_t seen = 0;
    std::uint8_t past = 1;  // the last seven bits, below a leading one

    void update(bool bit, int limit) {
        const std::int32_t target = bit ? 65535 : 0;
        p = std::uint16_t(p + (target - p) * 2 / (2 * seen + 3));
        if (seen < limit) ++seen;
        past = std::uint8_t(past < 128 ? past << 1 | int(bit) : 128 | ((past << 1 | int(bit)) & 127));
    }
};

// Fifteen counters for the nibbles that follow one context, a cache line.
struct alignas(64) Line {
    std::uint32_t check = 0;
    std::array<Counter, 15> counters;
};

class Table {
  public:
    explicit Table(int bits) : lines_(std::size_t(1) << bits), mask_((1u << bits) - 1) {}

    // The line of a context; a new one, in the place of one that was used less, if it was not seen.
    Line *find(std::uint32_t hash) {
        const std::uint32_t check = hash | 1;
        const std::uint32_t place = (hash * 0x9E3779B1u >> 7) & mask_;
        Line *first = &lines_[place], *second = &lines_[place ^ 1];
        if (first->check == check) return first;
        if (second->check == check) return second;
        Line *chosen = first->counters[0].seen <= second->counters[0].seen ? first : second;
        *chosen = Line();
        chosen->check = check;
        return chosen;
    }

  private:
    std::vector<Line> lines_;
    std::uint32_t mask_;
};

// The last place where the bytes before this one stood, and whether it went on as this does.
class Match {
  public:
    static constexpr int lengths = 16;

    explicit Match(int bits) : places_(std::size_t(1) << bits) {}

    void add(const std::vector<std::uint8_t> &history) {
        const std::size_t size = history.size();
        if (length_ > 0 && history[place_] == history[size - 1]) {
            ++place_;
            if (length_ < 65535) ++length_;
        } else {
            length_ = 0;
        }
        if (size < minimum) return;
        std::uint32_t hash = 0;
        for (std::size_t i = 1; i <= minimum; ++i) hash = (hash + history[size - i] + 1) * 0x2F0B4C47u;
        hash = std::uint32_t((hash ^ hash >> 15) & (places_.size() - 1));
        if (length_ == 0 && places_[hash] > 0) {
            place_ = places_[hash];
            while (length_ < 400 && length_ < place_ && history[place_ - 1 - length_] == history[size - 1 - length_])
                ++length_;
            if (length_ < minimum) length_ = 0;
        }
        places_[hash] = std::uint32_t(size);
    }

    // 0: no prediction; otherwise grows with the length of the match.
    int bucket() const {
        if (length_ == 0) return 0;
        if (length_ < 16) return 1 + int(length_ - minimum) / 2;
        if (length_ < 32) return 7 + int(length_ - 16) / 4;
        return length_ < 64 ? 11 : length_ < 128 ? 12 : length_ < 400 ? 13 : 14;
    }
    std::uint8_t byte(const std::vector<std::uint8_t> &history) const { return history[place_]; }
    void fail() { length_ = 0; }

  private:
    static constexpr std::size_t minimum = 5;
    std::vector<std::uint32_t> places_;
    std::size_t place_ = 0, length_ = 0;
};

constexpr std::size_t inputs = 2 * contexts + 3;

// Weighs the inputs; several sets of weights, one of which is in use.
class Mixer {
  public:
    explicit Mixer(std::size_t sets) : weights_(sets) {
        for (auto &set : weights_) set.fill(one / 5);
    }
    int mix(const std::array<std::int32_t, inputs> &x, std::size_t set) {
        used_ = &weights_[set];
        std::int32_t sum = 0;
        for (std::size_t i = 0; i < inputs; ++i) sum += ((*used_)[i] * x[i]) >> 8;
        return clamp(sum >> 8, -stretch_limit, stretch_limit);
    }
    void learn(const std::array<std::int32_t, inputs> &x, std::int32_t error) {
        for (std::size_t i = 0; i < inputs; ++i) {
            const std::int32_t weight = (*used_)[i] + ((x[i] * error + (1 << 16)) >> 17);
            (*used_)[i] = clamp(weight, -limit, limit);
        }
    }

  private:
    static constexpr std::int32_t one = 1 << 16, limit = (1 << 19) - 1;
    std::vector<std::array<std::int32_t, inputs>> weights_;
    std::array<std::int32_t, inputs> *used_ = nullptr;
};

// What a probability turned out to be, in a context; interpolated.
class Refinement {
  public:
    explicit Refinement(std::size_t sets) : table_(sets * steps) {
        for (std::size_t i = 0; i < table_.size(); ++i)
            table_[i] = std::uint16_t(squash(logistic_tables(), (int(i % steps) - 16) * 192));
    }
    int refine(int stretched, std::size_t set) {
        const int position = clamp(stretched, -stretch_limit + 1, stretch_limit - 1) + 16 * 192;
        const int low = position / 192, part = position % 192;
        place_ = set * steps + std::size_t(low);
        nearer_ = part >= 96;
        return (table_[place_] * (192 - part) + table_[place_ + 1] * part) / 192;
    }
    void learn(bool bit) {
        std::uint16_t &p = table_[place_ + nearer_];
        p = std::uint16_t(p + ((bit ? 65535 - p : -int(p)) >> 6));
    }

  private:
    static constexpr std::size_t steps = 33;
    std::vector<std::uint16_t> table_;
    std::size_t place_ = 0;
    bool nearer_ = false;
};

class Model {
  public:
    explicit Model(int bits) : match_(bits + 3), by_match_(Match::lengths * 8), by_bits_(256 * 3), by_place_(8 * 256),
                               refined_(65536), refined_match_(Match::lengths * 256) {
        for (std::size_t i = 0; i < contexts; ++i) tables_.emplace_back(bits);
        for (auto &of_context : pasts_)
            for (std::size_t past = 0; past < 256; ++past) of_context[past].p = std::uint16_t(guess(past));
    }

    // One byte; for a decoder, the byte given does not matter.
    template <class Coder>
    std::uint8_t code(Coder &coder, std::uint8_t byte) {
        const Hashes hashes = follower_.hashes();
        const std::uint32_t place = follower_.place();
        const int bucket = match_.bucket();
        const std::uint32_t promised = bucket ? match_.byte(follower_.history()) | 256u : 0;
        std::uint32_t partial = 1;
        bool holds = bucket > 0;
        for (int bit = 7; bit >= 0; --bit) {
            if (bit == 7 || bit == 3) {
                for (std::size_t i = 0; i < contexts; ++i)
                    lines_[i] = tables_[i].find((hashes[i] + std::uint32_t(i)) * 0x85EBCA77u + (bit == 3 ? partial * 0xC2B2AE3Du : 0));
            }
            const bool expected = promised >> bit & 1;
            const bool coded = code_bit(coder, byte >> bit & 1, partial, bit, place, holds ? bucket : 0, expected);
            partial = partial << 1 | coded;
            holds = holds && coded == expected;
        }
        if (bucket && !holds) match_.fail();
        follower_.add(std::uint8_t(partial));
        match_.add(follower_.history());
        return std::uint8_t(partial);
    }

    void reserve(std::size_t size) { follower_.reserve(follower_.history().size() + size); }

  private:
    static int guess(std::size_t past) {
        int ones = 1, all = 2;
        for (; past > 1; past >>= 1) {
            ones += 2 * int(past & 1);
            all += 2;
        }
        return 65535 * ones / (all);
    }

    template <class Coder>
    bool code_bit(Coder &coder, bool bit, std::uint32_t partial, int number, std::uint32_t place, int bucket, bool expected) {
        const LogisticTables &tables = logistic_tables();
        // Number of the bit within its nibble, as a place in a line: 0, 1..2, 3..6, 7..14.
        const std::uint32_t first = 1u << (number > 3 ? 7 - number : 3 - number);
        const std::uint32_t node = first - 1 + (partial & (first - 1));
        std::array<std::int32_t, inputs> x;
        std::array<Counter *, contexts> counters, pasts;
        std::size_t n = 0;
        for (std::size_t i = 0; i < contexts; ++i) {
            counters[i] = &lines_[i]->counters[node];
            pasts[i] = &pasts_[i][counters[i]->past];
            const bool known = counters[i]->seen > 0;
            x[n++] = known ? stretch(tables, pasts[i]->p) : 0;
            x[n++] = known ? stretch(tables, counters[i]->p) / 2 : 0;
        }
        Counter &of_match = matches_[std::size_t(bucket)];
        const int strength = bucket ? stretch(tables, of_match.p) : 0;
        x[n++] = expected ? strength : -strength;
        x[n++] = bucket <= 8 ? 0 : expected ? strength / 2 : -strength / 2;
        x[n++] = 256;

        const std::size_t match_set = std::size_t(bucket) * 8 + std::size_t(number);
        int stretched = by_match_.mix(x, match_set);
        const std::size_t bits_set = partial + 256 * std::size_t(bucket == 0 ? 0 : expected ? 1 : 2);
        const int by_bits = by_bits_.mix(x, bits_set), by_place = by_place_.mix(x, place * 256 + partial);
        const int p_match = squash(tables, stretched), p_bits = squash(tables, by_bits), p_place = squash(tables, by_place);
        stretched = (stretched + by_bits + by_place) / 3;
        const std::uint8_t last = follower_.history().empty() ? 0 : follower_.history().back();
        const int mixed = squash(tables, stretched);
        const int refined = refined_.refine(stretched, std::size_t(last) << 8 | partial);
        const int refined_match = refined_match_.refine(stretched, std::size_t(bucket) * 256 + partial);
        const int p = clamp((2 * mixed + refined + refined_match) / 4, least, 65536 - least);

        const bool coded = coder.code(std::uint32_t(p), bit);
        const int target = coded ? 65535 : 0;
        by_match_.learn(x, target - p_match);
        by_bits_.learn(x, target - p_bits);
        by_place_.learn(x, target - p_place);
        refined_.learn(coded);
        refined_match_.learn(coded);
        if (bucket) of_match.update(coded == expected, 120);
        for (std::size_t i = 0; i < contexts; ++i) {
            pasts[i]->update(coded, 250);
            counters[i]->update(coded, 60);
        }
        return coded;
    }

    static constexpr int least = 24;  // of 65536: a byte costs at least 1/240 bit

    Follower follower_;
    Match match_;
    std::vector<Table> tables_;
    std::array<Line *, contexts> lines_{};
    std::array<std::array<Counter, 256>, contexts> pasts_;
    std::array<Counter, Match::lengths> matches_;
    Mixer by_match_, by_bits_, by_place_;
    Refinement refined_, refined_match_;
};

// Takes what it is given and writes nothing: for learning.
struct Listener {
    bool code(std::uint32_t, bool bit) { return bit; }
};

std::unique_ptr<Model> primed(int bits) {
    auto model = std::make_unique<Model>(bits);
    const std::string_view text = priming_text();
    Listener listener;
    model->reserve(text.size());
    for (const char byte : text) model->code(listener, std::uint8_t(byte));
    return model;
}

// A model for a text of that size. Most are small and start from one that was primed once.
std::unique_ptr<Model> model_for(std::size_t size) {
    constexpr int small = 13, large = 17;
    static const std::unique_ptr<const Model> ready = primed(small);
    auto model = size < (1u << 17) ? std::make_unique<Model>(*ready) : primed(large);
    model->reserve(size);
    return model;
}

}  // namespace

std::vector<std::uint8_t> encode_text(const std::uint8_t *text, std::size_t size) {
    std::vector<std::uint8_t> out;
    if (size == 0) return out;
    const auto model = model_for(size);
    BinaryEncoder coder(out);
    for (std::size_t i = 0; i < size; ++i) model->code(coder, text[i]);
    coder.finish();
    return out;
}

bool decode_text(const std::uint8_t *data, std::size_t data_size, std::uint8_t *out, std::size_t size) {
    if (size == 0) return data_size == 0;
    const auto model = model_for(size);
    BinaryDecoder coder(data, data_size);
    for (std::size_t i = 0; i < size; ++i) {
        out[i] = model->code(coder, 0);
        if (coder.overrun()) return false;
    }
    return true;
}

}  // namespace demitasse
