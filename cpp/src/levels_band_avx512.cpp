#include "levels_band_vector.hpp"

#ifdef DEMITASSE_X86
#define DEMITASSE_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi,bmi2,lzcnt,popcnt")))
#define DEMITASSE_MASKS 1
#define DEMITASSE_REGISTER "+v"
#define DEMITASSE_DECODE_BAND decode_band_avx512
#include "levels_band_x86.inc"
#endif
