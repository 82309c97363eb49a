#include "demitasse/logistic.hpp"

namespace demitasse {

namespace {

// 65536 / (1 + exp(-x / 4)), rounded, for x = 0..48: written out because exp() differs between libraries.
constexpr int knots[50] = {32768, 36843, 40793, 44511, 47911, 50941, 53581, 55834, 57724, 59287, 60565, 61598, 62428,
                           63090, 63615, 64030, 64357, 64614, 64816, 64974, 65097, 65194, 65269, 65328, 65374, 65410,
                           65438, 65459, 65476, 65489, 65500, 65508, 65514, 65519, 65523, 65526, 65528, 65530, 65531,
                           65532, 65533, 65534, 65534, 65535, 65535, 65535, 65535, 65535, 65535, 65535};

LogisticTables make_tables() {
    LogisticTables out{};
    for (int x = -stretch_limit; x <= stretch_limit; ++x) {
        const int magnitude = x < 0 ? -x : x;
        const int knot = magnitude >> 6, part = magnitude & 63;
        const int p = (knots[knot] * (64 - part) + knots[knot + 1] * part + 32) >> 6;
        out.squash[x + stretch_limit] = std::uint16_t(clamp(x < 0 ? 65536 - p : p, 1, 65535));
    }
    // The stretched value of p is the middle of those that squash to it, or the nearest.
    int x = -stretch_limit;
    const auto inverse = [&](int p) {
        while (x < stretch_limit && out.squash[x + 1 + stretch_limit] <= p) ++x;
        return x;
    };
    for (int p = 0; p < 4096; ++p) out.low[p] = std::int16_t(inverse(p));
    x = -stretch_limit;
    for (int p = 0; p < 4096; ++p) out.middle[p] = std::int16_t(inverse(p * 16 + 8));
    return out;
}

}  // namespace

const LogisticTables &logistic_tables() {
    static const LogisticTables tables = make_tables();
    return tables;
}

}  // namespace demitasse
