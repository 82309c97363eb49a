// Damaged streams must end in the decoder's own exception or in some levels: never in a read or write out of bounds.
// Meant for -DDEMITASSE_SANITIZE=ON; DEMITASSE_FUZZ_ROUNDS says how many damaged streams of each kind (default 20000).
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "demitasse/levels.hpp"
#include "demitasse/lossless.hpp"

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

}  // namespace

int main() {
    const char *asked = std::getenv("DEMITASSE_FUZZ_ROUNDS");
    const int rounds = asked ? std::atoi(asked) : 20000;

    std::vector<Layout> layouts(2);
    layouts[0].rows = 19, layouts[0].channels = 5, layouts[0].kernel_h = 3, layouts[0].kernel_w = 3;
    layouts[0].trellis = true;
    layouts[1].rows = 1, layouts[1].channels = 33;
    const auto a = laplacian(layouts[0].size(), 1.5, 1), b = laplacian(layouts[1].size(), 300, 2);
    const std::vector<LevelTensor> tensors = {{a.data(), layouts[0]}, {b.data(), layouts[1]}};
    for (const LevelCoder coder : {LevelCoder::mixing, LevelCoder::tables}) {
        attack(coder == LevelCoder::mixing ? "levels, mixing" : "levels, tables", {encode_levels(tensors, coder)}, rounds,
               [&](const Bytes &data) {
                   std::vector<std::int32_t> x(layouts[0].size()), y(layouts[1].size());
                   decode_levels(data.data(), data.size(), layouts, {x.data(), y.data()});
               });
    }

    std::vector<Bytes> floats;
    std::vector<float> weights(40 * 30);
    std::mt19937 random(3);
    std::normal_distribution<float> normal(0, 0.1f);
    for (auto &w : weights) w = random() % 3 ? normal(random) : 0;
    floats.push_back(encode_lossless(Element::float32, {{weights.data(), 40, 30}}));
    attack("lossless", floats, rounds, [&](const Bytes &data) {
        std::vector<float> out(weights.size());
        decode_lossless(Element::float32, data.data(), data.size(), {{out.data(), 40, 30}});
    });
    return 0;
}
