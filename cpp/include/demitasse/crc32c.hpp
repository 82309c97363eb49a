// CRC-32C (Castagnoli; RFC 3720): any error burst up to 32 bits is found, and CPUs compute it at the speed of memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace demitasse {

// Of size bytes; pass the result for the bytes before as seed to go on.
std::uint32_t crc32c(const void *data, std::size_t size, std::uint32_t seed = 0);

// The same by tables alone, as on a CPU without the instruction; for tests.
std::uint32_t crc32c_portable(const void *data, std::size_t size, std::uint32_t seed = 0);

}  // namespace demitasse
