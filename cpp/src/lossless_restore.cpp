#include "lossless_restore.hpp"

#include <type_traits>

#include "lossless_vector.hpp"

namespace demitasse::lossless {

Restorer::Restorer(Fields fields, const Alphabet &alphabet)
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
        fixed_[symbol] = std::uint32_t(meaning.fixed);
    }
    escape_ = alphabet.escape ? int(alphabet.keys.size()) : -1;
    plain_ = plain_ && !alphabet.escape && !alphabet.keys.empty();
}

template <class Word>
void Restorer::restore_plain(const std::uint8_t *symbols, std::size_t count, RawBits &bits, Word *out) const {
    Meaning meaning = meanings_[0];
    std::size_t i = 0;
#ifdef DEMITASSE_X86
    if constexpr (std::is_same_v<Word, std::uint32_t>) {
        if (has_avx2()) {
            const RawLayout layout{fixed_.data(), meaning.raw, rest_, dropped_};
            i = restore_avx2(layout, bits.here(), bits.end(), bits.phase(), symbols, count, out);
            bits.skip(i * std::size_t(meaning.raw));
        }
    }
#endif
    for (; i < count; ++i) {
        meaning.fixed = meanings_[symbols[i]].fixed;
        out[i] = Word(value(meaning, bits.take_from_plenty(meaning.raw)));
    }
}

template <class Word>
void Restorer::restore(const std::uint8_t *symbols, std::size_t count, RawBits &bits, Word *out) const {
    if (width_ == 8) {
        for (std::size_t i = 0; i < count; ++i) out[i] = Word(meanings_[symbols[i]].fixed);
    } else if (plain_ && bits.plenty(count, meanings_[0].raw)) {
        restore_plain(symbols, count, bits, out);
    } else if (escape_ < 0 && bits.plenty(count, width_)) {
        for (std::size_t i = 0; i < count; ++i) {
            const Meaning &meaning = meanings_[symbols[i]];
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

template void Restorer::restore(const std::uint8_t *, std::size_t, RawBits &, std::uint8_t *) const;
template void Restorer::restore(const std::uint8_t *, std::size_t, RawBits &, std::uint16_t *) const;
template void Restorer::restore(const std::uint8_t *, std::size_t, RawBits &, std::uint32_t *) const;
template void Restorer::restore(const std::uint8_t *, std::size_t, RawBits &, std::uint64_t *) const;

}  // namespace demitasse::lossless
