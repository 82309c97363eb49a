// Entropy coding of weights that share values: positions in a sorted codebook, one for every weight.
//
// Adaptive binary decisions (zero or not, sign, then the position by halves), each predicted from several contexts, the
// first two also by linear prediction, and mixed. The contexts use the values that positions stand for, so that layers
// with different codebooks learn from one another. docs/format-text.md describes the stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace demitasse {

class ClustersError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Positions of rows x columns weights, kernel of them for each input channel; the codebook is float32 bit patterns,
// negative values by falling, positive by rising magnitude.
template <class Positions>
struct ClusterTensor {
    Positions positions;
    std::size_t rows, columns, kernel;
    const std::uint32_t *codebook;
    std::size_t entries;
};

std::vector<std::uint8_t> encode_clusters(const std::vector<ClusterTensor<const std::int32_t *>> &tensors);

// Throws ClustersError; every position that it writes is one of its codebook.
void decode_clusters(const std::uint8_t *data, std::size_t size, const std::vector<ClusterTensor<std::int32_t *>> &tensors);

// The codebooks themselves: numbers that rise within each of them.
std::vector<std::uint8_t> encode_codebooks(const std::vector<std::size_t> &sizes, const std::uint32_t *keys);
void decode_codebooks(const std::uint8_t *data, std::size_t size, const std::vector<std::size_t> &sizes, std::uint32_t *keys);

}  // namespace demitasse
