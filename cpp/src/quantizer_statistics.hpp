// What the table coder would make of levels: contexts fitted to them, counts of what occurs in each, and so costs.
//
// The same as level_costs, but taken along while a tensor is quantised band by band.
#pragma once

#include <cstdint>
#include <vector>

#include "levels_context.hpp"
#include "levels_statistics.hpp"

namespace demitasse {

class Statistics {
  public:
    // Counts every `stride`th band of these levels, in contexts fitted to them or in what is about right everywhere.
    Statistics(const std::int32_t *levels, const Layout &layout, std::size_t stride, bool fit);

    // The counts start anew, for levels of a trellis of so many states, and each row has the scale of these levels.
    void restart(const std::int32_t *levels, int trellis);

    BandWalk walk() const { return BandWalk(layout_, combinations_); }
    void begin(BandWalk &walk, std::size_t band) const;
    // Counts the levels of a band and ends it: the walk has seen them.
    void end(BandWalk &walk, std::size_t band, const std::int32_t *levels);

    std::size_t bands() const { return (layout_.rows + lanes - 1) / lanes; }
    std::size_t rows_of(std::size_t band) const;

    LevelCosts costs() const;  // without the contexts of the weights

  private:
    Layout layout_;
    std::vector<std::uint8_t> scales_;
    Combinations combinations_;
    SymbolCounts counts_;
};

}  // namespace demitasse
