#pragma once

#include <cstddef>

#include "levels_band.hpp"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define DEMITASSE_X86 1
#define DEMITASSE_INLINE __attribute__((always_inline)) inline

namespace demitasse {

std::size_t decode_band_avx2(BandDecoder &band, std::size_t first, std::size_t last);
std::size_t decode_band_avx512(BandDecoder &band, std::size_t first, std::size_t last);

}  // namespace demitasse

#endif
