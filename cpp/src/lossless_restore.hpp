// Elements from their symbols and raw bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "lossless_model.hpp"

namespace demitasse::lossless {

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
        } else {
            for (std::size_t i = byte; i < size_; ++i) word |= std::uint64_t(data_[i]) << (8 * (i - byte));
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

    // Where the next bit is, while there is plenty; and that others have taken bits from there.
    const std::uint8_t *here() const { return data_ + (position_ >> 3); }
    const std::uint8_t *end() const { return data_ + size_; }
    int phase() const { return int(position_ & 7); }
    void skip(std::size_t bits) { position_ += bits; }

    bool finished() const { return (position_ + 7) >> 3 == size_; }

  private:
    static std::uint64_t eight(const std::uint8_t *p) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        std::uint64_t word;
        std::memcpy(&word, p, 8);
#else
        std::uint64_t word = 0;
        for (int i = 0; i < 8; ++i) word |= std::uint64_t(p[i]) << (8 * i);
#endif
        return word;
    }

    const std::uint8_t *data_;
    std::size_t size_, position_ = 0;
};

class Restorer {
  public:
    Restorer(Fields fields, const Alphabet &alphabet);

    // The next count elements, which have these symbols; Word has the elements' width.
    template <class Word>
    void restore(const std::uint8_t *symbols, std::size_t count, RawBits &bits, Word *out) const;

  private:
    // What a symbol stands for: fixed bits, and raw bits of which the low ones go above the dropped and the next is the sign.
    struct Meaning {
        std::uint64_t fixed = 0;
        std::uint64_t rest_mask = 0;
        std::uint64_t sign_mask = 0;
        int raw = 0;
    };

    // Elements that all have the same number of raw bits, of which there are plenty.
    template <class Word>
    void restore_plain(const std::uint8_t *symbols, std::size_t count, RawBits &bits, Word *out) const;

    std::uint64_t value(const Meaning &meaning, std::uint64_t raw) const {
        return meaning.fixed | (raw & meaning.rest_mask) << dropped_ |
               (raw >> rest_ & meaning.sign_mask) << (width_ - 1);
    }

    std::array<Meaning, max_symbols> meanings_{};
    std::array<std::uint32_t, max_symbols> fixed_{};  // of meanings, where elements have 32 bits
    int width_, rest_, dropped_, escape_ = -1;
    bool plain_ = true;
};

}  // namespace demitasse::lossless
