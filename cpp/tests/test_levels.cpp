// The coder of levels: what goes in comes out, on every path; damage is an error, not a crash; the format stands still.
// Meant to be run under AddressSanitizer, too: cmake -DDEMITASSE_SANITIZE=ON.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "demitasse/levels.hpp"
#include "demitasse/quantizer.hpp"

using namespace demitasse;

namespace {

int failures = 0;

void check(bool holds, const std::string &what) {
    if (holds) return;
    std::fprintf(stderr, "failed: %s\n", what.c_str());
    ++failures;
}

using Random = std::mt19937;
using Levels = std::vector<std::int32_t>;

enum class Style { zeros, sparse, small, smooth, large, extreme, pruned_rows };
constexpr Style styles[] = {Style::zeros, Style::sparse, Style::small, Style::smooth, Style::large, Style::extreme, Style::pruned_rows};
const char *const style_names[] = {"zeros", "sparse", "small", "smooth", "large", "extreme", "pruned rows"};

// Integers only, so that every platform draws the same.
Levels draw(const Layout &layout, Style style, Random &random) {
    Levels out(layout.size());
    const auto around_zero = [&](int reach) {
        int sum = 0;
        for (int i = 0; i < 4; ++i) sum += int(random() % unsigned(2 * reach + 1)) - reach;
        return sum / 2;
    };
    for (std::size_t i = 0; i < out.size(); ++i) {
        const std::size_t row = i / layout.columns();
        switch (style) {
            case Style::zeros: break;
            case Style::sparse: out[i] = random() % 12 ? 0 : around_zero(2); break;
            case Style::small: out[i] = around_zero(1 + int(row % 3)); break;
            case Style::smooth: out[i] = (i % layout.columns() ? out[i - 1] / 2 : 0) + around_zero(2); break;
            case Style::large: out[i] = around_zero(300); break;
            case Style::extreme: {
                const std::uint32_t bits = 1 + random() % 21, magnitude = random() % (1u << bits);
                out[i] = random() % 3 ? 0 : random() % 2 ? int(magnitude) : -int(magnitude);
                break;
            }
            case Style::pruned_rows: out[i] = row % 3 ? 0 : around_zero(2); break;
        }
    }
    return out;
}

const std::vector<Layout> &layouts() {
    static const std::vector<Layout> out = {
        {1, 1, 1, 1, 0},   {1, 7, 1, 1, 8},    {3, 1, 3, 3, 0},    {8, 4, 1, 1, 8},   {9, 5, 3, 3, 8},   {9, 5, 3, 3, 256},
        {17, 33, 1, 1, 0}, {40, 16, 3, 3, 0}, {16, 3, 11, 11, 0}, {300, 20, 1, 1, 8}, {20, 1, 5, 5, 8}, {20, 30, 1, 1, 256},
        {2, 600, 1, 3, 0}, {0, 5, 1, 1, 0},   {5, 0, 3, 3, 8},
    };
    return out;
}

std::string name(const Layout &l, Style style) {
    return std::to_string(l.rows) + "x" + std::to_string(l.channels) + "x" + std::to_string(l.kernel_h) + "x" + std::to_string(l.kernel_w) +
           " trellis " + std::to_string(l.trellis) + " " + style_names[int(style)];
}

void test_round_trips() {
    Random random(1);
    const float one = 0.0371f;
    for (const Layout &layout : layouts()) {
        for (Style style : styles) {
            const Levels levels = draw(layout, style, random);
            for (LevelCoder coder : {LevelCoder::mixing, LevelCoder::tables}) {
                const auto stream = encode_levels({{levels.data(), layout}}, coder);
                check(stream == encode_levels({{levels.data(), layout}}, coder), name(layout, style) + ": the same bytes again");
                std::vector<float> row_steps(layout.rows);
                for (std::uint32_t r = 0; r < layout.rows; ++r) row_steps[r] = 0.01f * float(r % 7 + 1);
                const bool per_row = layout.rows % 2 == 0;
                const Reconstruction how{per_row ? row_steps.data() : &one, per_row, {0.0625f, 0.03125f, -0.25f, 0.125f, -0.0625f, 0.5f}};
                std::vector<float> wanted(layout.size());
                dequantize(levels.data(), layout.rows, layout.columns(), layout.trellis, how, wanted.data());
                for (const char *path : decode_paths()) {
                    Levels back(layout.size(), -7);
                    decode_levels(stream.data(), stream.size(), {layout}, {back.data()}, path);
                    check(back == levels, name(layout, style) + ": back on path " + path);
                    std::vector<float> weights(layout.size(), 7);
                    decode_levels_to_float(stream.data(), stream.size(), {layout}, {how}, {weights.data()}, path);
                    check(layout.size() == 0 || std::memcmp(weights.data(), wanted.data(), 4 * weights.size()) == 0,
                          name(layout, style) + ": weights as dequantize makes them on path " + path);
                }
            }
        }
    }
}

void test_groups() {
    Random random(2);
    std::vector<Levels> levels;
    std::vector<LevelTensor> tensors;
    for (const Layout &layout : layouts()) levels.push_back(draw(layout, Style::small, random));
    for (std::size_t i = 0; i < levels.size(); ++i) tensors.push_back({levels[i].data(), layouts()[i]});
    for (LevelCoder coder : {LevelCoder::mixing, LevelCoder::tables}) {
        const auto stream = encode_levels(tensors, coder);
        std::vector<Levels> back;
        std::vector<std::int32_t *> outputs;
        for (const Layout &layout : layouts()) back.emplace_back(layout.size());
        for (Levels &tensor : back) outputs.push_back(tensor.data());
        decode_levels(stream.data(), stream.size(), layouts(), outputs);
        check(back == levels, "a group comes back");
    }
}

// A fixed input gives a fixed stream: whoever changes these numbers changes the format.
void test_format_stands_still() {
    struct Vector {
        Layout layout;
        Style style;
        LevelCoder coder;
        std::size_t size;
        std::uint64_t hash;
    };
    const Vector vectors[] = {
#include "levels_vectors.inc"
    };
    Random random(3);
    for (const Vector &vector : vectors) {
        const Levels levels = draw(vector.layout, vector.style, random);
        const auto stream = encode_levels({{levels.data(), vector.layout}}, vector.coder);
        std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
        for (std::uint8_t byte : stream) hash = (hash ^ byte) * 0x100000001b3u;
        char got[160];
        std::snprintf(got, sizeof got, "%s, coder %d: %zu bytes, hash 0x%016llxu", name(vector.layout, vector.style).c_str(),
                      int(vector.coder), stream.size(), static_cast<unsigned long long>(hash));
        check(stream.size() == vector.size && hash == vector.hash, std::string("the format drifted: ") + got);
    }
}

void test_damage() {
    Random random(4);
    const Layout layout{20, 6, 3, 3, 8};
    for (LevelCoder coder : {LevelCoder::mixing, LevelCoder::tables}) {
        for (Style style : styles) {
            const Levels levels = draw(layout, style, random);
            const auto whole = encode_levels({{levels.data(), layout}}, coder);
            for (int round = 0; round < 150; ++round) {
                std::vector<std::uint8_t> data = whole;
                if (random() % 3 == 0) data.resize(random() % (data.size() + 1));
                if (random() % 5 == 0)
                    for (std::size_t i = 1; i < data.size(); ++i) data[i] = std::uint8_t(random());
                for (int i = int(random() % 4); i-- > 0 && !data.empty();) data[random() % data.size()] = std::uint8_t(random());
                Layout other = layout;
                if (random() % 4 == 0) other = layouts()[random() % layouts().size()];
                for (const char *path : decode_paths()) {
                    Levels back(other.size());
                    try {
                        decode_levels(data.data(), data.size(), {other}, {back.data()}, path);
                    } catch (const LevelsError &) {
                    }
                }
            }
        }
    }
}

void test_limits() {
    const Layout layout{1, 2, 1, 1, 0};
    for (LevelCoder coder : {LevelCoder::mixing, LevelCoder::tables}) {
        const Levels most{level_limit, -level_limit};
        Levels back(2);
        const auto stream = encode_levels({{most.data(), layout}}, coder);
        decode_levels(stream.data(), stream.size(), {layout}, {back.data()});
        check(back == most, "the largest levels come back");
        const Levels beyond{level_limit + 1, 0};
        bool refused = false;
        try {
            encode_levels({{beyond.data(), layout}}, coder);
        } catch (const std::invalid_argument &) {
            refused = true;
        }
        check(refused, "a level beyond the limit is refused");
    }
}

void test_costs() {
    Random random(5);
    for (int trellis : {0, 8, 256}) {
        const Layout layout{256, 40, 3, 3, trellis};
        for (Style style : {Style::sparse, Style::small, Style::smooth, Style::large}) {
            const Levels levels = draw(layout, style, random);
            const LevelCosts costs = level_costs(levels.data(), layout);
            check(costs.context.size() == levels.size(), "a context for each weight");
            for (std::uint16_t context : costs.context) check(context < LevelCosts::contexts, "contexts within bounds");
            const double estimated = estimate_bits(levels.data(), layout);
            const double real = 8.0 * double(encode_levels({{levels.data(), layout}}, LevelCoder::tables).size());
            check(std::fabs(estimated / real - 1) < 0.08, name(layout, style) + ": the estimate is " + std::to_string(estimated / real));
        }
    }
}

}  // namespace

int main() {
    test_round_trips();
    test_groups();
    test_format_stands_still();
    test_damage();
    test_limits();
    test_costs();
    if (failures == 0) std::puts("levels: all tests passed");
    return failures != 0;
}
