#include "demitasse/levels.hpp"

#include <cstdlib>
#include <cstring>

#include "demitasse/quantizer.hpp"
#include "levels_mixing.hpp"
#include "levels_tables.hpp"

namespace demitasse {

namespace {

// Up to here the mixing coder's time (about 6 M weights a second) is worth its size, 3 to 10 % less than tables'.
constexpr std::size_t mixing_size = 3000000;

LevelCoder choose_coder(const std::vector<LevelTensor> &tensors) {
    return tensors.size() != 1 || tensors[0].layout.size() <= mixing_size ? LevelCoder::mixing : LevelCoder::tables;
}

}  // namespace

std::vector<std::uint8_t> encode_levels(const std::vector<LevelTensor> &tensors, LevelCoder coder) {
    for (const LevelTensor &tensor : tensors) {
        for (std::size_t i = 0; i < tensor.layout.size(); ++i) {
            if (tensor.levels[i] > level_limit || tensor.levels[i] < -level_limit)
                throw std::invalid_argument("a level is beyond +-2^24: the step is too fine for this tensor");
        }
    }
    if (coder == LevelCoder::automatic) coder = choose_coder(tensors);
    std::vector<std::uint8_t> out{std::uint8_t(coder)};
    if (coder == LevelCoder::tables) encode_tables(tensors, out);
    else encode_mixing(tensors, out);
    return out;
}

namespace {

// Levels of tensor i go to levels[i], or its weights to weights[i].
void decode(const std::uint8_t *data, std::size_t size, const std::vector<Layout> &layouts, DecodeBand path,
            const std::vector<std::int32_t *> &levels, const std::vector<float *> &weights,
            const std::vector<Reconstruction> &how) {
    if (size == 0) throw LevelsError("an empty stream of levels");
    const LevelCoder coder = LevelCoder(data[0]);
    if (coder != LevelCoder::mixing && coder != LevelCoder::tables) throw LevelsError("a stream of levels of an unknown kind");
    if (coder == LevelCoder::tables) {
        std::vector<TableOutput> outputs;
        for (std::size_t i = 0; i < layouts.size(); ++i)
            outputs.push_back(weights.empty() ? TableOutput{levels[i], nullptr, {}, path} : TableOutput{nullptr, weights[i], how[i], path});
        return decode_tables(data + 1, size - 1, layouts, outputs);
    }
    const bool vectors = path != decode_band_plain;
    if (weights.empty()) return decode_mixing(data + 1, size - 1, layouts, levels, vectors);
    std::vector<std::vector<std::int32_t>> own;
    std::vector<std::int32_t *> pointers;
    for (const Layout &layout : layouts) own.emplace_back(layout.size());
    for (std::vector<std::int32_t> &tensor : own) pointers.push_back(tensor.data());
    decode_mixing(data + 1, size - 1, layouts, pointers, vectors);
    for (std::size_t i = 0; i < layouts.size(); ++i) dequantize(pointers[i], layouts[i].rows, layouts[i].columns(), layouts[i].trellis, how[i], weights[i]);
}

DecodeBand path_named(const char *name) {
    for (const BandPath &path : band_paths())
        if (!name || std::strcmp(path.name, name) == 0) return path.decode;
    throw std::invalid_argument("this machine has no such path");
}

}  // namespace

std::vector<const char *> decode_paths() {
    std::vector<const char *> out;
    for (const BandPath &path : band_paths()) out.push_back(path.name);
    return out;
}

void decode_levels(const std::uint8_t *data, std::size_t size, const std::vector<Layout> &layouts,
                   const std::vector<std::int32_t *> &outputs, const char *path) {
    decode(data, size, layouts, path_named(path), outputs, {}, {});
}

void decode_levels_to_float(const std::uint8_t *data, std::size_t size, const std::vector<Layout> &layouts,
                            const std::vector<Reconstruction> &reconstructions, const std::vector<float *> &outputs,
                            const char *path) {
    decode(data, size, layouts, path_named(path), {}, outputs, reconstructions);
}

}  // namespace demitasse
