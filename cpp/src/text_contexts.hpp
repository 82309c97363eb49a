// The contexts in which a byte of a prototxt is predicted: what stands before it, seen in thirteen ways.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace demitasse::text {

constexpr std::size_t contexts = 14;
using Hashes = std::array<std::uint32_t, contexts>;

// Follows a text byte by byte.
class Follower {
  public:
    void add(std::uint8_t byte);

    Hashes hashes() const;
    std::uint32_t place() const;  // 0..7: between words, in a name, in a value, in a string …

    const std::vector<std::uint8_t> &history() const { return history_; }
    void reserve(std::size_t size) { history_.reserve(size); }

  private:
    // A quoted string that was seen, as what a later one may repeat.
    struct Quoted {
        std::size_t start = 0, length = 0;
    };

    std::uint8_t back(std::size_t distance) const {
        return distance <= history_.size() ? history_[history_.size() - distance] : 0;
    }
    std::uint32_t expected(const Quoted &quoted) const;
    void end_line();
    void end_string();

    std::vector<std::uint8_t> history_;
    std::uint32_t word_ = 0, word_before_ = 0;          // hashes
    std::uint32_t line_ = 0, name_ = 0;                 // of this line so far, of its first word
    std::uint32_t name_before_ = 0, name_before_that_ = 0;  // first words of the lines before
    std::size_t line_start_ = 0, above_start_ = 0, indent_ = 0;
    bool indented_ = false, named_ = false, quoted_ = false;
    std::size_t string_start_ = 0;
    std::array<Quoted, 4> strings_;  // the last value of name, top, bottom, and anything else
    std::array<std::uint32_t, 16> enclosing_{};  // names of the messages around
    std::uint32_t depth_ = 0;
    std::uint32_t order_ = 0;  // the last four bytes
    std::uint32_t order_high_ = 0;
};

}  // namespace demitasse::text
