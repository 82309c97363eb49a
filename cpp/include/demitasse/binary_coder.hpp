// Binary arithmetic coder with 16-bit probabilities: a 64-bit range that gives away 32 bits at a time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "demitasse/levels.hpp"

namespace demitasse {

// code(p, bit) takes the probability p of a one in 1/65536, 0 < p < 65536, and returns the bit.
class BinaryEncoder {
  public:
    explicit BinaryEncoder(std::vector<std::uint8_t> &out) : out_(out), start_(out.size()) {}

    bool code(std::uint32_t p, bool bit) {
        const std::uint64_t bound = (range_ >> 16) * p;
        if (bit) {
            range_ = bound;
        } else {
            const std::uint64_t low = low_ + bound;
            if (low < low_) carry();
            low_ = low;
            range_ -= bound;
        }
        if (range_ < (std::uint64_t(1) << 32)) {
            for (int shift = 56; shift >= 32; shift -= 8) out_.push_back(std::uint8_t(low_ >> shift));
            low_ <<= 32;
            range_ <<= 32;
        }
        return bit;
    }

    // As code(), for a bit that nobody can guess.
    bool code_surprise(std::uint32_t p, bool bit) { return code(p, bit); }

    // Ends the stream with as few bytes as tell its last interval apart; the decoder reads zeros beyond.
    void finish() {
        const std::size_t written = out_.size();  // zeros before this are data: the decoder allows few bytes to be missing
        for (int bits = 0; bits <= 64; bits += 8) {
            const std::uint64_t mask = bits == 64 ? 0 : ~std::uint64_t(0) >> bits;
            const std::uint64_t value = (low_ + mask) & ~mask;
            const bool wrapped = value < low_;
            const std::uint64_t distance = value - low_;
            if (distance >= range_) continue;
            if (wrapped) carry();
            for (int i = 0; i < bits; i += 8) out_.push_back(std::uint8_t(value >> (56 - i)));
            break;
        }
        while (out_.size() > written && out_.back() == 0) out_.pop_back();
    }

  private:
    void carry() {
        for (std::size_t i = out_.size(); i > start_;) {
            if (++out_[--i] != 0) break;
        }
    }

    std::vector<std::uint8_t> &out_;
    std::size_t start_;
    std::uint64_t low_ = 0;
    std::uint64_t range_ = ~std::uint64_t(0);
};

class BinaryDecoder {
  public:
    BinaryDecoder(const std::uint8_t *data, std::size_t size) : next_(data), end_(data + size) {
        value_ = std::uint64_t(word()) << 32;
        value_ |= word();
    }

    bool code(std::uint32_t p, bool = false) {
        const std::uint64_t bound = (range_ >> 16) * p;
        const bool bit = value_ < bound;
        if (bit) {
            range_ = bound;
        } else {
            value_ -= bound;
            range_ -= bound;
        }
        renew();
        return bit;
    }

    // As code(), without a branch on the bit, which would be mispredicted half of the time.
    bool code_surprise(std::uint32_t p, bool = false) {
        const std::uint64_t bound = (range_ >> 16) * p;
        const std::uint64_t zero = -std::uint64_t(value_ >= bound);
        value_ -= bound & zero;
        range_ = bound ^ ((bound ^ (range_ - bound)) & zero);
        renew();
        return !zero;
    }

    // Zeros may be missing at the end of a stream, but no more than the encoder can have left out.
    bool overrun() const { return missing_ > 8; }

  private:
    void renew() {
        if (range_ < (std::uint64_t(1) << 32)) {
            value_ = value_ << 32 | word();
            range_ <<= 32;
        }
    }

    std::uint32_t word() {
        if (end_ - next_ >= 4) {
            next_ += 4;
            return std::uint32_t(next_[-4]) << 24 | std::uint32_t(next_[-3]) << 16 | std::uint32_t(next_[-2]) << 8 | next_[-1];
        }
        std::uint32_t out = 0;
        for (int i = 0; i < 4; ++i) {
            out <<= 8;
            if (next_ != end_) out |= *next_++;
            else ++missing_;
        }
        return out;
    }

    const std::uint8_t *next_, *end_;
    std::uint64_t value_ = 0;
    std::uint64_t range_ = ~std::uint64_t(0);
    std::size_t missing_ = 0;
};

// An adaptive probability: 22 bits of it, and a 10-bit count that sets its rate of learning.
class AdaptiveBit {
  public:
    int p() const { return int(state_ >> 16); }

    void update(bool bit, int limit) {
        const int n = int(state_ & 1023);
        const std::int32_t p = std::int32_t(state_ >> 10);
        const std::int32_t target = bit ? (1 << 22) - 1 : 0;
        const std::int32_t next = p + std::int32_t(std::int64_t(target - p) * rate(n) / 65536);
        state_ = std::uint32_t(next) << 10 | std::uint32_t(n < limit ? n + 1 : n);
    }

    template <class Coder>
    bool code(Coder &coder, bool bit, int limit = 255) {
        const int probability = p();
        bit = coder.code(std::uint32_t(probability < 32 ? 32 : probability > 65504 ? 65504 : probability), bit);
        update(bit, limit);
        return bit;
    }

    // As code(), for a bit that nobody can guess.
    template <class Coder>
    bool code_surprise(Coder &coder, bool bit, int limit = 255) {
        bit = coder.code_surprise(std::uint32_t(std::min(std::max(p(), 32), 65504)), bit);
        update(bit, limit);
        return bit;
    }

    static std::int32_t rate(int count) { return rates.value[count]; }

  private:
    struct Rates {
        std::int32_t value[1024];
        constexpr Rates() : value() {
            for (int n = 0; n < 1024; ++n) value[n] = 65536 * 2 / (2 * n + 3);
        }
    };
    static const Rates rates;

    std::uint32_t state_ = 1u << 31;
};

inline constexpr AdaptiveBit::Rates AdaptiveBit::rates{};

// Elias-gamma code of a non-negative number with adaptive exponents.
class AdaptiveGamma {
  public:
    template <class Coder>
    std::uint32_t code(Coder &coder, std::uint32_t value) {
        const std::uint32_t plus = value + 1;
        int exponent = 0;
        while (exponent_[exponent].code(coder, (plus >> exponent) > 1)) {
            if (++exponent > 25) throw LevelsError("a number is beyond all limits: the stream is damaged");
        }
        std::uint32_t out = 1;
        for (int i = exponent - 1; i >= 0; --i) {
            const bool bit = (plus >> i) & 1;
            out = out << 1 | std::uint32_t(i == exponent - 1 ? mantissa_[exponent].code_surprise(coder, bit) : coder.code_surprise(32768, bit));
        }
        return out - 1;
    }

  private:
    AdaptiveBit exponent_[32], mantissa_[32];
};

}  // namespace demitasse
