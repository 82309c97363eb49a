// Damaged streams must end in the decoder's own exception or in some numbers: never in a read or write out of bounds.
// Meant for -DDEMITASSE_SANITIZE=ON; DEMITASSE_FUZZ_ROUNDS says how many damaged streams of each kind (default 20000).
#include <algorithm>
#include <array>
#include <climits>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "demitasse/clusters.hpp"
#include "demitasse/crc32c.hpp"
#include "demitasse/levels.hpp"
#include "demitasse/lossless.hpp"
#include "demitasse/quantizer.hpp"
#include "demitasse/text.hpp"

using namespace demitasse;
using Bytes = std::vector<std::uint8_t>;

namespace {

Bytes damaged(const Bytes &seed, std::mt19937 &random) {
    Bytes data = seed;
    for (unsigned injuries = 1 + random() % 4; injuries && !data.empty(); --injuries) {
        const std::size_t at = random() % data.size();
        switch (random() % 4) {
            case 0: data[at] ^= std::uint8_t(1u << (random() % 8)); break;
            case 1: data[at] = std::uint8_t(random()); break;
            case 2: data.resize(at); break;
            default: data.insert(data.begin() + std::ptrdiff_t(at), std::uint8_t(random())); break;
        }
    }
    data.shrink_to_fit();  // so that a sanitizer sees the first byte read beyond the end
    return data;
}

template <class Decode>
void attack(const char *name, const std::vector<Bytes> &seeds, int rounds, Decode decode) {
    for (const Bytes &seed : seeds) decode(seed);
    std::mt19937 random(7);
    long refused = 0;
    for (int i = 0; i < rounds; ++i) {
        const Bytes data = damaged(seeds[random() % seeds.size()], random);
        try {
            decode(data);
        } catch (const std::runtime_error &) {
            ++refused;
        }
    }
    std::printf("%s: %d damaged streams, %ld refused\n", name, rounds, refused);
}

std::vector<std::int32_t> laplacian(std::size_t count, double scale, unsigned seed) {
    std::mt19937 random(seed);
    std::exponential_distribution<double> magnitude(1 / scale);
    std::vector<std::int32_t> out(count);
    for (auto &level : out) {
        level = std::int32_t(magnitude(random));
        if (random() & 1) level = -level;
    }
    return out;
}

// Copies that start at every offset from a number's own alignment, as numbers within a mapped file do.
template <class Read>
void at_every_offset(const Bytes &data, Read read) {
    for (std::size_t offset = 0; offset < 8; ++offset) {
        Bytes moved(offset + data.size());
        std::memcpy(moved.data() + offset, data.data(), data.size());
        read(moved.data() + offset);
    }
}

int failures = 0;

void check(bool holds, const char *what) {
    if (holds) return;
    std::fprintf(stderr, "failed: %s\n", what);
    ++failures;
}

void attack_levels(int rounds) {
    std::vector<Layout> layouts(2);
    layouts[0].rows = 19, layouts[0].channels = 5, layouts[0].kernel_h = 3, layouts[0].kernel_w = 3;
    layouts[0].trellis = 8;
    layouts[1].rows = 1, layouts[1].channels = 33;
    const auto a = laplacian(layouts[0].size(), 1.5, 1), b = laplacian(layouts[1].size(), 300, 2);
    const std::vector<LevelTensor> tensors = {{a.data(), layouts[0]}, {b.data(), layouts[1]}};
    const float step = 0.5f;
    const std::vector<Reconstruction> reconstructions(2, Reconstruction{&step, false, {0.1f, 0, 0}});
    for (const LevelCoder coder : {LevelCoder::mixing, LevelCoder::tables})
        for (const char *path : decode_paths()) {
            if (coder == LevelCoder::mixing && path != decode_paths().front()) continue;  // it has but one
            const std::string name = std::string(coder == LevelCoder::mixing ? "levels, mixing, " : "levels, tables, ") + path;
            attack(name.c_str(), {encode_levels(tensors, coder)}, rounds, [&](const Bytes &data) {
                std::vector<float> v(layouts[0].size()), w(layouts[1].size());
                std::vector<std::int32_t> x(layouts[0].size()), y(layouts[1].size());
                bool refused = false;
                try {
                    decode_levels_to_float(data.data(), data.size(), layouts, reconstructions, {v.data(), w.data()}, path);
                } catch (const LevelsError &) {
                    refused = true;
                }
                try {
                    decode_levels(data.data(), data.size(), layouts, {x.data(), y.data()}, path);
                } catch (const LevelsError &) {
                    check(refused, "levels and weights of a damaged stream are both refused");
                    throw;
                }
                check(!refused, "levels and weights of a damaged stream are both read");
            });
        }
}

void attack_floats(int rounds) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal(0, 0.1f);
    std::vector<float> weights(40 * 30);
    for (auto &w : weights) w = random() % 3 ? normal(random) : 0;
    for (const Element element : {Element::float32, Element::float64, Element::float16, Element::byte}) {
        const std::size_t columns = 30 * 4 / element_size(element);
        const std::string name = "lossless, " + std::to_string(element_size(element)) + " bytes";
        attack(name.c_str(), {encode_lossless(element, {{weights.data(), 40, columns}})}, rounds, [&](const Bytes &data) {
            std::vector<double> out(weights.size() / 2);
            decode_lossless(element, data.data(), data.size(), {{out.data(), 40, columns}});
        });
    }
}

