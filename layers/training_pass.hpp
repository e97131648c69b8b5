#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "layers/network.hpp"

namespace pixeldp::layers {

/// Evaluates and differentiates a network's graph: the values and gradients of one batch, kept from
/// step to step to save allocations.
class TrainingPass {
 public:
  /// `ranks`, where given, have equal parts of each batch: in training mode batch normalisation
  /// then takes the statistics of the whole, and all ranks call the same functions.
  explicit TrainingPass(Network& network, Communicator* ranks = nullptr)
      : network_(network), ranks_(ranks) {}

  /// `ready(node)` is called while a backward pass in training mode goes on: the stream has been
  /// given all that makes the gradients in the parameters of this node and those after it.
  void on_gradients(std::function<void(std::size_t node)> ready) { ready_ = std::move(ready); }

  /// Parameters are the same from here to the next call, so that passes need not prepare them anew.
  /// Where it is never called, they may change at any time.
  void weights_changed() { ++weights_; }

  /// Images [N, H, W, C] to logits [N, classes]; draws.rows has one entry per image.
  const Tensor& forward(const Stream& stream, Mode mode, const Tensor& images,
                        const NoiseDraws& draws);
  /// From the gradient in the logits to the gradient in every parameter that is not frozen, if the
  /// mode was training; and in the images if dimages is given. Follows a forward with the same
  /// images and one draw of each.
  void backward(const Stream& stream, const Tensor& images, const Tensor& dlogits,
                Tensor* dimages = nullptr);

  /// Images to what the network's auto-encoder makes of them, in training mode, and from the
  /// gradient in that to the gradients in its parameters.
  const Tensor& forward_reconstruction(const Stream& stream, const Tensor& images,
                                       const NoiseDraws& draws);
  void backward_reconstruction(const Stream& stream, const Tensor& images,
                               const Tensor& dreconstruction);

  // The same in two parts, for many draws of an image: the layers before the noise once for each
  // image, the others once for each row (image, draw). All in inference mode, where rows know
  // nothing of each other, and without gradients in parameters: several threads may have a pass of
  // their own over one network.

  /// Images [N, H, W, C] to what the noise is added to [N, ...]: the images themselves where no
  /// layer lies before it.
  const Tensor& forward_prefix(const Stream& stream, const Tensor& images);
  /// From there to logits [rows, classes], one row for each of draws.rows.
  const Tensor& forward_rows(const Stream& stream, const Tensor& prefix, const NoiseDraws& draws);
  /// From the gradient in the logits to that in the prefix, one row for each draw: the sum over the
  /// rows of an image is its gradient. Follows a forward_rows with the same prefix.
  void backward_rows(const Stream& stream, const Tensor& prefix, const Tensor& dlogits,
                     Tensor& dprefix);
  /// From the gradient in the prefix to that in the images. Follows a forward_prefix with the same
  /// images.
  void backward_prefix(const Stream& stream, const Tensor& images, const Tensor& dprefix,
                       Tensor& dimages);

 private:
  /// Nodes first ... last - 1, which read one value from outside, and the value they are for.
  struct Part {
    std::size_t first, last;
    Value from, to;
  };
  /// A gradient's memory, which values may share while nobody changes it.
  struct Memory {
    Tensor tensor;
    int users = 0;
  };
  static constexpr int none = -1;

  Part whole() const;
  Part reconstruction_part() const;
  Part prefix_part() const;
  Part rows_part() const;
  std::vector<const Tensor*> inputs_of(std::size_t node, const Part& part,
                                       const Tensor& from) const;
  std::vector<bool> values_with_gradient(const Pass& pass, const Part& part, bool of_from) const;
  std::vector<std::size_t> readers(std::size_t node, const Part& part) const;
  RoundedResult rounded_y(const Pass& pass, const Part& part, std::size_t node, Shape y);
  RoundedResult rounded_dx(const Pass& pass, const Part& part, std::size_t node);
  const Tensor& forward(const Pass& pass, const Part& part, const Tensor& from);
  void backward(const Pass& pass, const Part& part, const Tensor& from, const Tensor& dto,
                Tensor* dfrom);
  int take(Shape shape, Device device);
  void release(int memory);
  Tensor& tensor(int memory) { return memory_[static_cast<std::size_t>(memory)].tensor; }
  int own(const Stream& stream, int memory);
  void contribute(const Stream& stream, Value value, int memory);

  Network& network_;
  Communicator* ranks_;
  std::function<void(std::size_t)> ready_;
  Mode mode_ = Mode::training;
  std::vector<Tensor> outputs_;  // of each node
  std::vector<Saved> saved_;     // by each node
  std::vector<Memory> memory_;
  std::vector<int> gradients_;  // in each value: a place in memory_
  std::uint64_t weights_ = 0;
  // Which node finds its first input, and which its gradient, rounded by another layer.
  std::vector<bool> x_is_rounded_;
  std::optional<std::size_t> reads_rounded_dy_;
  Buffer<std::uint16_t> rounded_dy_;
};

}  // namespace pixeldp::layers
