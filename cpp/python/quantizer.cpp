#include "demitasse/factorize.hpp"
#include "demitasse/quantizer.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <stdexcept>
#include <tuple>

#include "bindings.hpp"

namespace nb = nanobind;

namespace {

using demitasse::Layout;
using Shape = std::array<std::uint32_t, 4>;
using Matrix = nb::ndarray<const std::int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Weights = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Levels = nb::ndarray<std::int32_t, nb::c_contig, nb::device::cpu>;
using Centroids = std::array<double, 2 * demitasse::shift_count>;

void check(bool fits, const char *message) {
    if (!fits) throw std::invalid_argument(message);
}

nb::ndarray<nb::numpy, float, nb::ndim<2>> dequantize(Matrix levels, Floats steps, int trellis, Floats shifts) {
    const std::size_t rows = levels.shape(0), columns = levels.shape(1);
    check(steps.size() == 1 || steps.size() == rows, "dequantize takes one step, or one a row");
    check(shifts.size() == demitasse::shift_count, "dequantize takes six shifts");
    demitasse::Reconstruction reconstruction{steps.data(), steps.size() != 1, {}};
    std::copy_n(shifts.data(), demitasse::shift_count, reconstruction.shifts);
    std::unique_ptr<float[]> out(new float[rows * columns]);
    {
        nb::gil_scoped_release release;
        demitasse::dequantize(levels.data(), rows, columns, trellis, reconstruction, out.get());
    }
    float *data = out.get();
    nb::capsule owner(out.release(), [](void *p) noexcept { delete[] static_cast<float *>(p); });
    return nb::ndarray<nb::numpy, float, nb::ndim<2>>(data, {rows, columns}, owner);
}

demitasse::QuantizerInput make_input(const Weights &weights, const Shape &shape, int trellis, const Floats &steps,
                                     const std::optional<Floats> &row_importance, const std::optional<Floats> &column_importance,
                                     const std::optional<Floats> &feedback = std::nullopt) {
    const Layout layout{shape[0], shape[1], shape[2], shape[3], trellis};
    check(weights.size() == layout.size(), "weights do not have the number of elements that their layout says");
    check(steps.size() == 1 || steps.size() == layout.rows, "quantize takes one step, or one a row");
    check(!row_importance || row_importance->size() == layout.rows, "row_importance has one element a row");
    check(!column_importance || column_importance->size() == layout.columns(), "column_importance has one element a column");
    check(!feedback || (trellis && feedback->size() % std::max<std::size_t>(layout.columns(), 1) == 0),
          "feedback belongs to a trellis and has the same number of coefficients for every column");
    return {weights.data(), layout, steps.data(), steps.size() != 1, row_importance ? row_importance->data() : nullptr,
            column_importance ? column_importance->data() : nullptr, feedback ? feedback->data() : nullptr,
            feedback ? feedback->size() / std::max<std::size_t>(layout.columns(), 1) : 0};
}

std::tuple<Centroids, double, double> quantize(Weights weights, const Shape &shape, Floats steps, int trellis, float lambda,
                                               int rounds, std::optional<Floats> row_importance,
                                               std::optional<Floats> column_importance, bool measure, Levels out,
                                               std::optional<Floats> feedback) {
    const demitasse::QuantizerInput input = make_input(weights, shape, trellis, steps, row_importance, column_importance, feedback);
    check(out.size() == input.layout.size(), "levels do not have the number of elements that their layout says");
    demitasse::Quantized result;
    {
        nb::gil_scoped_release release;
        result = demitasse::quantize(input, {lambda, rounds}, measure, out.data());
    }
    Centroids centroids;
    std::copy_n(result.pull, demitasse::shift_count, centroids.begin());
    std::copy_n(result.weight, demitasse::shift_count, centroids.begin() + demitasse::shift_count);
    return {centroids, result.bits, result.squared_error};
}

std::tuple<int, std::size_t> find_fault(Weights weights, const Shape &shape, Floats steps) {
    const demitasse::QuantizerInput input = make_input(weights, shape, 0, steps, std::nullopt, std::nullopt);
    nb::gil_scoped_release release;
    std::size_t position = 0;
    const demitasse::WeightFault fault = demitasse::find_fault(input, position);
    return {int(fault), position};
}

nb::ndarray<nb::numpy, double, nb::ndim<1>> factorize(nb::ndarray<double, nb::ndim<2>, nb::c_contig, nb::device::cpu> matrix,
                                                     double least) {
    const std::size_t count = matrix.shape(0);
    check(matrix.shape(1) == count && least > 0, "factorize takes a square matrix, and a least that is positive");
    std::unique_ptr<double[]> out(new double[count]);
    {
        nb::gil_scoped_release release;
        demitasse::factorize(matrix.data(), count, least, out.get());
    }
    double *data = out.get();
    nb::capsule owner(out.release(), [](void *p) noexcept { delete[] static_cast<double *>(p); });
    return nb::ndarray<nb::numpy, double, nb::ndim<1>>(data, {count}, owner);
}

}  // namespace

void bind_quantizer(nb::module_ &module) {
    module.def("dequantize", &dequantize, nb::arg("levels"), nb::arg("steps"), nb::arg("trellis"), nb::arg("shifts"));
    module.def("quantize", &quantize, nb::arg("weights"), nb::arg("shape"), nb::arg("steps"), nb::arg("trellis"),
               nb::arg("lam"), nb::arg("rounds"), nb::arg("row_importance").none(), nb::arg("column_importance").none(),
               nb::arg("measure"), nb::arg("out"), nb::arg("feedback").none() = nb::none());
    module.def("factorize", &factorize, nb::arg("matrix"), nb::arg("least"));
    module.def("find_fault", &find_fault, nb::arg("weights"), nb::arg("shape"), nb::arg("steps"));
}
