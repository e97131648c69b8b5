#include "layers/networks/imagenet.hpp"

#include "engine/error.hpp"
#include "layers/add.hpp"
#include "layers/batch_norm.hpp"
#include "layers/global_pool.hpp"

namespace pixeldp::layers {
namespace {

using kernels::WindowPoolShape;

constexpr auto none = kernels::Activation::identity(), relu = kernels::Activation::relu();

void check(const NetworkSpec& spec, std::int64_t least_side) {
  if (spec.depth != 0 || spec.widening != 0 || spec.slope)
    fail_usage("{} has no depth, width or slope to choose", spec.architecture);
  if (spec.noise_after_layers != 0)
    fail_usage("{} takes its noise in the image, not after {} layers", spec.architecture,
               spec.noise_after_layers);
  if (std::min(spec.height, spec.width) < least_side)
    fail_usage("{} takes images of at least {} pixels on a side, not {}x{}", spec.architecture,
               least_side, spec.height, spec.width);
}

/// A kernel and what lies around it.
struct Window {
  std::int64_t h = 1, w = 1, stride = 1, pad_h = 0, pad_w = 0;
};
constexpr Window point{}, square_3{3, 3, 1, 1, 1}, row_7{1, 7, 1, 0, 3}, column_7{7, 1, 1, 3, 0},
    row_3{1, 3, 1, 0, 1}, column_3{3, 1, 1, 1, 0}, halving_3{3, 3, 2, 0, 0};

Value convolution(NetworkBuilder& net, const std::string& name, Value x, std::int64_t out_c,
                  const Window& w) {
  const Shape image = net.shape(x);
  return net.window_convolution(name, x,
                                {.in_h = image[1],
                                 .in_w = image[2],
                                 .in_c = image[3],
                                 .out_c = out_c,
                                 .kernel_h = w.h,
                                 .kernel_w = w.w,
                                 .stride_h = w.stride,
                                 .stride_w = w.stride,
                                 .pad_h = {w.pad_h, w.pad_h},
                                 .pad_w = {w.pad_w, w.pad_w}});
}

Value pool(NetworkBuilder& net, const std::string& name, Value x, WindowPoolShape::Kind kind,
           const Window& w) {
  const Shape image = net.shape(x);
  return net.append<WindowPool>(
      {x}, name,
      WindowPoolShape{.kind = kind,
                      .in_h = image[1],
                      .in_w = image[2],
                      .channels = image[3],
                      .out_h = (image[1] + 2 * w.pad_h - w.h) / w.stride + 1,
                      .out_w = (image[2] + 2 * w.pad_w - w.w) / w.stride + 1,
                      .kernel_h = w.h,
                      .kernel_w = w.w,
                      .stride_h = w.stride,
                      .stride_w = w.stride,
                      .pad_h = {w.pad_h, w.pad_h},
                      .pad_w = {w.pad_w, w.pad_w},
                      .count_padding = true});
}

Value head(NetworkBuilder& net, Value x, const NetworkSpec& spec) {
  x = net.append<GlobalAveragePool>({x}, "avgpool");
  return net.dense("fc", x, spec.classes, none);
}

/// The blocks of Inception-v3. Each is a list of branches from x, side by side.
class Inception {
 public:
  explicit Inception(NetworkBuilder& net) : net_(net) {}

  /// Convolution, batch normalisation, ReLU.
  Value basic(const std::string& name, Value x, std::int64_t out_c, const Window& window) {
    x = convolution(net_, name + ".conv", x, out_c, window);
    return net_.append<BatchNorm>(
        {x}, name + ".bn",
        BatchNorm::Options{.channels = out_c, .epsilon = 1e-3f, .activation = relu});
  }
  Value max_pool(const std::string& name, Value x) {
    return pool(net_, name, x, WindowPoolShape::Kind::max, halving_3);
  }

  Value a(const std::string& name, Value x, std::int64_t pool_features) {
    Value five = basic(name + ".branch5x5_1", x, 48, point);
    five = basic(name + ".branch5x5_2", five, 64, {5, 5, 1, 2, 2});
    return join(name, {basic(name + ".branch1x1", x, 64, point), five, double_3(name, x, square_3),
                       pooled(name, x, pool_features)});
  }
  Value b(const std::string& name, Value x) {
    return join(name, {basic(name + ".branch3x3", x, 384, halving_3), double_3(name, x, halving_3),
                       max_pool(name + ".pool", x)});
  }
  Value c(const std::string& name, Value x, std::int64_t inner) {
    Value seven = basic(name + ".branch7x7_1", x, inner, point);
    seven = basic(name + ".branch7x7_2", seven, inner, row_7);
    seven = basic(name + ".branch7x7_3", seven, 192, column_7);
    Value twice = basic(name + ".branch7x7dbl_1", x, inner, point);
    twice = basic(name + ".branch7x7dbl_2", twice, inner, column_7);
    twice = basic(name + ".branch7x7dbl_3", twice, inner, row_7);
    twice = basic(name + ".branch7x7dbl_4", twice, inner, column_7);
    twice = basic(name + ".branch7x7dbl_5", twice, 192, row_7);
    return join(name,
                {basic(name + ".branch1x1", x, 192, point), seven, twice, pooled(name, x, 192)});
  }
  Value d(const std::string& name, Value x) {
    Value three = basic(name + ".branch3x3_1", x, 192, point);
    three = basic(name + ".branch3x3_2", three, 320, halving_3);
    Value seven = basic(name + ".branch7x7x3_1", x, 192, point);
    seven = basic(name + ".branch7x7x3_2", seven, 192, row_7);
    seven = basic(name + ".branch7x7x3_3", seven, 192, column_7);
    seven = basic(name + ".branch7x7x3_4", seven, 192, halving_3);
    return join(name, {three, seven, max_pool(name + ".pool", x)});
  }
  Value e(const std::string& name, Value x) {
    const Value three = basic(name + ".branch3x3_1", x, 384, point);
    Value twice = basic(name + ".branch3x3dbl_1", x, 448, point);
    twice = basic(name + ".branch3x3dbl_2", twice, 384, square_3);
    return join(name,
                {basic(name + ".branch1x1", x, 320, point),
                 basic(name + ".branch3x3_2a", three, 384, row_3),
                 basic(name + ".branch3x3_2b", three, 384, column_3),
                 basic(name + ".branch3x3dbl_3a", twice, 384, row_3),
                 basic(name + ".branch3x3dbl_3b", twice, 384, column_3), pooled(name, x, 192)});
  }

