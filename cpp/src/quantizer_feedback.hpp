// The trellis search with feedback: the error of a weight is made good in the weights that follow it.
//
// What a layer reads is correlated: neighbouring pixels, channels that are all positive. So errors of neighbouring
// weights can cancel at the layer's output, and the search looks for those that do. The distance of a weight from its
// target is handed on to the targets that follow, as far as their inputs can stand for its own (GPTQ: Frantar et al.,
// 2023). An exact zero stays zero and hands on all that it was handed. Every survivor of Viterbi's algorithm has a past of its own, hence errors and targets of its own.
#pragma once

#include <cstdint>
#include <vector>

#include "demitasse/quantizer.hpp"
#include "quantizer_candidates.hpp"
#include "quantizer_search.hpp"

namespace demitasse {

// One object a thread; scratch is kept from row to row.
class FeedbackSearch {
  public:
    // coefficients[column * order + d]: what an error at that column adds to the target at column + 1 + d.
    FeedbackSearch(std::size_t columns, const float *coefficients, std::size_t order);

    // Levels of one row; adds what find_centroids needs, and the importance-weighted squared error in squared steps.
    void run(const CandidateTable &table, const SearchRow &row, float step, std::int32_t *levels, Quantized &out);

  private:
    struct Choice {
        std::int32_t level;
        float target, error;  // in steps
        float cost, distortion;
    };
    struct Candidates;

    Choice best(const Candidates &from, int quantiser, int parity) const;

    struct Mark {
        std::int32_t level;
        std::uint8_t before;
        float target, distortion;
    };

    std::size_t columns_, order_;
    const float *coefficients_;
    std::vector<float> now_, next_;  // by state: what past errors add to the targets to come
    std::vector<Mark> marks_;        // by column and state
};

}  // namespace demitasse
