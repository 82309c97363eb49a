#include "bindings.hpp"

#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include <nanobind/stl/vector.h>

#include "demitasse/clusters.hpp"
#include "demitasse/crc32c.hpp"
#include "demitasse/lossless.hpp"
#include "demitasse/text.hpp"

namespace nb = nanobind;

namespace {

// The bytes of anything that has some, for as long as this lives.
class Bytes {
  public:
    explicit Bytes(nb::handle object, int flags = PyBUF_SIMPLE) {
        if (PyObject_GetBuffer(object.ptr(), &view_, flags) != 0) throw nb::python_error();
    }
    ~Bytes() { PyBuffer_Release(&view_); }
    Bytes(const Bytes &) = delete;
    Bytes &operator=(const Bytes &) = delete;

    const std::uint8_t *data() const { return static_cast<const std::uint8_t *>(view_.buf); }
    std::size_t size() const { return std::size_t(view_.len); }

    // Of an array: axis sizes, and the size of an element.
    std::size_t axis(int number) const { return std::size_t(view_.shape[number]); }
    int axes() const { return view_.ndim; }
    std::size_t item() const { return std::size_t(view_.itemsize); }
    void *target() const { return view_.buf; }

  private:
    Py_buffer view_;
};

std::uint32_t crc32c(nb::handle object, std::uint32_t seed) {
    const Bytes bytes(object);
    nb::gil_scoped_release release;
    return demitasse::crc32c(bytes.data(), bytes.size(), seed);
}

using demitasse::Element;

// Two-dimensional C-contiguous arrays whose elements have the element's size; held while they are used.
template <class Pointer>
class Matrices {
  public:
    Matrices(Element element, const std::vector<nb::object> &arrays, int flags) {
        for (const nb::object &array : arrays) {
            held_.push_back(std::make_unique<Bytes>(array, PyBUF_C_CONTIGUOUS | flags));
            const Bytes &bytes = *held_.back();
            if (bytes.axes() != 2 || bytes.item() != demitasse::element_size(element))
                throw nb::value_error("matrices of the element's size are needed");
            matrices.push_back({bytes.target(), bytes.axis(0), bytes.axis(1)});
        }
    }
    std::vector<demitasse::Matrix<Pointer>> matrices;

  private:
    std::vector<std::unique_ptr<Bytes>> held_;
};

Element element_of(int number) {
    if (number < 0 || number > 3) throw nb::value_error("no such element");
    return Element(number);
}

nb::bytes as_bytes(const std::vector<std::uint8_t> &data) { return nb::bytes(data.data(), data.size()); }

nb::bytes encode_lossless(int number, const std::vector<nb::object> &arrays) {
    const Element element = element_of(number);
    const Matrices<const void *> from(element, arrays, 0);
    std::vector<std::uint8_t> out;
    {
        nb::gil_scoped_release release;
        out = demitasse::encode_lossless(element, from.matrices);
    }
    return as_bytes(out);
}

void decode_lossless(int number, nb::handle data, const std::vector<nb::object> &arrays) {
    const Element element = element_of(number);
    const Bytes bytes(data);
    const Matrices<void *> to(element, arrays, PyBUF_WRITABLE);
    nb::gil_scoped_release release;
    demitasse::decode_lossless(element, bytes.data(), bytes.size(), to.matrices);
}

nb::bytes distinct_values(nb::handle object, std::size_t limit) {
    const Bytes bytes(object);
    std::vector<std::uint32_t> out;
    {
        nb::gil_scoped_release release;
        out = demitasse::distinct_values(bytes.data(), bytes.size() / 4, limit);
    }
    return nb::bytes(out.data(), out.size() * 4);
}

// Positions (int32 matrices), the kernel size of each, and its codebook as bit patterns.
template <class Pointer>
class Clusters {
  public:
    Clusters(const std::vector<nb::object> &positions, const std::vector<std::size_t> &kernels,
             const std::vector<nb::object> &codebooks, int flags)
        : positions_(Element::float32, positions, flags) {
        if (kernels.size() != positions.size() || codebooks.size() != positions.size())
            throw nb::value_error("as many kernels and codebooks as matrices are needed");
        for (std::size_t i = 0; i < codebooks.size(); ++i) {
            held_.push_back(std::make_unique<Bytes>(codebooks[i]));
            const auto &matrix = positions_.matrices[i];
            if (kernels[i] == 0 || (held_.back()->size() < 4 && matrix.rows * matrix.columns > 0))
                throw nb::value_error("a kernel or a codebook is empty");
            tensors.push_back({static_cast<Pointer>(matrix.data), matrix.rows, matrix.columns, kernels[i],
                               static_cast<const std::uint32_t *>(held_.back()->target()), held_.back()->size() / 4});
        }
    }
    std::vector<demitasse::ClusterTensor<Pointer>> tensors;

