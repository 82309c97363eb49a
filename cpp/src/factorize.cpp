#include "demitasse/factorize.hpp"

#include <algorithm>

namespace demitasse {

namespace {

constexpr std::size_t panel = 48;

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
// Without fused operations, so that wide and narrow vectors give the same bits.
#define DEMITASSE_WIDE __attribute__((target_clones("avx2", "default")))
#else
#define DEMITASSE_WIDE
#endif

// to[0..count) -= sum over k of factors[k] x rows[k][0..count).
DEMITASSE_WIDE void subtract(double *to, const double *factors, const double *rows, std::size_t stride,
                             std::size_t depth, std::size_t count) {
    std::size_t k = 0;
    for (; k + 4 <= depth; k += 4) {
        const double a = factors[k], b = factors[k + 1], c = factors[k + 2], d = factors[k + 3];
        const double *p = rows + k * stride, *q = p + stride, *r = q + stride, *s = r + stride;
        for (std::size_t i = 0; i < count; ++i) to[i] = (((to[i] - a * p[i]) - b * q[i]) - c * r[i]) - d * s[i];
    }
    for (; k < depth; ++k) {
        const double a = factors[k];
        const double *p = rows + k * stride;
        for (std::size_t i = 0; i < count; ++i) to[i] -= a * p[i];
    }
}

}  // namespace

// From the last column to the first: with column j done, what is left of every element (r, s) before it is less
// d x U(r, j) x U(s, j). Column j of U is kept as row j of the lower triangle until all is done.
void factorize(double *matrix, std::size_t count, double least, double *d) {
    double factors[panel];
    for (std::size_t end = count; end > 0;) {
        const std::size_t begin = end > panel ? end - panel : 0;
        for (std::size_t j = end; j-- > begin;) {
            double *row = matrix + j * count;
            for (std::size_t k = j + 1; k < end; ++k) factors[k - j - 1] = matrix[k * count + j] * d[k];
            subtract(row, factors, matrix + (j + 1) * count, count, end - 1 - j, j + 1);
            d[j] = std::max(row[j], least);
            for (std::size_t i = 0; i < j; ++i) row[i] /= d[j];
        }
        for (std::size_t j = 0; j < begin; ++j) {
            for (std::size_t k = begin; k < end; ++k) factors[k - begin] = matrix[k * count + j] * d[k];
            subtract(matrix + j * count, factors, matrix + begin * count, count, end - begin, j + 1);
        }
        end = begin;
    }
    for (std::size_t j = 0; j < count; ++j)
        for (std::size_t i = 0; i < j; ++i) matrix[i * count + j] = matrix[j * count + i];
}

}  // namespace demitasse
