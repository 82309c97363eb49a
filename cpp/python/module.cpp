#include "bindings.hpp"

NB_MODULE(_core, module) {
    module.doc() = "demitasse's C++ core: entropy coders and quantisers over plain arrays";
    bind_levels(module);
    bind_quantizer(module);
    bind_lossless(module);
}
