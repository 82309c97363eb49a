#include "levels_statistics.hpp"

#include <algorithm>
#include <cmath>

#include "binary_log.hpp"
#include "demitasse/logistic.hpp"

namespace demitasse {

namespace {

constexpr int odds_limit = 47;
constexpr int odds_step = 64;  // of the stretched domain

struct NodeCounts {
    std::uint64_t yes[tree_nodes], no[tree_nodes];
};

NodeCounts node_counts(const std::uint32_t *symbol) {
    NodeCounts out{};
    std::uint64_t beyond = symbol[escape_symbol];
    for (int m = table_reach; m >= 1; --m) {
        const std::uint64_t here = std::uint64_t(symbol[table_reach + m]) + symbol[table_reach - m];
        out.yes[m] = here;
        out.no[m] = beyond;
        beyond += here;
        out.yes[table_reach + m] = symbol[table_reach - m];
        out.no[table_reach + m] = symbol[table_reach + m];
    }
    out.yes[0] = symbol[table_reach];
    out.no[0] = beyond;
    return out;
}

double data_bits(std::uint64_t yes, std::uint64_t no, int odds) {
    const int p = squash(logistic_tables(), odds * odds_step);
    const std::int64_t of_yes = 16 * (1 << log_bits) - binary_log(std::uint64_t(p));
    const std::int64_t of_no = 16 * (1 << log_bits) - binary_log(std::uint64_t(65536 - p));
    return (double(yes) * double(of_yes) + double(no) * double(of_no)) / (1 << log_bits);
}

double side_bits(int delta) { return delta == 0 ? 0.4 : 2.0 + 1.2 * std::abs(delta); }

int choose_odds(std::uint64_t yes, std::uint64_t no, int predicted) {
    if (yes + no == 0) return predicted;
    // Four times the natural logarithm of (yes + 0.4) / (no + 0.4).
    const double best = 2.772588722239781 / (1 << log_bits) * double(binary_log(5 * yes + 2) - binary_log(5 * no + 2));
    const int nearest = std::clamp(int(std::floor(best + 0.5)), -odds_limit, odds_limit);
    int choice = predicted;
    double least = data_bits(yes, no, predicted) + side_bits(0);
    const int direction = nearest > predicted ? 1 : -1;
    for (int odds = predicted + direction; predicted != nearest; odds += direction) {
        const double bits = data_bits(yes, no, odds) + side_bits(odds - predicted);
        if (bits < least) {
            least = bits;
            choice = odds;
        }
        if (odds == nearest) break;
    }
    return choice;
}

// What a table starts from: the class before it of the same strength and quantiser.
const std::int8_t *predecessor(const TreeTables &tables, int context) {
    static const std::int8_t flat[tree_nodes] = {};
    return context % classes == 0 ? flat : tables.row(context - 1);
}

template <class Coder>
class TableCoder {
  public:
    explicit TableCoder(Coder &coder) : coder_(coder) {}

    void run(TreeTables &tables, int quantisers) {
        for (int context = 0; context < quantisers * strengths * classes; ++context) {
            const std::int8_t *before = predecessor(tables, context);
            std::int8_t *row = tables.row(context);
            bool changed = false;
            for (int node = 0; node < tree_nodes; ++node) changed |= row[node] != before[node];
            changed = changed_.code(coder_, changed, 30);
            for (int node = 0; node < tree_nodes; ++node) {
                const int delta = changed ? this->delta(node, row[node] - before[node]) : 0;
                row[node] = std::int8_t(std::clamp(before[node] + delta, -odds_limit, odds_limit));
            }
        }
    }

  private:
    int delta(int node, int value) {
        if (!moved_[node].code(coder_, value != 0, 60)) return 0;
        const bool negative = sign_[node].code(coder_, value < 0, 60);
        int magnitude = 1;
        while (magnitude < 2 * odds_limit && more_[std::min(magnitude, 7)].code(coder_, std::abs(value) > magnitude, 60)) ++magnitude;
        return negative ? -magnitude : magnitude;
    }

    Coder &coder_;
    AdaptiveBit changed_, moved_[tree_nodes], sign_[tree_nodes], more_[8];
};

}  // namespace

TreeTables fit_tables(const SymbolCounts &counts, int quantisers) {
    TreeTables out;
    for (int context = 0; context < quantisers * strengths * classes; ++context) {
        const NodeCounts nodes = node_counts(counts.row(context));
        const std::int8_t *before = predecessor(out, context);
        for (int node = 0; node < tree_nodes; ++node)
            out.row(context)[node] = std::int8_t(choose_odds(nodes.yes[node], nodes.no[node], before[node]));
    }
    return out;
}

void write_tables(BinaryEncoder &coder, const TreeTables &tables, int quantisers) {
    TreeTables copy = tables;
    TableCoder<BinaryEncoder>(coder).run(copy, quantisers);
}

TreeTables read_tables(BinaryDecoder &coder, int quantisers) {
    TreeTables out;
    TableCoder<BinaryDecoder>(coder).run(out, quantisers);
    return out;
}

void symbol_starts(const std::int8_t *odds, std::int32_t *starts) {
    constexpr std::int32_t total = 1 << table_bits;
    std::int32_t frequency[table_symbols];
    std::int32_t left = total;  // shared out among the symbols still to come
    const auto share = [](std::int32_t whole, int log_odds, std::int32_t least_yes, std::int32_t least_no) {
        const std::int32_t part = std::int32_t((std::int64_t(whole) * squash(logistic_tables(), log_odds * odds_step)) >> 16);
        return std::clamp(part, least_yes, whole - least_no);
    };
    frequency[table_reach] = share(left, odds[0], 1, 2 * table_reach + 1);
    left -= frequency[table_reach];
    for (int m = 1; m <= table_reach; ++m) {
        const std::int32_t both = share(left, odds[m], 2, 2 * (table_reach - m) + 1);
        left -= both;
        frequency[table_reach - m] = share(both, odds[table_reach + m], 1, 1);
        frequency[table_reach + m] = both - frequency[table_reach - m];
    }
    frequency[escape_symbol] = left;
    std::int32_t start = 0;
    for (int symbol = 0; symbol < table_symbols; ++symbol) {
        starts[symbol] = start;
        start += frequency[symbol];
    }
    starts[table_symbols] = start;
}

}  // namespace demitasse
