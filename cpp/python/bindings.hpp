// One function a file of the core: each adds its own functions to the module.
#pragma once

#include <nanobind/nanobind.h>

void bind_levels(nanobind::module_ &module);
void bind_quantizer(nanobind::module_ &module);
void bind_lossless(nanobind::module_ &module);
