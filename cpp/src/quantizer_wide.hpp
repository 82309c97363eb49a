// The search of the wide trellis: Viterbi's algorithm over 256 states, with the contexts of the best survivor.
//
// That every survivor should see its own contexts, as in SurvivorSearch, is worth 0.2 % of size with eight states and
// would take thirty times as long with 256. Survivors are nearly of one past a few levels back; so what a level costs
// is asked once a weight, in the context of the survivor that leads.
#pragma once

#include <cstdint>
#include <vector>

#include "demitasse/trellis.hpp"
#include "quantizer_survivors.hpp"

namespace demitasse {

// One object a thread; scratch is kept from row to row.
class WideSearch {
  public:
    WideSearch(const Layout &layout, const BandWalk &walk);

    // A row that is the `lane` of the band that the walk has begun. `levels`: of the round before; then the new ones.
    void run(const CandidateTable &table, const SearchRow &row, int lane, std::int32_t *levels);

  private:
    struct Mark {
        std::uint8_t uppers;    // bit of each subset: its upper candidate is the cheaper one
        std::uint16_t context;
    };

    struct Step {
        int before;  // state
        std::int32_t level;
    };
    // How the survivor that is in `state` after a column came there.
    Step back(const CandidateTable &table, const SearchRow &row, std::size_t column, int state) const;

    RowContexts contexts_;
    std::vector<std::uint8_t> odd_;  // by column and state: came by an odd level
    std::vector<Mark> marks_;        // by column
};

}  // namespace demitasse
