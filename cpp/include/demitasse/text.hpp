// Coding of texts: prototxts above all, and what goes with them. Context mixing, primed with a text of the language.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace demitasse {

std::vector<std::uint8_t> encode_text(const std::uint8_t *text, std::size_t size);

// Writes size bytes to out. Returns false if data cannot have come from encode_text with that size.
bool decode_text(const std::uint8_t *data, std::size_t data_size, std::uint8_t *out, std::size_t size);

// What every text is taken to follow. Part of the format: another priming text is another format.
std::string_view priming_text();

}  // namespace demitasse
