#include "text_contexts.hpp"

namespace demitasse::text {
namespace {

constexpr std::uint32_t multiplier = 0x2C1B3C6D;

std::uint32_t hash(std::uint32_t a, std::uint32_t b, std::uint32_t c = 0) {
    std::uint32_t h = a * 0x9E3779B1u ^ (b + 0x7F4A7C15u) * 0x85EBCA6Bu ^ (c + 0x165667B1u) * 0xC2B2AE35u;
    h ^= h >> 15;
    h *= multiplier;
    return h ^ h >> 13;
}

bool letter(std::uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c >= 128;
}

}  // namespace

void Follower::add(std::uint8_t byte) {
    history_.push_back(byte);
    order_high_ = order_high_ << 8 | order_ >> 24;
    order_ = order_ << 8 | byte;
    if (letter(byte)) {
        word_ = hash(word_, byte, 1);
    } else if (word_) {
        word_before_ = word_;
        word_ = 0;
    }
    if (byte == '\n') {
        end_line();
        return;
    }
    const bool space = byte == ' ' || byte == '\t' || byte == '\r';
    if (!indented_) {
        if (space) {
            ++indent_;
            return;
        }
        indented_ = true;
    }
    line_ = hash(line_, byte, 2);
    if (!named_) {
        if (letter(byte)) name_ = hash(name_, byte, 3);
        else named_ = true;
    }
    if (byte == '"') {
        if (quoted_) end_string();
        else string_start_ = history_.size();
        quoted_ = !quoted_;
    } else if (!quoted_ && byte == '{') {
        enclosing_[depth_++ % enclosing_.size()] = name_;
    } else if (!quoted_ && byte == '}' && depth_ > 0) {
        --depth_;
    }
}

void Follower::end_line() {
    above_start_ = line_start_;
    line_start_ = history_.size();
    name_before_that_ = name_before_;
    name_before_ = name_;
    line_ = name_ = 0;
    indent_ = 0;
    indented_ = named_ = quoted_ = false;
}

// The first letter of the field tells what a string is: [n]ame, [t]op (or [t]ype), [b]ottom.
void Follower::end_string() {
    std::size_t first = line_start_;
    while (first < history_.size() && (history_[first] == ' ' || history_[first] == '\t')) ++first;
    const std::uint8_t c = history_[first], second = first + 1 < history_.size() ? history_[first + 1] : 0;
    const std::size_t slot = c == 'n' ? 0 : c == 't' && second == 'o' ? 1 : c == 'b' ? 2 : 3;
    strings_[slot] = {string_start_, history_.size() - string_start_};
}

// The next byte if the string being read is that one again; 0 if it is not so far. The closing quote is part of it.
std::uint32_t Follower::expected(const Quoted &quoted) const {
    const std::size_t length = history_.size() - string_start_;
    if (!quoted_ || length >= quoted.length) return 0;
    for (std::size_t i = 0; i < length; ++i)
        if (history_[quoted.start + i] != history_[string_start_ + i]) return 0;
    return history_[quoted.start + length];
}

std::uint32_t Follower::place() const {
    if (!indented_) return 0;
    if (quoted_) return 1;
    if (!named_) return 2;
    const std::uint8_t last = back(1);
    if (last == ' ') return 3;
    if (last == ':') return 4;
    if (last >= '0' && last <= '9') return 5;
    return letter(last) ? 6 : 7;
}

Hashes Follower::hashes() const {
    const std::uint32_t enclosing = depth_ ? enclosing_[(depth_ - 1) % enclosing_.size()] : 0;
    const std::size_t column = history_.size() - line_start_;
    const std::uint32_t above = above_start_ + column < line_start_ ? history_[above_start_ + column] : 0;
    const std::uint32_t of_name = expected(strings_[0]), of_top = expected(strings_[1]), of_bottom = expected(strings_[2]);
    Hashes out;
    std::size_t i = 0;
    out[i++] = 0;
    out[i++] = hash(order_ & 0xFF, 11);
    out[i++] = hash(order_ & 0xFFFF, 12);
    out[i++] = hash(order_ & 0xFFFFFF, 13);
    out[i++] = hash(order_, 14);
    out[i++] = hash(order_, 15, order_high_ & 0xFFFF);
    out[i++] = hash(word_, 16, word_before_);
    out[i++] = hash(line_, 17, std::uint32_t(indented_));
    out[i++] = hash(hash(line_, name_before_), 18, enclosing);
    out[i++] = hash(hash(line_, name_before_), hash(19, name_before_that_), enclosing);
    out[i++] = hash(of_name | of_top << 8 | of_bottom << 16, 20, quoted_ ? name_ : line_);
    out[i++] = hash(above, 21, std::uint32_t(indent_) << 8 | (order_ & 0xFF));
    out[i++] = hash(order_ & 0xFFFF00, 22);
    out[i++] = hash(enclosing, hash(23, name_before_), std::uint32_t(indent_) << 8 | (indented_ ? order_ & 0xFF : 0));
    return out;
}

}  // namespace demitasse::text
