#include "levels_band_vector.hpp"

#ifdef DEMITASSE_X86
#define DEMITASSE_TARGET __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))
#define DEMITASSE_MASKS 0
#define DEMITASSE_REGISTER "+x"
#define DEMITASSE_DECODE_BAND decode_band_avx2
#include "levels_band_x86.inc"
#endif
