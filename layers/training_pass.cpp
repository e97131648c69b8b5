#include "layers/training_pass.hpp"

#include <algorithm>
#include <utility>

#include "engine/error.hpp"
#include "kernels/pooling.hpp"

namespace pixeldp::layers {

std::vector<const Tensor*> TrainingPass::inputs_of(std::size_t node, const Tensor& images) const {
  std::vector<const Tensor*> inputs;
  for (const Value value : network_.graph.nodes()[node].inputs)
    inputs.push_back(value == 0 ? &images : &outputs_[static_cast<std::size_t>(value - 1)]);
  return inputs;
}

const Tensor& TrainingPass::forward(const Stream& stream, Mode mode, const Tensor& images,
                                    const NoiseDraws& draws) {
  mode_ = mode;
  const auto nodes = network_.graph.nodes();
  outputs_.resize(nodes.size());
  saved_.resize(nodes.size());
  const Pass pass{stream, mode, draws};
  for (std::size_t i = 0; i < nodes.size(); ++i)
    network_.graph.layer(i).forward(pass, inputs_of(i, images), outputs_[i], saved_[i]);
  return outputs_.back();
}

/// What a parameter that is trained, or the images, have a part in.
std::vector<bool> TrainingPass::values_with_gradient(const Pass& pass, bool of_images) const {
  std::vector<bool> wanted = {of_images};
  for (const Graph::Node& node : network_.graph.nodes()) {
    const auto of_value = [&](Value value) { return wanted[static_cast<std::size_t>(value)]; };
    const auto parameters = node.layer->parameters();
    wanted.push_back(std::ranges::any_of(node.inputs, of_value) ||
                     std::ranges::any_of(parameters, [&](const Parameter* parameter) {
                       return pass.trains(*parameter);
                     }));
  }
  return wanted;
}

/// Memory of that size that nobody uses. (The shape may be that of memory which moves here.)
int TrainingPass::take(Shape shape, Device device) {
  auto found = std::ranges::find_if(memory_, [&](const Memory& m) {
    return m.users == 0 && m.tensor.size() == shape.size() && m.tensor.device() == device;
  });
  if (found == memory_.end()) {
    memory_.push_back({Tensor(shape, device), 0});
    found = memory_.end() - 1;
  }
  found->tensor.reshape(shape);
  found->users = 1;
  return static_cast<int>(found - memory_.begin());
}

void TrainingPass::release(int memory) {
  if (memory != none) --memory_[static_cast<std::size_t>(memory)].users;
}

/// Gives up a share of memory for memory of one's own with the same values.
int TrainingPass::own(const Stream& stream, int memory) {
  if (memory_[static_cast<std::size_t>(memory)].users == 1) return memory;
  const int copy = take(tensor(memory).shape(), tensor(memory).device());
  tensor(copy).copy_from(stream, tensor(memory));
  release(memory);
  return copy;
}

/// Adds to the gradient in a value; takes over the share of `memory`.
void TrainingPass::contribute(const Stream& stream, Value value, int memory) {
  int& gradient = gradients_[static_cast<std::size_t>(value)];
  if (gradient == none) {
    gradient = memory;
    return;
  }
  // The sum goes where nobody else looks.
  int from = gradient, to = memory;
  if (memory_[static_cast<std::size_t>(to)].users > 1) std::swap(from, to);
  to = own(stream, to);
  kernels::add(stream, kernels::Activation::identity(), tensor(to).size(), tensor(to).data(),
               tensor(from).data(), tensor(to).data());
  release(from);
  gradient = to;
}

void TrainingPass::backward(const Stream& stream, const Tensor& images, const Tensor& dlogits,
                            Tensor* dimages) {
  const auto nodes = network_.graph.nodes();
  const Pass pass{stream, mode_};
  const std::vector<bool> wanted = values_with_gradient(pass, dimages != nullptr);
  gradients_.assign(nodes.size() + 1, none);
  for (Memory& memory : memory_) memory.users = 0;
  gradients_.back() = take(dlogits.shape(), stream.device());
  tensor(gradients_.back()).copy_from(stream, dlogits);

  for (std::size_t i = nodes.size(); i-- > 0;) {
    Layer& layer = network_.graph.layer(i);
    const auto& inputs = nodes[i].inputs;
    int dy = std::exchange(gradients_[i + 1], none);
    if (dy == none) continue;  // nothing that is wanted depends on it
    if (layer.uses_up_gradient()) dy = own(stream, dy);

    const std::vector<const Tensor*> x = inputs_of(i, images);
    std::vector<int> made(inputs.size(), none);
    std::vector<Tensor*> dx(inputs.size(), nullptr);
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      if (!wanted[static_cast<std::size_t>(inputs[k])]) continue;
      if (layer.gradient_in_place()) {
        made[k] = dy;
        ++memory_[static_cast<std::size_t>(dy)].users;
      } else {
        made[k] = take(x[k]->shape(), stream.device());
      }
    }
    for (std::size_t k = 0; k < inputs.size(); ++k)
      if (made[k] != none) dx[k] = &tensor(made[k]);
    layer.backward(pass, x, outputs_[i], saved_[i], tensor(dy), dx);
    release(dy);
    for (std::size_t k = 0; k < inputs.size(); ++k)
      if (made[k] != none) contribute(stream, inputs[k], made[k]);
  }
  const int of_images = std::exchange(gradients_[0], none);
  if (!dimages) return;
  if (of_images == none) fail("the logits do not depend on the images");
  dimages->resize(images.shape(), stream.device());
  dimages->copy_from(stream, tensor(of_images));
  release(of_images);
}

}  // namespace pixeldp::layers
