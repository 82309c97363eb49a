#include "bindings.hpp"

void bind_lossless(nanobind::module_ &) {}
