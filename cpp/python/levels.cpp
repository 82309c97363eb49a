#include "bindings.hpp"

void bind_levels(nanobind::module_ &) {}
