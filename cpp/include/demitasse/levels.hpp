// Entropy coding of quantised weights: integer levels to bytes and back, and what levels cost, for the quantiser.
//
// A stream holds a group of tensors, or a range of rows of one. It does not hold their shapes: whoever reads it knows
// them. docs/format-levels.md describes it byte for byte. Every function may be called from several threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace demitasse {

// A stream that cannot have been written by this coder, or does not fit the layouts given.
class LevelsError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// How a tensor is seen: rows (output channels) of channels (input channels) of kernel_h x kernel_w weights, in C order.
// InnerProduct is (rows, columns, 1, 1), a vector (1, n, 1, 1). Trellis: how many states it has (see trellis.hpp), 8 or
// 256, 0 without one; the state starts at 0 in each row.
struct Layout {
    std::uint32_t rows = 1;
    std::uint32_t channels = 1;
    std::uint32_t kernel_h = 1;
    std::uint32_t kernel_w = 1;
    int trellis = 0;

    std::size_t kernel() const { return std::size_t(kernel_h) * kernel_w; }
    std::size_t columns() const { return channels * kernel(); }
    std::size_t size() const { return rows * columns(); }
};

// Largest magnitude of a level that can be coded.
constexpr std::int32_t level_limit = 1 << 24;

struct LevelTensor {
    const std::int32_t *levels;
    Layout layout;
};

// The two coders: one byte at the head of a stream says which.
enum class LevelCoder : std::uint8_t {
    automatic = 0,  // the smaller one for its speed: mixing up to a few million weights, tables beyond
    mixing = 1,     // adaptive binary contexts, logistic mixing; statistics carry over from tensor to tensor
    tables = 2,     // static tables, eight rANS lanes, vectorised; one tensor a stream
};

// Throws std::invalid_argument for a level beyond level_limit and for layouts that the coder cannot take.
std::vector<std::uint8_t> encode_levels(const std::vector<LevelTensor> &tensors, LevelCoder coder = LevelCoder::automatic);

// The ways of decoding tables that this machine has, fastest first ("avx512", "avx2", "plain"): all give the same bits.
std::vector<const char *> decode_paths();

// Writes layouts[i].size() levels to outputs[i]. Throws LevelsError; reads nothing outside data, whatever it holds. A path other than the fastest is for tests.
void decode_levels(const std::uint8_t *data, std::size_t size, const std::vector<Layout> &layouts,
                   const std::vector<std::int32_t *> &outputs, const char *path = nullptr);

// Reconstruction points that have a shift of their own: of the indices 1, 2, ...
constexpr int shift_count = 6;

// How levels become weights: one step, or one a row; shifts as in net.Levels.
struct Reconstruction {
    const float *steps;
    bool step_per_row;
    float shifts[shift_count];
};

// The same straight to float32: what dequantize makes of decode_levels' output, to the bit.
void decode_levels_to_float(const std::uint8_t *data, std::size_t size, const std::vector<Layout> &layouts,
                            const std::vector<Reconstruction> &reconstructions, const std::vector<float *> &outputs,
                            const char *path = nullptr);

// What the levels of one tensor cost in bits, by context: the statistics that the quantiser works against.
struct LevelCosts {
    static constexpr int reach = 15;               // levels -reach..reach have an entry each
    static constexpr int symbols = 2 * reach + 1;  // entry of level k: k + reach
    static constexpr int contexts = 360;

    std::vector<std::uint16_t> context;  // of each weight, given these levels around it; < contexts
    std::vector<float> bits;             // [contexts][2][symbols]; second index: quantiser of the trellis (0 without)
    std::vector<float> slope;            // [contexts]: bits per unit of magnitude beyond reach

    const float *row(unsigned ctx, unsigned quantiser) const { return &bits[(std::size_t(ctx) * 2 + quantiser) * symbols]; }
    float cost(unsigned ctx, unsigned quantiser, std::int32_t level) const {
        const float *table = row(ctx, quantiser);
        if (level > reach) return table[symbols - 1] + slope[ctx] * float(level - reach);
        if (level < -reach) return table[0] + slope[ctx] * float(-reach - level);
        return table[level + reach];
    }
};

LevelCosts level_costs(const std::int32_t *levels, const Layout &layout);

// Bits that the coder would spend on these levels, within a few per cent (for reports and planning).
double estimate_bits(const std::int32_t *levels, const Layout &layout);

}  // namespace demitasse
