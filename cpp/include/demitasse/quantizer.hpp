// Quantisers: real weights to integer levels at the least cost in squared error and bits, and levels back to weights.
//
// All functions are deterministic: float32 arithmetic in a fixed order without fused operations, decisions in integers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "demitasse/levels.hpp"

namespace demitasse {

// Magnitudes beyond which float32 no longer tells the points of the grid apart, in steps.
constexpr float index_limit = float(1 << 22);

// A weight is (index - shift) x step with the level's sign, two roundings to float32. index: |level|, with the trellis
// 2|level| less 1 in odd states; shift: shifts[index - 1] for 1 <= index <= 6, else 0. Level 0 is +0.
void dequantize(const std::int32_t *levels, std::size_t rows, std::size_t columns, int trellis,
                const Reconstruction &reconstruction, float *out);

// What is to be quantised: rows x columns in C order, with what makes an error matter more here than there.
struct QuantizerInput {
    const float *weights;
    Layout layout;
    const float *steps;  // positive; one, or one a row
    bool step_per_row = false;
    const float *row_importance = nullptr;     // of squared errors, in units of the row's step; null: 1
    const float *column_importance = nullptr;  // the same; null: 1
    // With the trellis: feedback[column * feedback_order + d] is what an error at that column adds to the target at
    // column + 1 + d. What counts then is the distance from targets, and squared_error is of that. Null: no feedback.
    const float *feedback = nullptr;
    std::size_t feedback_order = 0;
};

struct QuantizerOptions {
    float lambda;    // squared steps per bit
    int rounds = 3;  // of quantising against the statistics of the round before
};

// What became of it: enough to merge the parts of a tensor.
struct Quantized {
    double bits = 0;           // about what the coder will spend (only if asked for)
    double squared_error = 0;  // in units of the weights, with shifts as given by shift()
    double pull[shift_count] = {};    // sum of importance x (index - |weight| / step) over weights of index 1, 2, ...
    double weight[shift_count] = {};  // sum of importance

    // Centroid of an index, in steps towards zero: a multiple of 1/256 in [-1/2, 1/2).
    float shift(int index) const;
};

// Writes layout.size() levels. Exact zeros stay zero. Precondition: weights are finite and below index_limit steps.
Quantized quantize(const QuantizerInput &input, const QuantizerOptions &options, bool measure, std::int32_t *levels);

// Why quantize would refuse these weights; the first of them is at `position`.
enum class WeightFault { none, not_finite, beyond_limit };
WeightFault find_fault(const QuantizerInput &input, std::size_t &position);

}  // namespace demitasse