  private:
    Matrices<std::conditional_t<std::is_const_v<std::remove_pointer_t<Pointer>>, const void *, void *>> positions_;
    std::vector<std::unique_ptr<Bytes>> held_;
};

nb::bytes encode_clusters(const std::vector<nb::object> &positions, const std::vector<std::size_t> &kernels,
                          const std::vector<nb::object> &codebooks) {
    const Clusters<const std::int32_t *> from(positions, kernels, codebooks, 0);
    for (const auto &tensor : from.tensors)
        for (std::size_t i = 0; i < tensor.rows * tensor.columns; ++i)
            if (std::size_t(std::uint32_t(tensor.positions[i])) >= tensor.entries)
                throw nb::value_error("a position is outside its codebook");
    std::vector<std::uint8_t> out;
    {
        nb::gil_scoped_release release;
        out = demitasse::encode_clusters(from.tensors);
    }
    return as_bytes(out);
}

void decode_clusters(nb::handle data, const std::vector<nb::object> &positions, const std::vector<std::size_t> &kernels,
                     const std::vector<nb::object> &codebooks) {
    const Bytes bytes(data);
    const Clusters<std::int32_t *> to(positions, kernels, codebooks, PyBUF_WRITABLE);
    nb::gil_scoped_release release;
    demitasse::decode_clusters(bytes.data(), bytes.size(), to.tensors);
}

std::size_t sum(const std::vector<std::size_t> &sizes) {
    std::size_t out = 0;
    for (const std::size_t size : sizes) out += size;
    return out;
}

nb::bytes encode_codebooks(const std::vector<std::size_t> &sizes, nb::handle keys) {
    const Bytes bytes(keys);
    if (bytes.size() != 4 * sum(sizes)) throw nb::value_error("as many keys as the sizes say are needed");
    return as_bytes(demitasse::encode_codebooks(sizes, reinterpret_cast<const std::uint32_t *>(bytes.data())));
}

void decode_codebooks(nb::handle data, const std::vector<std::size_t> &sizes, nb::handle keys) {
    const Bytes bytes(data), out(keys, PyBUF_WRITABLE);
    if (out.size() != 4 * sum(sizes)) throw nb::value_error("as many keys as the sizes say are needed");
    demitasse::decode_codebooks(bytes.data(), bytes.size(), sizes, static_cast<std::uint32_t *>(out.target()));
}

nb::bytes encode_text(nb::handle object) {
    const Bytes bytes(object);
    std::vector<std::uint8_t> out;
    {
        nb::gil_scoped_release release;
        out = demitasse::encode_text(bytes.data(), bytes.size());
    }
    return as_bytes(out);
}

// None for bytes that are no text of that size.
nb::object decode_text(nb::handle object, std::size_t size) {
    const Bytes bytes(object);
    std::vector<std::uint8_t> out(size);
    bool whole;
    {
        nb::gil_scoped_release release;
        whole = demitasse::decode_text(bytes.data(), bytes.size(), out.data(), size);
    }
    return whole ? nb::object(as_bytes(out)) : nb::none();
}

nb::bytes priming_text() {
    const std::string_view text = demitasse::priming_text();
    return nb::bytes(text.data(), text.size());
}

}  // namespace

void bind_lossless(nb::module_ &module) {
    module.def("crc32c", &crc32c, nb::arg("data"), nb::arg("seed") = 0, "CRC-32C of the bytes of a buffer.");
    nb::exception<demitasse::LosslessError>(module, "LosslessError", PyExc_ValueError);
    module.def("encode_lossless", &encode_lossless, nb::arg("element"), nb::arg("arrays"));
    module.def("decode_lossless", &decode_lossless, nb::arg("element"), nb::arg("data"), nb::arg("arrays"));
    module.def("distinct_values", &distinct_values, nb::arg("values"), nb::arg("limit"));
    nb::exception<demitasse::ClustersError>(module, "ClustersError", PyExc_ValueError);
    module.def("encode_clusters", &encode_clusters, nb::arg("positions"), nb::arg("kernels"), nb::arg("codebooks"));
    module.def("decode_clusters", &decode_clusters, nb::arg("data"), nb::arg("positions"), nb::arg("kernels"),
               nb::arg("codebooks"));
    module.def("encode_codebooks", &encode_codebooks, nb::arg("sizes"), nb::arg("keys"));
    module.def("decode_codebooks", &decode_codebooks, nb::arg("data"), nb::arg("sizes"), nb::arg("keys"));
    module.def("encode_text", &encode_text, nb::arg("text"));
    module.def("decode_text", &decode_text, nb::arg("data"), nb::arg("size"), nb::sig(
        "def decode_text(data: Buffer, size: int) -> bytes | None"));
    module.def("priming_text", &priming_text);
}
