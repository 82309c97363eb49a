#include "bindings.hpp"

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include <nanobind/stl/vector.h>

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
    module.def("encode_text", &encode_text, nb::arg("text"));
    module.def("decode_text", &decode_text, nb::arg("data"), nb::arg("size"), nb::sig(
        "def decode_text(data: Buffer, size: int) -> bytes | None"));
    module.def("priming_text", &priming_text);
}
