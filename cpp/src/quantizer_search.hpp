// The searches: the cheapest levels of one row against given tables.
#pragma once

#include <cstdint>
#include <vector>

#include "quantizer_candidates.hpp"

namespace demitasse {

struct SearchRow {
    const Cells &cells;
    const std::uint16_t *contexts;
    float row_importance;
    const float *column_importance;  // null: 1
    std::size_t columns;
    bool all_far = false;  // where a bit is dear: every weight's candidates are worked out by themselves

    float importance(std::size_t column) const {
        return column_importance ? row_importance * column_importance[column] : row_importance;
    }
};

// Viterbi's algorithm over the eight states. Scratch is kept from row to row; one object a thread.
class TrellisSearch {
  public:
    explicit TrellisSearch(std::size_t columns) : trace_(columns) {}
    void run(const CandidateTable &table, const SearchRow &row, std::int32_t *levels);
    void run_plain(const CandidateTable &table, const SearchRow &row, std::int32_t *levels);

  private:
    void trace_back(const CandidateTable &table, const SearchRow &row, int state, std::int32_t *levels) const;

    std::vector<std::uint16_t> trace_;  // by column: bit of each state: came by an odd level; above: subsets' upper ones
};

// Without a trellis: each weight by itself.
void round_row(const LevelCosts &costs, const Shifts &shifts, float lambda, const SearchRow &row,
               const float *weights, std::int32_t *levels);

}  // namespace demitasse
