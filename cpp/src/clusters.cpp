#include "demitasse/clusters.hpp"

#include <algorithm>
#include <initializer_list>

#include "clusters_model.hpp"
#include "clusters_predictor.hpp"
#include "demitasse/binary_coder.hpp"

namespace demitasse {
namespace {

using namespace clusters;

// One context out of several facts.
std::uint32_t pack(std::initializer_list<std::uint32_t> parts) {
    std::uint32_t out = 0;
    for (const std::uint32_t part : parts) out = (out + part + 1) * 0x2F0B4C47u ^ out >> 15;
    return out;
}

template <class Coder, class Positions>
class TensorCoder {
  public:
    TensorCoder(Coder &coder, Model &model, const ClusterTensor<Positions> &tensor)
        : coder_(coder), model_(model), tensor_(tensor), book_(tensor.codebook, tensor.entries), columns_(tensor.columns) {
        width_ = 1;
        while (width_ * width_ < tensor.kernel) ++width_;
        if (width_ * width_ != tensor.kernel) width_ = tensor.kernel;
        predictions_ = Predictions(tensor.columns, tensor.kernel, width_, book_.typical());
    }

    template <class Write>
    void code(Write write) {
        for (row_ = 0; row_ < tensor_.rows; ++row_) {
            own_row_ = all_;
            own_row_.filled.count = std::min(own_row_.filled.count, 12);
            own_row_.magnitude.count = std::min(own_row_.magnitude.count, 6);
            own_row_.sign = Mean();
            in_kernel_ = 0;
            for (column_ = 0; column_ < tensor_.columns; ++column_) {
                const std::size_t place = row_ * tensor_.columns + column_;
                if (column_ % tensor_.kernel == 0) in_kernel_ = 0;
                look(place);
                predictions_.predict(row_, column_);
                const std::size_t position = code_position(std::size_t(tensor_.positions[place]));
                write(place, std::int32_t(position));
                const int sign = position == book_.zero ? 0 : position < book_.zero ? -1 : 1;
                const std::uint32_t magnitude = sign ? book_.magnitudes[position] >> 14 : 0;
                own_row_.add(sign, magnitude, 200);
                all_.add(sign, magnitude, 4000);
                columns_[column_].add(sign, magnitude, 100);
                in_kernel_ += sign != 0;
                predictions_.learn(row_, column_, sign * std::int32_t(magnitude));
            }
        }
    }

  private:
    struct Neighbour {
        std::uint32_t sign = 0;  // 0: zero or none, 1: negative, 2: positive
        std::uint32_t size = 0;  // in half octaves
    };

    Neighbour at(bool there, std::size_t place) const {
        if (!there) return {};
        const auto position = std::size_t(tensor_.positions[place]);
        if (position == book_.zero) return {};
        return {position < book_.zero ? 1u : 2u, std::uint32_t(log_class(book_.magnitudes[position] >> 14)) / 2};
    }

    void look(std::size_t place) {
        const std::size_t kernel = tensor_.kernel, x = column_ % kernel % width_, y = column_ % kernel / width_;
        left_ = at(kernel == 1 ? column_ > 0 : x > 0, place - 1);
        up_ = at(y > 0, place - width_);
        up_left_ = at(y > 0 && x > 0, place - width_ - 1);
        up_right_ = at(y > 0 && x + 1 < width_, place - width_ + 1);
        channel_ = at(column_ >= kernel, place - kernel);
        second_ = at(column_ >= 2 * kernel, place - 2 * kernel);
        above_ = at(row_ > 0, place - tensor_.columns);
        two_above_ = at(row_ > 1, place - 2 * tensor_.columns);
        next_above_ = at(row_ > 0 && column_ + 1 < tensor_.columns, place - tensor_.columns + 1);
        before_above_ = at(row_ > 0 && column_ > 0, place - tensor_.columns - 1);
    }

    static std::uint32_t full(const Neighbour &n) { return n.sign != 0; }

