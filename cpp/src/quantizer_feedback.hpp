// The trellis search with feedback: the error of a weight is made good in the weights that follow it.
//
// What a layer reads is correlated: neighbouring pixels, channels that are all positive. So errors of the weights of a
// row can cancel at the layer's output, and the search looks for those that do. With the second moments of the inputs
// as U diag(d) U^T, U upper triangular with ones, the error of the output is the sum of d x (distance from target)^2,
// if the target of a weight is itself plus what U makes of the errors before it (LDLQ: Chee et al., 2023; the same as
// GPTQ: Frantar et al., 2023). An exact zero stays zero, without an error.
//
// Every survivor of Viterbi's algorithm has a past of its own, hence errors and targets of its own: over the last
// columns. What lies further back is the same for all, and its errors count once, for all that follows.
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
    // coefficients[column * order + d]: U, what an error at that column adds to the target at column + 1 + d.
    FeedbackSearch(std::size_t columns, const float *coefficients, std::size_t order);

    // Levels of one row; adds what find_centroids needs, and the importance-weighted squared error in squared steps.
    void run(const CandidateTable &table, const SearchRow &row, float step, std::int32_t *levels, Quantized &out);

  private:
    struct Choice {
        std::int32_t level;
        float target, value;  // in steps
        float cost, distortion;
    };
    struct Candidates;

    Choice best(const Candidates &from, int quantiser, int parity) const;

    struct Mark {
        std::int32_t level;
        std::uint8_t before;
        float target, error, distortion;
    };

    // Columns from `first` on are the best survivor's for good: their errors count for what is beyond its own reach.
    void settle(std::size_t first, std::size_t column, int state);

    std::size_t columns_, order_, reach_;
    const float *coefficients_;
    std::vector<float> now_, next_;  // by state: what recent errors add to the targets to come
    std::vector<float> settled_;     // by column: what all errors further back add to its target
    std::vector<Mark> marks_;        // by column and state
};

}  // namespace demitasse
