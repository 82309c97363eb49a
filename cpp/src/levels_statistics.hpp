// Static symbol tables of the table coder: fitted to counts, written in few bits, turned into frequencies.
#pragma once

#include <cstdint>
#include <vector>

#include "demitasse/binary_coder.hpp"
#include "demitasse/levels.hpp"
#include "levels_context.hpp"

namespace demitasse {

constexpr int table_symbols = 16;       // -7..7, then the escape
constexpr int table_reach = 7;
constexpr int escape_symbol = 15;
constexpr int table_bits = 15;
constexpr int table_contexts = 2 * strengths * classes;  // [quantiser][strength][class]
constexpr int zero_context = table_contexts;             // of rows that are all zero, and of absent rows

inline int table_context(int quantiser, int strength, int magnitude_class) {
    return (quantiser * strengths + strength) * classes + magnitude_class;
}

// How often each symbol occurred in each context.
struct SymbolCounts {
    std::vector<std::uint32_t> count = std::vector<std::uint32_t>(std::size_t(table_contexts) * table_symbols, 0);
    std::uint32_t *row(int context) { return &count[std::size_t(context) * table_symbols]; }
    const std::uint32_t *row(int context) const { return &count[std::size_t(context) * table_symbols]; }
};

// A table is a tree of 15 yes/no questions: is it zero; is the magnitude 1, 2, .. 7 (else: escape); is the sign of
// magnitude 1, .. 7 negative. Each answer's log-odds is held in quarters of a nat.
constexpr int tree_nodes = 15;
struct TreeTables {
    std::vector<std::int8_t> odds = std::vector<std::int8_t>(std::size_t(table_contexts) * tree_nodes, 0);
    std::int8_t *row(int context) { return &odds[std::size_t(context) * tree_nodes]; }
    const std::int8_t *row(int context) const { return &odds[std::size_t(context) * tree_nodes]; }
};

TreeTables fit_tables(const SymbolCounts &counts, int quantisers);

void write_tables(BinaryEncoder &coder, const TreeTables &tables, int quantisers);
TreeTables read_tables(BinaryDecoder &coder, int quantisers);

// What levels cost under such tables, without the contexts of the weights.
LevelCosts table_costs(const TreeTables &tables, bool trellis);

// starts[0..15] of the symbols in [0, 32768), starts[16] = 32768; every symbol has at least 1.
void symbol_starts(const std::int8_t *odds, std::int32_t *starts);

}  // namespace demitasse
