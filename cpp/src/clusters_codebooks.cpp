#include <array>

#include "clusters_model.hpp"
#include "demitasse/binary_coder.hpp"
#include "demitasse/clusters.hpp"

namespace demitasse {
namespace {

using clusters::log_class;

// Codebooks: keys that rise from entry to entry, told by how much; a step is about as long as the two before it.
template <class Coder>
void code_codebooks(Coder &coder, const std::vector<std::size_t> &sizes, std::uint32_t *keys) {
    std::array<std::array<AdaptiveBit, 256>, 68> classes;
    for (const std::size_t size : sizes) {
        std::uint64_t key = 0, step = 0, before = 0;
        for (std::size_t i = 0; i < size; ++i) {
            const std::uint64_t given = keys[i] - key;
            const auto mean = std::uint32_t((step + before) / 2);
            const std::uint32_t expected = i < 2 ? std::uint32_t(i) : std::uint32_t(log_class(mean)) / 2 + 1;
            const auto given_class = std::uint32_t(log_class(std::uint32_t(given)));
            std::uint32_t node = 1;
            for (int bit = 7; bit >= 0; --bit)
                node = node << 1 | std::uint32_t(classes[expected][node].code(coder, given_class >> bit & 1));
            // The class holds the length and the two bits below the first.
            const std::uint32_t own_class = node & 255, length = (own_class + 3) / 4;
            if (own_class > 128 || (i > 0 && own_class == 0)) throw ClustersError("values of a codebook that do not rise");
            std::uint64_t value = 0;
            if (own_class > 0) value = length > 2 ? 4 + (own_class - 1) % 4 : (4 + (own_class - 1) % 4) >> (3 - length);
            for (int bit = int(length) - 4; bit >= 0; --bit)
                value = value << 1 | std::uint64_t(coder.code(32768, given >> bit & 1));
            before = i < 2 ? value : step;
            step = value;
            key += step;
            if (key >> 32) throw ClustersError("values of a codebook beyond the last number");
            keys[i] = std::uint32_t(key);
        }
        keys += size;
    }
}

}  // namespace

std::vector<std::uint8_t> encode_codebooks(const std::vector<std::size_t> &sizes, const std::uint32_t *keys) {
    std::size_t entries = 0;
    for (const std::size_t size : sizes) entries += size;
    std::vector<std::uint32_t> copy(keys, keys + entries);
    std::vector<std::uint8_t> out;
    BinaryEncoder coder(out);
    code_codebooks(coder, sizes, copy.data());
    coder.finish();
    return out;
}

void decode_codebooks(const std::uint8_t *data, std::size_t size, const std::vector<std::size_t> &sizes, std::uint32_t *keys) {
    BinaryDecoder coder(data, size);
    code_codebooks(coder, sizes, keys);
    if (coder.overrun()) throw ClustersError("a stream of codebooks is cut");
}

}  // namespace demitasse
