#pragma once
#include <cstdint>
namespace demitasse {
inline int trellis_quantiser(int state) { return state & 1; }
inline int trellis_next(int state, std::int32_t level) {
    static const std::uint8_t next[8][2] = {{0,2},{5,7},{1,3},{6,4},{2,0},{4,6},{3,1},{7,5}};
    return next[state][level & 1];
}
}
