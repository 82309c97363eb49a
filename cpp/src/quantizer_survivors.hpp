// The trellis search with contexts of its own: each survivor of Viterbi's algorithm sees the levels on its own path.
//
// What a level costs depends on the levels to its left. Taking these from the round before makes for slow convergence
// and for paths that are not the cheapest; here each of the eight survivors carries its last four levels, and the
// context of the next weight is worked out for each. Neighbours farther away are those of the round before.
#pragma once

#include <cstdint>
#include <vector>

#include "levels_context.hpp"
#include "quantizer_candidates.hpp"
#include "quantizer_search.hpp"

namespace demitasse {

constexpr std::int32_t least_expected = 16, most_expected = (1 << 24) - 1;  // as BandWalk has them
constexpr int exponent_of_16 = 4 * (127 + 4);                              // of float32, with two bits of the mantissa

// What a row's levels cost: contexts from near levels, which a search makes up its mind about as it goes, and from all
// else, which it knows beforehand.
class RowContexts {
  public:
    static constexpr std::size_t near_columns = 4;

    RowContexts(const Layout &layout, const BandWalk &walk);

    // A row that is the `lane` of the band that the walk has begun; farther neighbours are these levels.
    void prepare(int lane, const std::int32_t *levels);
    unsigned at(std::size_t column, const std::int32_t (&past)[near_columns]) const;  // the nearest first

  protected:
    // Weights of the neighbours at distances 1 and 2, and 3 and 4, as pairs of 16 bits.
    struct Near {
        std::int32_t expected[2], lean[2];
    };
    struct Far {
        std::int32_t distance, expected, lean;
    };
    struct Position {
        Near near;
        std::vector<Far> far;
    };

    const BandWalk &walk_;
    std::vector<Position> positions_;            // of the kernel
    std::vector<std::int32_t> expected_, lean_;  // by column: all but the near neighbours
};

// One object a thread; scratch is kept from row to row.
class SurvivorSearch : private RowContexts {
  public:
    SurvivorSearch(const Layout &layout, const BandWalk &walk);

    // A row that is the `lane` of the band that the walk has begun. `levels`: of the round before; then the new ones.
    void run(const CandidateTable &table, const SearchRow &row, int lane, std::int32_t *levels);
    void run_plain(const CandidateTable &table, const SearchRow &row, int lane, std::int32_t *levels);

  private:
    int forward_plain(const CandidateTable &table, const SearchRow &row);
    int forward_avx2(const CandidateTable &table, const SearchRow &row);
    void trace_back(const CandidateTable &table, const SearchRow &row, int state, std::int32_t *levels) const;

    std::vector<std::uint32_t> trace_;              // by column, three bytes: states reached by an odd level; states
                                                    // whose even, and whose odd, candidate is the upper one
    std::vector<std::uint16_t> far_context_;        // by column, of far cells
};

}  // namespace demitasse