void attack_texts(int rounds) {
    std::vector<Bytes> seeds;
    std::vector<std::size_t> sizes;
    for (const std::string text : {"layer { name: \"a\" type: \"ReLU\" }\n", "\x00\xff\xfe{{{{::::", ""}) {
        seeds.push_back(encode_text(reinterpret_cast<const std::uint8_t *>(text.data()), text.size()));
        sizes.push_back(text.size());
    }
    std::mt19937 random(4);
    attack("texts", seeds, rounds, [&](const Bytes &data) {
        Bytes out(random() % 3 ? sizes[random() % sizes.size()] : random() % 300);
        decode_text(data.data(), data.size(), out.data(), out.size());
    });
}

void attack_clusters(int rounds) {
    std::mt19937 random(5);
    const std::vector<std::size_t> sizes = {7, 1};
    std::vector<std::uint32_t> book = {0x80000000, 0xBF000000, 0, 0x3E000000, 0x3F000000, 0x3F800000, 0x40000000, 0x3F800000};
    std::vector<std::int32_t> a(9 * 24), b(5 * 6, 0);
    for (auto &position : a) position = std::int32_t(random() % sizes[0]);
    const auto seed = encode_clusters({{a.data(), 9, 24, 6, book.data(), sizes[0]}, {b.data(), 5, 6, 1, &book[7], sizes[1]}});
    attack("positions", {seed}, rounds, [&](const Bytes &data) {
        std::vector<std::int32_t> x(a.size(), -1), y(b.size(), -1);
        decode_clusters(data.data(), data.size(), {{x.data(), 9, 24, 6, book.data(), sizes[0]}, {y.data(), 5, 6, 1, &book[7], sizes[1]}});
        for (const std::int32_t position : x) check(std::size_t(position) < sizes[0], "a position within its codebook");
        for (const std::int32_t position : y) check(position == 0, "the only position there is");
    });
    // Codebooks that nobody sorted, with positions for any of them.
    attack("positions in any codebook", {seed}, rounds, [&](const Bytes &data) {
        std::vector<std::uint32_t> any(1 + random() % 9);
        for (auto &value : any) value = std::uint32_t(random());
        std::vector<std::int32_t> x(a.size());
        decode_clusters(data.data(), data.size(), {{x.data(), 9, 24, 6, any.data(), any.size()}});
    });
    std::sort(book.begin(), book.begin() + 7);
    attack("codebooks", {encode_codebooks(sizes, book.data())}, rounds, [&](const Bytes &data) {
        std::vector<std::uint32_t> out(book.size());
        decode_codebooks(data.data(), data.size(), sizes, out.data());
        for (std::size_t i = 1; i < sizes[0]; ++i) check(out[i - 1] < out[i], "a codebook rises");
    });
}

// Any int32 as a level, any float as a step: some float comes out.
void attack_dequantizer(int rounds) {
    std::mt19937 random(6);
    const std::int32_t corners[] = {0, 1, -1, 3, -3, level_limit, -level_limit, INT_MAX, INT_MIN, INT_MIN + 1};
    for (int round = 0; round < rounds / 10; ++round) {
        const std::size_t rows = random() % 4, columns = random() % 700;
        std::vector<std::int32_t> levels(rows * columns);
        for (auto &level : levels) level = random() % 2 ? std::int32_t(random()) : corners[random() % 10];
        std::vector<float> steps(rows + 1), out(levels.size());
        for (auto &step : steps) {
            const std::uint32_t bits = std::uint32_t(random());
            std::memcpy(&step, &bits, sizeof step);
        }
        const Reconstruction reconstruction{steps.data(), bool(random() % 2), {0.1f, steps.back(), -0.5f}};
        dequantize(levels.data(), rows, columns, random() % 2, reconstruction, out.data());
    }
    std::printf("dequantize: %d arbitrary matrices\n", rounds / 10);
}

