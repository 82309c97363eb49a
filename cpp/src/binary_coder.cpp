#include "demitasse/binary_coder.hpp"

namespace demitasse {

const AdaptiveBit::Rates &AdaptiveBit::table() {
    static const Rates rates;
    return rates;
}

}  // namespace demitasse