 private:
  Value double_3(const std::string& name, Value x, const Window& last) {
    x = basic(name + ".branch3x3dbl_1", x, 64, point);
    x = basic(name + ".branch3x3dbl_2", x, 96, square_3);
    return basic(name + ".branch3x3dbl_3", x, 96, last);
  }
  Value pooled(const std::string& name, Value x, std::int64_t features) {
    x = pool(net_, name + ".pool", x, WindowPoolShape::Kind::average, square_3);
    return basic(name + ".branch_pool", x, features, point);
  }
  Value join(const std::string& name, std::vector<Value> branches) {
    const auto count = std::ssize(branches);
    return net_.append<Concatenate>(std::move(branches), name + ".cat", count);
  }

  NetworkBuilder& net_;
};

/// y = relu(bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x)))))))) + shortcut(x)), conv2 with the
/// stride.
Value bottleneck(NetworkBuilder& net, const std::string& name, Value x, std::int64_t inner,
                 std::int64_t stride) {
  constexpr std::int64_t expansion = 4;
  const auto normalised = [&](const std::string& conv, const std::string& bn, Value of,
                              std::int64_t out_c, const Window& window,
                              kernels::Activation activation) {
    of = convolution(net, name + conv, of, out_c, window);
    return net.append<BatchNorm>(
        {of}, name + bn,
        BatchNorm::Options{.channels = out_c, .epsilon = 1e-5f, .activation = activation});
  };
  const std::int64_t out_c = expansion * inner;
  Value around = x;
  if (stride != 1 || net.shape(x)[3] != out_c)
    around = normalised(".downsample.0", ".downsample.1", x, out_c, {1, 1, stride}, none);
  Value y = normalised(".conv1", ".bn1", x, inner, point, relu);
  y = normalised(".conv2", ".bn2", y, inner, {3, 3, stride, 1, 1}, relu);
  y = normalised(".conv3", ".bn3", y, out_c, point, none);
  return net.append<Add>({y, around}, name + ".add", relu);
}

}  // namespace

void check_inception_v3(const NetworkSpec& spec) { check(spec, 75); }

void build_inception_v3(NetworkBuilder& net, const NetworkSpec& spec) {
  Inception block(net);
  Value x = net.start();
  x = block.basic("Conv2d_1a_3x3", x, 32, halving_3);
  x = block.basic("Conv2d_2a_3x3", x, 32, {3, 3});
  x = block.basic("Conv2d_2b_3x3", x, 64, square_3);
  x = block.max_pool("maxpool1", x);
  x = block.basic("Conv2d_3b_1x1", x, 80, point);
  x = block.basic("Conv2d_4a_3x3", x, 192, {3, 3});
  x = block.max_pool("maxpool2", x);
  x = block.a("Mixed_5b", x, 32);
  x = block.a("Mixed_5c", x, 64);
  x = block.a("Mixed_5d", x, 64);
  x = block.b("Mixed_6a", x);
  x = block.c("Mixed_6b", x, 128);
  x = block.c("Mixed_6c", x, 160);
  x = block.c("Mixed_6d", x, 160);
  x = block.c("Mixed_6e", x, 192);
  x = block.d("Mixed_7a", x);
  x = block.e("Mixed_7b", x);
  x = block.e("Mixed_7c", x);
  head(net, x, spec);
}

void check_resnet_50(const NetworkSpec& spec) { check(spec, 32); }

void build_resnet_50(NetworkBuilder& net, const NetworkSpec& spec) {
  Value x = net.start();
  x = convolution(net, "conv1", x, 64, {7, 7, 2, 3, 3});
  x = net.append<BatchNorm>(
      {x}, "bn1", BatchNorm::Options{.channels = 64, .epsilon = 1e-5f, .activation = relu});
  x = pool(net, "maxpool", x, WindowPoolShape::Kind::max, {3, 3, 2, 1, 1});
  constexpr std::int64_t blocks[] = {3, 4, 6, 3};
  for (std::int64_t layer = 1; layer <= std::ssize(blocks); ++layer)
    for (std::int64_t b = 0; b < blocks[layer - 1]; ++b)
      x = bottleneck(net, fmt::format("layer{}.{}", layer, b), x, 32 << layer,
                     layer > 1 && b == 0 ? 2 : 1);
  head(net, x, spec);
}

}  // namespace pixeldp::layers
