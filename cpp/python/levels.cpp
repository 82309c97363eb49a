#include "demitasse/levels.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>

#include "bindings.hpp"

namespace nb = nanobind;

namespace {

using demitasse::Layout;

using Shape = std::array<std::uint32_t, 4>;
using ConstLevels = nb::ndarray<const std::int32_t, nb::c_contig, nb::device::cpu>;
using MutableLevels = nb::ndarray<std::int32_t, nb::c_contig, nb::device::cpu>;
using ConstFloats = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using MutableFloats = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

Layout make_layout(const Shape &shape, int trellis) { return {shape[0], shape[1], shape[2], shape[3], trellis}; }

void check_count(std::size_t have, std::size_t want) {
    if (have != want) throw std::invalid_argument("an array does not have the number of elements that its layout says");
}

std::vector<Layout> make_layouts(const std::vector<Shape> &shapes, const std::vector<int> &trellis, std::size_t arrays) {
    if (shapes.size() != trellis.size() || shapes.size() != arrays)
        throw std::invalid_argument("arrays, shapes and trellises must be of one length");
    std::vector<Layout> out;
    for (std::size_t i = 0; i < shapes.size(); ++i) out.push_back(make_layout(shapes[i], trellis[i]));
    return out;
}

nb::bytes encode(const std::vector<ConstLevels> &arrays, const std::vector<Shape> &shapes, const std::vector<int> &trellis,
                 int coder) {
    const std::vector<Layout> layouts = make_layouts(shapes, trellis, arrays.size());
    std::vector<demitasse::LevelTensor> tensors;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        check_count(arrays[i].size(), layouts[i].size());
        tensors.push_back({arrays[i].data(), layouts[i]});
    }
    std::vector<std::uint8_t> out;
    {
        nb::gil_scoped_release release;
        out = demitasse::encode_levels(tensors, demitasse::LevelCoder(coder));
    }
    return nb::bytes(out.data(), out.size());
}

void decode(Bytes data, const std::vector<Shape> &shapes, const std::vector<int> &trellis,
            const std::vector<MutableLevels> &arrays) {
    const std::vector<Layout> layouts = make_layouts(shapes, trellis, arrays.size());
    std::vector<std::int32_t *> outputs;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        check_count(arrays[i].size(), layouts[i].size());
        outputs.push_back(arrays[i].data());
    }
    nb::gil_scoped_release release;
    demitasse::decode_levels(data.data(), data.size(), layouts, outputs);
}

void decode_to_float(Bytes data, const std::vector<Shape> &shapes, const std::vector<int> &trellis,
                     const std::vector<ConstFloats> &steps, const std::vector<ConstFloats> &shifts,
                     const std::vector<MutableFloats> &arrays) {
    const std::vector<Layout> layouts = make_layouts(shapes, trellis, arrays.size());
    if (steps.size() != arrays.size() || shifts.size() != arrays.size())
        throw std::invalid_argument("arrays, steps and shifts must be of one length");
    std::vector<demitasse::Reconstruction> reconstructions;
    std::vector<float *> outputs;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        check_count(arrays[i].size(), layouts[i].size());
        const bool per_row = steps[i].size() != 1;
        if (per_row) check_count(steps[i].size(), layouts[i].rows);
        check_count(shifts[i].size(), demitasse::shift_count);
        demitasse::Reconstruction &reconstruction = reconstructions.emplace_back();
        reconstruction.steps = steps[i].data();
        reconstruction.step_per_row = per_row;
        std::copy_n(shifts[i].data(), demitasse::shift_count, reconstruction.shifts);
        outputs.push_back(arrays[i].data());
    }
    nb::gil_scoped_release release;
    demitasse::decode_levels_to_float(data.data(), data.size(), layouts, reconstructions, outputs);
}

double bits(ConstLevels levels, const Shape &shape, int trellis) {
    const Layout layout = make_layout(shape, trellis);
    check_count(levels.size(), layout.size());
    nb::gil_scoped_release release;
    return demitasse::estimate_bits(levels.data(), layout);
}

}  // namespace

void bind_levels(nb::module_ &module) {
    nb::exception<demitasse::LevelsError>(module, "LevelsError", PyExc_ValueError);
    module.def("encode_levels", &encode, nb::arg("arrays"), nb::arg("shapes"), nb::arg("trellis"), nb::arg("coder"));
    module.def("decode_levels", &decode, nb::arg("data"), nb::arg("shapes"), nb::arg("trellis"), nb::arg("arrays"));
    module.def("decode_levels_to_float", &decode_to_float, nb::arg("data"), nb::arg("shapes"), nb::arg("trellis"),
               nb::arg("steps"), nb::arg("shifts"), nb::arg("arrays"));
    module.def("level_bits", &bits, nb::arg("levels"), nb::arg("shape"), nb::arg("trellis"));
}
