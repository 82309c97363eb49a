// Second moments as U diag(d) U^T: what feedback is made of.
#pragma once

#include <cstddef>

namespace demitasse {

// Takes a symmetric matrix of count x count in C order, of which only the lower triangle is read, apart as
// U diag(d) U^T, U upper triangular with ones on its diagonal. U takes the matrix's place above the diagonal. No d is
// less than `least`, which must be positive. The same bits on every machine: sums are in a fixed order.
void factorize(double *matrix, std::size_t count, double least, double *d);

}  // namespace demitasse
