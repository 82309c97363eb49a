#include "demitasse/crc32c.hpp"

#include <array>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#define DEMITASSE_CRC_X86 1
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#define DEMITASSE_CRC_ARM 1
#include <arm_acle.h>
#endif

namespace demitasse {
namespace {

constexpr std::uint32_t polynomial = 0x82F63B78;  // bit-reversed
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

// tables[k][b]: what byte b does to the remainder when k zero bytes follow.
Tables make_tables() {
    Tables tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
        tables[0][byte] = crc;
    }
    for (std::size_t k = 1; k < 8; ++k) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const std::uint32_t before = tables[k - 1][byte];
            tables[k][byte] = before >> 8 ^ tables[0][before & 255];
        }
    }
    return tables;
}

#ifdef DEMITASSE_CRC_X86
__attribute__((target("sse4.2"))) std::uint32_t crc_hardware(const std::uint8_t *p, std::size_t size, std::uint32_t crc) {
    std::uint64_t wide = crc;
    for (; size >= 8; size -= 8, p += 8) {
        std::uint64_t word;
        std::memcpy(&word, p, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = std::uint32_t(wide);
    for (; size > 0; --size) crc = _mm_crc32_u8(crc, *p++);
    return crc;
}
#elif defined(DEMITASSE_CRC_ARM)
std::uint32_t crc_hardware(const std::uint8_t *p, std::size_t size, std::uint32_t crc) {
    for (; size >= 8; size -= 8, p += 8) {
        std::uint64_t word;
        std::memcpy(&word, p, 8);
        crc = __crc32cd(crc, word);
    }
    for (; size > 0; --size) crc = __crc32cb(crc, *p++);
    return crc;
}
#endif

}  // namespace

std::uint32_t crc32c_portable(const void *data, std::size_t size, std::uint32_t seed) {
    static const Tables tables = make_tables();
    const auto *p = static_cast<const std::uint8_t *>(data);
    std::uint32_t crc = ~seed;
    for (; size >= 8; size -= 8, p += 8) {
        const std::uint32_t low = crc ^ (p[0] | p[1] << 8 | p[2] << 16 | std::uint32_t(p[3]) << 24);
        crc = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^ tables[4][low >> 24] ^
              tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^ tables[0][p[7]];
    }
    for (; size > 0; --size) crc = crc >> 8 ^ tables[0][(crc ^ *p++) & 255];
    return ~crc;
}

std::uint32_t crc32c(const void *data, std::size_t size, std::uint32_t seed) {
#ifdef DEMITASSE_CRC_X86
    if (__builtin_cpu_supports("sse4.2")) return ~crc_hardware(static_cast<const std::uint8_t *>(data), size, ~seed);
#elif defined(DEMITASSE_CRC_ARM)
    return ~crc_hardware(static_cast<const std::uint8_t *>(data), size, ~seed);
#endif
    return crc32c_portable(data, size, seed);
}

}  // namespace demitasse
