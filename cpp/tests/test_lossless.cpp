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
#include "../src/lossless_lanes.hpp"
#include "../src/lossless_vector.hpp"

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
            const std::size_t rows = random() % 60, columns = random() % (round % 10 ? 40 : 900);
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

#ifdef DEMITASSE_X86
// Tables of random counts: elements of any stream.
lossless::Model random_tables(Random &random) {
    lossless::Model model;
    model.counts.resize(1 + random() % lossless::max_tables);
    for (auto &counts : model.counts) {
        std::uint32_t left = lossless::probability_one;
        const std::size_t symbols = 1 + random() % lossless::max_symbols;
        for (std::size_t i = 0; i + 1 < symbols; ++i) left -= counts[i] = std::uint16_t(random() % (left / 2 + 1));
        counts[symbols - 1] = std::uint16_t(left);
    }
    return model;
}

void test_lanes_of_every_path_agree() {
    Random random(5);
    for (int round = 0; round < 200; ++round) {
        const lossless::Model model = random_tables(random);
        const std::vector<std::uint32_t> tables = lossless::lookup_tables(model);
        std::uint32_t states[2][lossless::most_lanes];
        for (std::size_t lane = 0; lane < lossless::most_lanes; ++lane)
            states[0][lane] = states[1][lane] = lossless::lower_bound + random() % (~0u - lossless::lower_bound);
        std::vector<std::uint8_t> words(random() % 8000), which(random() % 4096);
        for (std::uint8_t &byte : words) byte = std::uint8_t(random());
        for (std::uint8_t &table : which) table = std::uint8_t(random() % model.counts.size());
        std::vector<std::uint8_t> symbols[2] = {std::vector<std::uint8_t>(which.size()), std::vector<std::uint8_t>(which.size())};
        const std::uint8_t *next[2] = {words.data(), words.data()}, *end = words.data() + words.size();
        const std::size_t plain =
            lossless::decode_lanes_plain(states[0], next[0], end, tables.data(), which.data(), which.size(), symbols[0].data());
        const std::size_t vector =
            lossless::decode_lanes_avx2(states[1], next[1], end, tables.data(), which.data(), which.size(), symbols[1].data());
        check(plain == vector && next[0] == next[1] && symbols[0] == symbols[1], "lanes give the same symbols on every path");
        check(std::memcmp(states[0], states[1], sizeof states[0]) == 0, "lanes are in the same states on every path");
    }
}

void test_bits_go_to_their_places() {
    Random random(6);
    for (int round = 0; round < 400; ++round) {
        std::uint32_t fixed[256];
        for (std::uint32_t &value : fixed) value = random();
        const bool with_sign = random() % 2;
        const int dropped = int(random() % 23), rest = int(random() % unsigned(23 - dropped));
        const lossless::RawLayout layout{fixed, rest + !with_sign, rest, dropped};
        std::vector<std::uint8_t> bits(random() % 400), symbols(random() % 200);
        for (std::uint8_t &byte : bits) byte = std::uint8_t(random());
        for (std::uint8_t &symbol : symbols) symbol = std::uint8_t(random());
        const std::size_t phase = bits.empty() ? 0 : random() % 8;
        std::vector<std::uint32_t> out(symbols.size());
        const std::size_t done = lossless::restore_avx2(layout, bits.data(), bits.data() + bits.size(), int(phase), symbols.data(),
                                                        symbols.size(), out.data());
        for (std::size_t i = 0; i < done; ++i) {
            std::uint32_t raw = 0;
            for (std::size_t bit = phase + i * std::size_t(layout.raw), b = 0; b < std::size_t(layout.raw); ++b, ++bit)
                raw |= std::uint32_t(bits[bit / 8] >> (bit % 8) & 1) << b;
            const std::uint32_t sign = with_sign ? 0 : raw >> rest << 31;
            const std::uint32_t wanted = fixed[symbols[i]] | (raw & ((1u << rest) - 1)) << dropped | sign;
            check(out[i] == wanted, "raw bits go to their places");
        }
    }
}
#endif

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
#ifdef DEMITASSE_X86
    if (lossless::has_avx2()) {
        test_lanes_of_every_path_agree();
        test_bits_go_to_their_places();
    }
#endif
    test_texts();
    test_clusters();
    return failures != 0;
}
