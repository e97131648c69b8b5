#include "layers/training_pass.hpp"

#include <algorithm>
#include <utility>

#include "engine/error.hpp"
#include "kernels/pooling.hpp"

namespace pixeldp::layers {

TrainingPass::Part TrainingPass::whole() const {
  return {0, network_.graph.nodes().size(), 0, network_.graph.result()};
}

TrainingPass::Part TrainingPass::reconstruction_part() const {
  const Value image = network_.reconstruction;
  if (image == 0) fail("{} has no auto-encoder", network_.architecture);
  return {0, static_cast<std::size_t>(image), 0, image};
}

TrainingPass::Part TrainingPass::prefix_part() const {
  const std::size_t noise = network_.prefix_size();
  return {0, noise, 0, network_.graph.nodes()[noise].inputs[0]};
}

TrainingPass::Part TrainingPass::rows_part() const {
  const Part prefix = prefix_part();
  return {prefix.last, whole().last, prefix.to, whole().to};
}

std::vector<const Tensor*> TrainingPass::inputs_of(std::size_t node, const Part& part,
                                                   const Tensor& from) const {
  std::vector<const Tensor*> inputs;
  for (const Value value : network_.graph.nodes()[node].inputs)
    inputs.push_back(value == part.from ? &from : &outputs_[static_cast<std::size_t>(value - 1)]);
  return inputs;
}

/// The nodes that read what `node` makes, in their order; one that reads it twice comes twice.
std::vector<std::size_t> TrainingPass::readers(std::size_t node, const Part& part) const {
  const auto nodes = network_.graph.nodes();
  std::vector<std::size_t> all;
  for (std::size_t i = node + 1; i < part.last; ++i)
    for (const Value value : nodes[i].inputs)
      if (std::cmp_equal(value, node + 1)) all.push_back(i);
  return all;
}

/// Where `node` rounds its y, which has this shape, for the first product that reads it.
RoundedResult TrainingPass::rounded_y(const Pass& pass, const Part& part, std::size_t node,
                                      Shape y) {
  if (!network_.graph.layer(node).rounds(pass)) return {};
  const std::vector<std::size_t> all = readers(node, part);
  for (const std::size_t reader : all) {
    std::uint16_t* const values = network_.graph.layer(reader).rounded_x(pass, y, saved_[reader]);
    if (!values) continue;
    x_is_rounded_[reader] = true;
    return {values, all.size() == 1 && !std::cmp_equal(part.to, node + 1)};
  }
  return {};
}

/// Where `node` rounds its dx, if a product alone has a part in that gradient.
RoundedResult TrainingPass::rounded_dx(const Pass& pass, const Part& part, std::size_t node) {
  const Value x = network_.graph.nodes()[node].inputs[0];
  if (reads_rounded_dy_ || x == part.from || x == part.to) return {};
  const auto maker = static_cast<std::size_t>(x - 1);
  if (!network_.graph.layer(node).rounds(pass) || readers(maker, part).size() != 1) return {};
  const std::int64_t size = network_.graph.layer(maker).rounded_dy_size(pass, saved_[maker]);
  if (size == 0) return {};
  if (rounded_dy_.size() < size) rounded_dy_ = Buffer<std::uint16_t>(pass.stream.device(), size);
  reads_rounded_dy_ = maker;
  return {rounded_dy_.data(), true};
}

const Tensor& TrainingPass::forward(const Pass& pass, const Part& part, const Tensor& from) {
  const auto nodes = network_.graph.nodes();
  outputs_.resize(nodes.size());
  saved_.resize(nodes.size());
  x_is_rounded_.assign(nodes.size(), false);
  for (std::size_t i = part.first; i < part.last; ++i) {
    Pass of_node = pass;
    const std::vector<const Tensor*> x = inputs_of(i, part, from);
    of_node.x_is_rounded = x_is_rounded_[i];
    of_node.rounded_y = rounded_y(
        pass, part, i, network_.graph.shape(static_cast<Value>(i + 1)).with_rows(x[0]->rows()));
    network_.graph.layer(i).forward(of_node, x, outputs_[i], saved_[i]);
  }
  return part.to == part.from ? from : outputs_[static_cast<std::size_t>(part.to - 1)];
}

const Tensor& TrainingPass::forward(const Stream& stream, Mode mode, const Tensor& images,
                                    const NoiseDraws& draws) {
  mode_ = mode;
  return forward({stream, mode, draws, ranks_, weights_}, whole(), images);
}

const Tensor& TrainingPass::forward_reconstruction(const Stream& stream, const Tensor& images,
                                                   const NoiseDraws& draws) {
  return forward({stream, Mode::training, draws, ranks_, weights_}, reconstruction_part(), images);
}

void TrainingPass::backward_reconstruction(const Stream& stream, const Tensor& images,
                                           const Tensor& dreconstruction) {
  backward({stream, Mode::training, {}, ranks_, weights_}, reconstruction_part(), images,
           dreconstruction, nullptr);
}

const Tensor& TrainingPass::forward_prefix(const Stream& stream, const Tensor& images) {
  return forward({stream, Mode::inference}, prefix_part(), images);
}

const Tensor& TrainingPass::forward_rows(const Stream& stream, const Tensor& prefix,
                                         const NoiseDraws& draws) {
  return forward({stream, Mode::inference, draws}, rows_part(), prefix);
}

/// What a parameter that is trained, or the value from outside, has a part in.
std::vector<bool> TrainingPass::values_with_gradient(const Pass& pass, const Part& part,
                                                     bool of_from) const {
  const auto nodes = network_.graph.nodes();
  std::vector<bool> wanted(nodes.size() + 1, false);
  wanted[static_cast<std::size_t>(part.from)] = of_from;
  for (std::size_t i = part.first; i < part.last; ++i) {
    const auto of_value = [&](Value value) { return wanted[static_cast<std::size_t>(value)]; };
    const auto parameters = nodes[i].layer->parameters();
    wanted[i + 1] = std::ranges::any_of(nodes[i].inputs, of_value) ||
                    std::ranges::any_of(parameters, [&](const Parameter* parameter) {
                      return pass.trains(*parameter);
                    });
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

void TrainingPass::backward(const Pass& pass, const Part& part, const Tensor& from,
                            const Tensor& dto, Tensor* dfrom) {
  const Stream& stream = pass.stream;
  const auto nodes = network_.graph.nodes();
  const std::vector<bool> wanted = values_with_gradient(pass, part, dfrom != nullptr);
  gradients_.assign(nodes.size() + 1, none);
  reads_rounded_dy_.reset();
  for (Memory& memory : memory_) memory.users = 0;
  int& of_result = gradients_[static_cast<std::size_t>(part.to)];
  of_result = take(dto.shape(), stream.device());
  tensor(of_result).copy_from(stream, dto);

  for (std::size_t i = part.last; i-- > part.first;) {
    Layer& layer = network_.graph.layer(i);
    const auto& inputs = nodes[i].inputs;
    int dy = std::exchange(gradients_[i + 1], none);
    if (dy == none) continue;  // nothing that is wanted depends on it
    if (layer.uses_up_gradient()) dy = own(stream, dy);

    const std::vector<const Tensor*> x = inputs_of(i, part, from);
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
    Pass of_node = pass;
    if (reads_rounded_dy_ == i) {
      of_node.rounded_dy = rounded_dy_.data();
      reads_rounded_dy_.reset();
    }
    if (made[0] != none) of_node.rounded_dx = rounded_dx(pass, part, i);
    layer.backward(of_node, x, outputs_[i], saved_[i], tensor(dy), dx);
    release(dy);
    for (std::size_t k = 0; k < inputs.size(); ++k)
      if (made[k] != none) contribute(stream, inputs[k], made[k]);
    if (ready_ && pass.mode == Mode::training) ready_(i);
  }
  const int of_from = std::exchange(gradients_[static_cast<std::size_t>(part.from)], none);
  if (!dfrom) return;
  if (of_from == none) fail("the logits do not depend on the images");
  dfrom->resize(tensor(of_from).shape(), stream.device());
  dfrom->copy_from(stream, tensor(of_from));
  release(of_from);
}

void TrainingPass::backward(const Stream& stream, const Tensor& images, const Tensor& dlogits,
                            Tensor* dimages) {
  if (dlogits.rows() != images.rows())
    fail("gradients of a batch take one draw of each of {} images, not {} rows", images.rows(),
         dlogits.rows());
  backward({stream, mode_, {}, ranks_, weights_}, whole(), images, dlogits, dimages);
}

void TrainingPass::backward_rows(const Stream& stream, const Tensor& prefix, const Tensor& dlogits,
                                 Tensor& dprefix) {
  backward({stream, Mode::inference}, rows_part(), prefix, dlogits, &dprefix);
}

void TrainingPass::backward_prefix(const Stream& stream, const Tensor& images,
                                   const Tensor& dprefix, Tensor& dimages) {
  backward({stream, Mode::inference}, prefix_part(), images, dprefix, &dimages);
}

}  // namespace pixeldp::layers