    void zero_contexts() {
        const Past &of_column = columns_[column_];
        const std::uint32_t kernel_place = std::uint32_t(column_ % tensor_.kernel);
        const std::uint32_t pattern =
            full(left_) | full(up_) << 1 | full(up_left_) << 2 | full(up_right_) << 3 | full(channel_) << 4;
        const std::uint32_t upper = full(above_) | full(two_above_) << 1 | full(next_above_) << 2 |
                                    full(before_above_) << 3 | full(second_) << 4 | full(channel_) << 5;
        const auto of_all = std::uint64_t(std::max(all_.filled.value, 16));
        const auto both = std::uint64_t(own_row_.filled.value) * std::uint64_t(of_column.filled.value) / of_all;
        const auto product = std::uint32_t(std::min<std::uint64_t>(both * 40 / 65536, 60));
        std::uint32_t i = 0;
        model_.set_context(i++, pack({1, std::uint32_t(predictions_.fill_class()), kernel_place}));
        model_.set_context(i++, pack({2, own_row_.density(40)}));
        model_.set_context(i++, pack({3, product, kernel_place}));
        model_.set_context(i++, pack({4, pattern, product / 4}));
        model_.set_context(i++, pack({5, upper, product / 4}));
        model_.set_context(i++, pack({6, std::uint32_t(in_kernel_), kernel_place, own_row_.density(10)}));
        model_.set_context(i++, pack({7, left_.size / 2, up_.size / 2, channel_.size / 2}));
        model_.set_context(i++, pack({8, of_column.density(16), own_row_.density(16)}));
        model_.set_context(i++, pack({9, pattern, upper}));
        model_.set_context(i++, pack({10, above_.size / 2, two_above_.size / 2, of_column.density(10)}));
    }

    void sign_contexts() {
        const Past &of_column = columns_[column_];
        const std::uint32_t kernel_place = std::uint32_t(column_ % tensor_.kernel);
        std::uint32_t i = 0;
        model_.set_context(i++, pack({21, std::uint32_t(predictions_.lean_class())}));
        model_.set_context(i++, pack({22, left_.sign, left_.size, up_.sign, up_.size}));
        model_.set_context(i++, pack({23, channel_.sign, channel_.size, second_.sign}));
        model_.set_context(i++, pack({24, above_.sign, above_.size, two_above_.sign}));
        model_.set_context(i++, pack({25, of_column.tendency()}));
        model_.set_context(i++, pack({26, own_row_.tendency()}));
        model_.set_context(i++, pack({27, own_row_.tendency() / 2, of_column.tendency() / 2}));
        model_.set_context(i++, pack({28, kernel_place, channel_.sign, left_.sign, up_.sign}));
        model_.set_context(i++, pack({29, left_.sign, up_.sign, channel_.sign, above_.sign, up_left_.sign}));
        model_.set_context(i++, pack({30, left_.sign, left_.size / 2, up_.sign, channel_.sign, own_row_.tendency() / 3}));
    }

    void magnitude_contexts(bool negative) {
        const Past &of_column = columns_[column_];
        const std::uint32_t sum = left_.size + up_.size + channel_.size;
        const std::uint32_t sign = negative ? 1 : 2;
        const auto lean = std::uint32_t(predictions_.lean_class());
        const std::uint32_t same = std::uint32_t(left_.sign == sign) | std::uint32_t(up_.sign == sign) << 1 |
                                   std::uint32_t(channel_.sign == sign) << 2;
        std::uint32_t i = 0;
        model_.set_context(i++, 40);
        model_.set_context(i++, pack({41, of_column.size()}));
        model_.set_context(i++, pack({42, own_row_.size()}));
        model_.set_context(i++, pack({43, negative ? 31 - lean : lean}));
        model_.set_context(i++, pack({44, std::uint32_t(predictions_.fill_class()) / 2}));
        model_.set_context(i++, pack({45, up_.size, same & 2}));
        model_.set_context(i++, pack({46, channel_.size, same & 4}));
        model_.set_context(i++, pack({47, own_row_.size() + of_column.size()}));
        model_.set_context(i++, pack({48, own_row_.size() / 2, of_column.size() / 2}));
        model_.set_context(i++, pack({49, sum / 2, same, own_row_.size() / 4}));
    }

