#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/safetensors.hpp"
#include "layers/networks/described.hpp"
#include "pixeldp/onnx/constant.hpp"

namespace pixeldp::onnx {

/// How a row of a value of ours lies in memory: as an image (NHWC), or, of height 0, as a row.
struct Layout {
  std::int64_t height = 0, width = 0, channels = 0;

  bool is_image() const { return height > 0; }
  std::int64_t pixels() const { return is_image() ? height * width : 1; }
  std::int64_t size() const { return pixels() * channels; }
  bool operator==(const Layout&) const = default;
};

/// A tensor of the ONNX graph that depends on the picture: which elements of a value of ours it
/// has, in its own row-major order. The batch has one picture, so that whatever only moves elements
/// (Reshape, Transpose, Slice ...) is another view of the same value.
struct View {
  layers::Value value = 0;
  Dims dims;
  /// For each element its place in the value, or -1: `fill`. Null: those of an image [1, C, H, W]
  /// that lies as H, W, C, or all in their order.
  std::shared_ptr<const std::vector<std::int64_t>> places = {};
  float fill = 0.0f;
  /// Nothing else reads the value, so that what follows may become part of what makes it.
  bool sole = true;
  /// An image with a frame of zeros, which a convolution takes as its own; dims are those of the
  /// whole.
  struct Frame {
    Dims dims;  ///< without it
    std::int64_t top = 0, bottom = 0, left = 0, right = 0;
  };
  std::optional<Frame> frame = {};
};

/// Of a Draft.
struct DraftNode {
  std::vector<float> weight = {};             ///< of a convolution or a dense layer
  std::vector<double> scale = {}, bias = {};  ///< of an affine or (bias) a dense one
  layers::NodeSpec spec = {};
};

/// A network in the making: nodes with their weights, and what is known of the values they make.
/// Every function that takes views appends the nodes it takes, or changes the last one where it can
/// (View::sole), and throws an Error for views that do not fit.
class Draft {
 public:
  /// For pictures [1, C, H, W], or [1, H, W, C] if `channels_last`, of a file with so many weights.
  Draft(const Dims& picture, bool channels_last, std::int64_t weights);

  const View& picture() const { return picture_; }
  /// The name of the layers that are appended now; made fit for one, and unlike all others.
  void set_name(std::string name) { name_ = std::move(name); }

  /// Throws an Error where all nodes together make more numbers than a file of these weights has
  /// reason to: a small file must not ask for much memory.
  void take_room(std::int64_t numbers);

  View move(const View& x, const Movement& movement, float fill = 0.0f) const;
  View reshape(const View& x, const Dims& dims) const;
  /// Before and after each axis, with `fill`.
  View pad(const View& x, const Dims& before, const Dims& after, const std::string& mode,
           float fill) const;

  /// Of shape.in_h, in_w and in_c what x has. The weight is OIHW.
  View convolution(const View& x, kernels::GroupedConv2dShape shape, const Constant& weight);
  /// The transpose of a convolution, with the weight [channels of x, channels of a group, kernel]:
  /// the strides put zeros between the pixels of x, and padding cuts what it makes. Of shape.in_h,
  /// in_w and in_c what x has.
  View transposed_convolution(const View& x, const kernels::GroupedConv2dShape& shape,
                              const Constant& weight);
  /// scale * x + shift; both fit x, or are repeated to do so.
  View affine(const View& x, const Constant& scale, const Constant& shift);
  View activation(const View& x, kernels::Activation activation);
  View pointwise(const View& x, const kernels::PointwiseFunction& function);
  /// x [..., K] times weight [K, N].
  View product(const View& x, const Constant& weight);
  /// What is the same for every picture, for nodes that read values: it takes nothing of x.
  View constant(const Constant& values, const View& x);
  View sum(const View& a, const View& b);
  View multiply(const View& a, const View& b);
  View concatenate(const std::vector<View>& parts, std::int64_t axis);
  /// Of shape.in_h, in_w, channels what x has.
  View pool(const View& x, kernels::WindowPoolShape shape);
  /// The mean over these axes, which are all pixels of an image.
  View mean(const View& x, const Dims& axes, bool keep);
  View local_response(const View& x, const kernels::LocalResponseParams& params);
  /// Over the axes from `axis` on together, or over that one alone.
  View softmax(const View& x, std::int64_t axis, bool together);

  /// Nodes from picture to scores, and their weights under the names of layers.
  struct Result {
    std::vector<layers::NodeSpec> nodes;
    std::map<std::string, SafeTensor> tensors;
    std::int64_t classes = 0;
  };
  /// The scores are x, but for a softmax over all of them, which is left out.
  Result finish(const View& x);

  /// Of an image as a convolution or a pooling reads it.
  Layout image_layout(const View& x) const;

 private:
  const Layout& layout(const View& x) const { return layouts_[static_cast<std::size_t>(x.value)]; }
  DraftNode* maker(const View& x);
  std::vector<std::int64_t> places(const View& x) const;
  bool in_order(const View& x) const;
  View append(std::vector<layers::Value> inputs, layers::NodeSpec::Leaf leaf, Layout layout,
              Dims dims, DraftNode node = {});
  View select(const View& x, const std::vector<std::int64_t>& from, const Layout& to,
              const Dims& dims);
  View as_image(const View& x);
  View as_row(const View& x);
  /// With these extents, repeated along axes of extent 1.
  View fitted(const View& x, const Dims& dims);
  View whole(const View& x);
  View arranged_as(const View& x, const View& other);
  View scale_value(const View& x, std::vector<double> scale, std::vector<double> shift);
  std::string unique_name();

  View picture_;
  std::vector<Layout> layouts_;  ///< of each value
  std::vector<DraftNode> nodes_;
  std::int64_t room_;  ///< for numbers that nodes make
  std::string name_;
  std::map<std::string, int> names_;
};

}  // namespace pixeldp::onnx
