#include "bindings.hpp"

void bind_quantizer(nanobind::module_ &) {}