// What the quantiser is to refuse is found, whatever the bits; what it takes, it codes.
void attack_quantizer(int rounds) {
    std::mt19937 random(8);
    int taken = 0;
    for (int round = 0; round < rounds / 20; ++round) {
        QuantizerInput input{};
        input.layout.rows = 1 + random() % 5, input.layout.channels = 1 + random() % 40, input.layout.trellis = std::array{0, 8, 256}[random() % 3];
        std::vector<float> weights(input.layout.size());
        for (auto &weight : weights) {
            const std::uint32_t bits = std::uint32_t(random());
            std::memcpy(&weight, &bits, sizeof weight);
            if (round % 4) weight = std::isfinite(weight) ? std::fmod(weight, round % 8 ? 3.0f : 4e5f) : 0;
        }
        const float step = round % 3 ? 0.11f : 1e-4f;
        input.weights = weights.data(), input.steps = &step;
        std::size_t position = 0;
        if (find_fault(input, position) != WeightFault::none) {
            check(position < weights.size(), "a fault is at a weight");
            continue;
        }
        std::vector<std::int32_t> levels(weights.size());
        quantize(input, {0.1f, 2}, true, levels.data());
        encode_levels({{levels.data(), input.layout}}, LevelCoder::automatic);
        ++taken;
    }
    std::printf("quantize: %d arbitrary matrices, %d taken\n", rounds / 20, taken);
    check(rounds < 1000 || taken > 0, "some matrices can be quantised");
}

template <class Error, class Decode>
void refuse(const char *what, Decode decode) {
    bool refused = false;
    try {
        decode();
    } catch (const Error &) {
        refused = true;
    }
    check(refused, what);
}

// A short stream for 2^40 numbers: refused before the first of them is written, or anything is allocated for them.
void promise_too_much() {
    Layout layout;
    layout.channels = 1u << 31, layout.kernel_w = 1u << 9;
    const Bytes stream = {std::uint8_t(LevelCoder::mixing), 0, 0, 0, 0, 0, 0, 0, 0, 0};
    refuse<LevelsError>("a stream of 2^40 levels", [&] { decode_levels(stream.data(), stream.size(), {layout}, {nullptr}); });
    const std::uint32_t book[] = {0, 0x3F800000};
    refuse<ClustersError>("a stream of 2^40 positions", [&] {
        decode_clusters(stream.data(), stream.size(), {{static_cast<std::int32_t *>(nullptr), 1, std::size_t(1) << 40, 1, book, 2}});
    });
}

void read_unaligned() {
    std::mt19937 random(9);
    Bytes data(4 * 999);
    for (auto &byte : data) byte = std::uint8_t(random() % 2);
    const auto distinct = distinct_values(data.data(), data.size() / 4, 100);
    const std::uint32_t sum = crc32c(data.data(), data.size());
    at_every_offset(data, [&](const std::uint8_t *moved) {
        check(distinct_values(moved, data.size() / 4, 100) == distinct, "values are the same at any address");
        check(crc32c(moved, data.size()) == sum, "a checksum is the same at any address");
    });
    const auto levels = laplacian(4000, 2, 10);
    std::vector<std::int32_t> out(levels.size());
    Layout layout;
    layout.rows = 40, layout.channels = 100;
    for (const LevelCoder coder : {LevelCoder::mixing, LevelCoder::tables}) {
        const Bytes stream = encode_levels({{levels.data(), layout}}, coder);
        at_every_offset(stream, [&](const std::uint8_t *moved) {
            decode_levels(moved, stream.size(), {layout}, {out.data()});
            check(out == levels, "a stream is the same at any address");
        });
    }
    const Bytes stream = encode_lossless(Element::float32, {{levels.data(), 40, 100}});
    at_every_offset(stream, [&](const std::uint8_t *moved) {
        decode_lossless(Element::float32, moved, stream.size(), {{out.data(), 40, 100}});
        check(out == levels, "a stream is the same at any address");
    });
}

}  // namespace

int main() {
    const char *asked = std::getenv("DEMITASSE_FUZZ_ROUNDS");
    const int rounds = asked ? std::atoi(asked) : 20000;
    attack_levels(rounds);
    attack_floats(rounds);
    attack_clusters(rounds);
    attack_texts(rounds / 200 + 5);
    attack_dequantizer(rounds);
    attack_quantizer(rounds);
    promise_too_much();
    read_unaligned();
    return failures != 0;
}
