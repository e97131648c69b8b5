#pragma once

#include <vector>

#include "layers/network.hpp"

namespace pixeldp::layers {

/// Evaluates and differentiates a network's graph: the values and gradients of one batch, kept from
/// step to step to save allocations.
class TrainingPass {
 public:
  explicit TrainingPass(Network& network) : network_(network) {}

  /// Images [N, H, W, C] to logits [N, classes]; draws.rows has one entry per image.
  const Tensor& forward(const Stream& stream, Mode mode, const Tensor& images,
                        const NoiseDraws& draws);
  /// From the gradient in the logits to the gradient in every parameter that is not frozen, if the
  /// mode was training; and in the images if dimages is given. Follows a forward with the same
  /// images.
  void backward(const Stream& stream, const Tensor& images, const Tensor& dlogits,
                Tensor* dimages = nullptr);

 private:
  /// A gradient's memory, which values may share while nobody changes it.
  struct Memory {
    Tensor tensor;
    int users = 0;
  };
  static constexpr int none = -1;

  std::vector<const Tensor*> inputs_of(std::size_t node, const Tensor& images) const;
  std::vector<bool> values_with_gradient(const Pass& pass, bool of_images) const;
  int take(Shape shape, Device device);
  void release(int memory);
  Tensor& tensor(int memory) { return memory_[static_cast<std::size_t>(memory)].tensor; }
  int own(const Stream& stream, int memory);
  void contribute(const Stream& stream, Value value, int memory);

  Network& network_;
  Mode mode_ = Mode::training;
  std::vector<Tensor> outputs_;  // of each node
  std::vector<Saved> saved_;     // by each node
  std::vector<Memory> memory_;
  std::vector<int> gradients_;  // in each value: a place in memory_
};

}  // namespace pixeldp::layers
