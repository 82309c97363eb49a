// The coders of floats, texts, positions and checksums: what goes in comes out, and damage is an error, not a crash.
// Meant to be run under AddressSanitizer, too: cmake -DDEMITASSE_SANITIZE=ON.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "demitasse/clusters.hpp"
#include "demitasse/crc32c.hpp"
#include "demitasse/lossless.hpp"
#include "demitasse/text.hpp"

using namespace demitasse;

namespace {

int failures = 0;

void check(bool holds, const char *what) {
    if (holds) return;
    std::fprintf(stderr, "failed: %s\n", what);
    ++failures;
}

using Random = std::mt19937;

std::vector<std::uint8_t> damaged(std::vector<std::uint8_t> data, Random &random) {
    switch (random() % 3) {
        case 0: data.resize(random() % (data.size() + 1)); break;
        case 1:
            for (std::uint8_t &byte : data) byte = std::uint8_t(random());
            break;
        default: break;
    }
    for (int i = int(random() % 4); i >= 0 && !data.empty(); --i) data[random() % data.size()] = std::uint8_t(random());
    return data;
}

// Bytes of elements of which some are zero, some arbitrary, and some of similar size.
std::vector<std::uint8_t> elements(std::size_t count, std::size_t size, Random &random) {
    std::vector<std::uint8_t> out(count * size);
    const unsigned style = random() % 4;
    for (std::size_t i = 0; i < count; ++i) {
        const bool zero = style == 1 && random() % 8;
        for (std::size_t b = 0; b < size && !zero; ++b) out[i * size + b] = std::uint8_t(random());
        if (style > 1 && size > 1) out[i * size + size - 1] = std::uint8_t(0x3B + random() % 2 + (style == 3 ? 128 : 0));
    }
    return out;
}

void test_crc32c() {
    check(crc32c("123456789", 9) == 0xE3069283, "the check value of CRC-32C");
    Random random(1);
    std::vector<std::uint8_t> data(300);
    for (std::uint8_t &byte : data) byte = std::uint8_t(random());
    for (std::size_t size = 0; size < data.size(); ++size) {
        const std::uint32_t whole = crc32c(data.data(), size);
        check(whole == crc32c_portable(data.data(), size), "tables and instruction agree");
        check(whole == crc32c(data.data() + size / 3, size - size / 3, crc32c(data.data(), size / 3)), "parts go on");
    }
}

void test_lossless() {
    Random random(2);
    for (int round = 0; round < 400; ++round) {
        const auto element = Element(random() % 4);
        const std::size_t size = element_size(element);
        std::vector<std::vector<std::uint8_t>> plain, out;
        std::vector<ConstMatrix> from;
        std::vector<MutableMatrix> to;
        for (unsigned i = random() % 3; i <= 2; ++i) {
            const std::size_t rows = random() % 60, columns = random() % (round % 10 ? 40 : 300);
            plain.push_back(elements(rows * columns, size, random));
            out.emplace_back(plain.back().size());
            from.push_back({plain.back().data(), rows, columns});
            to.push_back({out.back().data(), rows, columns});
        }
        const std::vector<std::uint8_t> stream = encode_lossless(element, from);
        decode_lossless(element, stream.data(), stream.size(), to);
        check(out == plain, "elements come back");
        for (int i = 0; i < 20; ++i) {
            const std::vector<std::uint8_t> bad = damaged(stream, random);
            try {
                decode_lossless(element, bad.data(), bad.size(), to);
            } catch (const LosslessError &) {
            }
        }
    }
}

void test_texts() {
    Random random(3);
    for (int round = 0; round < 12; ++round) {
        std::string text;
        while (text.size() < 700) text += "layer { name: \"conv" + std::to_string(random() % 30) + "\" type: \"ReLU\" }\n";
        for (int i = 0; i < round; ++i) text[random() % text.size()] = char(random());
        const auto *bytes = reinterpret_cast<const std::uint8_t *>(text.data());
        const std::vector<std::uint8_t> stream = encode_text(bytes, text.size());
        std::vector<std::uint8_t> out(text.size());
        check(decode_text(stream.data(), stream.size(), out.data(), out.size()), "a text is whole");
        check(std::memcmp(out.data(), bytes, out.size()) == 0, "a text comes back");
        check(stream.size() * 4 < text.size(), "a text becomes small");
        const std::vector<std::uint8_t> bad = damaged(stream, random);
        decode_text(bad.data(), bad.size(), out.data(), out.size());
    }
}

void test_clusters() {
    Random random(4);
    for (int round = 0; round < 60; ++round) {
        const std::size_t entries = 1 + random() % 40, kernel = round % 3 == 0 ? 1 : round % 3 == 1 ? 9 : 6;
        const std::size_t rows = random() % 20, columns = kernel * (random() % 12);
        std::vector<std::uint32_t> codebook(entries), read(entries);
        for (std::size_t i = 0; i < entries; ++i) codebook[i] = std::uint32_t(i * (0xFFFFFFFFu / entries) + random() % 1000);
        const std::vector<std::uint8_t> book = encode_codebooks({entries}, codebook.data());
        decode_codebooks(book.data(), book.size(), {entries}, read.data());
        check(read == codebook, "a codebook comes back");
        std::vector<std::int32_t> plain(rows * columns), out(rows * columns);
        for (std::int32_t &position : plain) position = std::int32_t(random() % 3 ? entries / 2 : random() % entries);
        const std::vector<std::uint8_t> stream = encode_clusters({{plain.data(), rows, columns, kernel, codebook.data(), entries}});
        const std::vector<ClusterTensor<std::int32_t *>> to{{out.data(), rows, columns, kernel, codebook.data(), entries}};
        decode_clusters(stream.data(), stream.size(), to);
        check(out == plain, "positions come back");
        for (int i = 0; i < 10; ++i) {
            const std::vector<std::uint8_t> bad = damaged(stream, random), bad_book = damaged(book, random);
            try {
                decode_clusters(bad.data(), bad.size(), to);
            } catch (const ClustersError &) {
            }
            for (const std::int32_t position : out) check(std::size_t(position) < entries, "a position within its codebook");
            try {
                decode_codebooks(bad_book.data(), bad_book.size(), {entries}, read.data());
            } catch (const ClustersError &) {
            }
        }
    }
}

}  // namespace

int main() {
    test_crc32c();
    test_lossless();
    test_texts();
    test_clusters();
    return failures != 0;
}