    std::size_t code_position(std::size_t position) {
        const std::size_t zero = book_.zero, entries = tensor_.entries;
        if (entries == 1) return 0;
        zero_contexts();
        const std::size_t place = std::min<std::size_t>(column_ % tensor_.kernel, places - 1);
        const Sets of_zero{0, zero_by_fill + predictions_.fill_class(), zero_by_place + place};
        if (model_.code(coder_, position == zero, 0, 0, of_zero, predictions_.fill())) return zero;
        bool negative = zero + 1 == entries;
        sign_contexts();
        if (zero > 0 && zero + 1 < entries) {
            const Sets of_sign{1, sign_by_lean + predictions_.lean_class(), sign_by_place + place};
            negative = model_.code(coder_, position < zero, 1, 1, of_sign, -predictions_.lean());
        }
        magnitude_contexts(negative);
        // Distance from zero, 1 based, by halves of what is left.
        const std::size_t end = negative ? zero + 1 : entries - zero;
        std::size_t low = 1, high = end;  // low <= distance < high
        const std::size_t distance = negative ? zero - position : position - zero;
        std::uint32_t node = 2;
        for (std::size_t depth = 0; high - low > 1; ++depth) {
            const std::size_t middle = low + (high - low) / 2;
            const std::uint32_t start = book_.border(negative, low, end), edge = book_.border(negative, middle, end);
            const std::uint32_t stop = book_.border(negative, high, end);
            const std::uint32_t width = stop > start ? stop - start : 1, part = edge > start ? edge - start : 0;
            const auto share = std::uint32_t(std::min<std::uint64_t>(std::uint64_t(part) * 32 / width, 31));
            const auto left = std::uint32_t(std::min<std::size_t>(high - low, 255));
            const std::uint32_t relative = 2 + (left << 16 | share << 3);
            const std::size_t set = 2 + std::min<std::size_t>(depth, 20);
            const bool upper =
                model_.code(coder_, distance >= middle, node << 1 | std::uint32_t(negative), relative, {set, set, set}, 0);
            (upper ? low : high) = middle;
            node = node << 1 | std::uint32_t(upper);
        }
        return negative ? zero - low : zero + low;
    }

    Coder &coder_;
    Model &model_;
    const ClusterTensor<Positions> &tensor_;
    Book book_;
    std::size_t width_ = 1, row_ = 0, column_ = 0;
    int in_kernel_ = 0;
    Predictions predictions_;
    Past all_, own_row_;
    std::vector<Past> columns_;
    Neighbour left_, up_, up_left_, up_right_, channel_, second_, above_, two_above_, next_above_, before_above_;
};

template <class Positions>
std::size_t weights_of(const std::vector<ClusterTensor<Positions>> &tensors) {
    std::size_t out = 0;
    for (const auto &tensor : tensors) out += tensor.rows * tensor.columns;
    return out;
}

}  // namespace

std::vector<std::uint8_t> encode_clusters(const std::vector<ClusterTensor<const std::int32_t *>> &tensors) {
    std::vector<std::uint8_t> out;
    BinaryEncoder coder(out);
    Model model(weights_of(tensors));
    for (const auto &tensor : tensors) {
        if (tensor.rows * tensor.columns == 0) continue;
        model.begin_tensor();
        TensorCoder<BinaryEncoder, const std::int32_t *>(coder, model, tensor).code([](std::size_t, std::int32_t) {});
    }
    coder.finish();
    return out;
}

void decode_clusters(const std::uint8_t *data, std::size_t size, const std::vector<ClusterTensor<std::int32_t *>> &tensors) {
    // Where there is a choice, a position costs at least 1/1420 of a bit: for what cannot be there, nothing is allocated.
    constexpr std::size_t positions_a_byte = 1 << 14;
    std::size_t chosen = 0;
    for (const auto &tensor : tensors) chosen += tensor.entries > 1 ? tensor.rows * tensor.columns : 0;
    if (chosen / positions_a_byte > size + 16) throw ClustersError("a stream of positions is cut");
    BinaryDecoder coder(data, size);
    Model model(weights_of(tensors));
    for (const auto &tensor : tensors) {
        if (tensor.rows * tensor.columns == 0) continue;
        if (tensor.entries == 0) throw ClustersError("a codebook without values");
        model.begin_tensor();
        std::int32_t *out = tensor.positions;
        if (tensor.entries == 1) {  // there is nothing in the stream
            std::fill_n(out, tensor.rows * tensor.columns, 0);
            continue;
        }
        TensorCoder<BinaryDecoder, std::int32_t *>(coder, model, tensor).code([out](std::size_t place, std::int32_t position) {
            out[place] = position;
        });
        if (coder.overrun()) throw ClustersError("a stream of positions is cut");
    }
}

}  // namespace demitasse
