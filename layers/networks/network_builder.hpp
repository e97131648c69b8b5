#pragma once

#include <memory>
#include <string>
#include <utility>

#include "layers/conv2d.hpp"
#include "layers/convolution.hpp"
#include "layers/initialise.hpp"
#include "layers/networks/network_spec.hpp"
#include "layers/transposed_conv2d.hpp"

namespace pixeldp::layers {

/// What functions that build networks append nodes with. Layers are initialised in the order in
/// which they are appended; before the noise they are trained in fp32, after it as the
/// specification says.
class NetworkBuilder {
 public:
  NetworkBuilder(const NetworkSpec& spec, std::uint64_t seed);

  const Shape& shape(Value x) const { return network_.graph.shape(x); }

  /// The image: standardised or normalised where the specification says so, and with the noise
  /// where that lies in the image.
  Value start();
  /// Appends a network to what was built so far, which x is the end of, with a prefix to the names
  /// of its layers. It has no noise of its own.
  void append_network(Value x, const std::string& prefix, const NetworkSpec& spec);
  /// A convolution of whatever shape x has.
  Value convolution(std::string name, Value x, Conv2d::Options options);
  /// The same as layer number `layer`, counted from 1: where the noise lies behind that, it
  /// follows, before or after the activation.
  Value convolution_and_noise(int layer, std::string name, Value x, Conv2d::Options options);
  /// The convolution appended last, and what it reads.
  struct Convolved {
    Conv2d* layer = nullptr;
    Shape image = {};
  };
  const Convolved& last_convolution() const { return last_convolution_; }
  /// Its transpose, to an image of the shape that it read.
  Value transposed(std::string name, Value x, const Convolved& of);
  /// A convolution of any kind, of the shape that x has.
  Value window_convolution(std::string name, Value x, const kernels::GroupedConv2dShape& shape);
  Value dense(std::string name, Value x, std::int64_t out, kernels::Activation activation);
  /// The same without initial weights, for those that are read.
  Value blank_dense(std::string name, Value x, std::int64_t out, kernels::Activation activation);
  /// Any other layer, for what it reads.
  template <class L, class... Arguments>
  Value append(std::vector<Value> x, const std::string& name, Arguments&&... arguments) {
    return network_.graph.add(
        std::make_unique<L>(prefix_ + name, std::forward<Arguments>(arguments)...), std::move(x));
  }

  /// x is an image that an auto-encoder makes.
  void set_reconstruction(Value x) { network_.reconstruction = x; }

  /// The head is the dense layer appended last.
  Network finish() &&;

 private:
  Value noise(Value x, kernels::Activation activation);
  /// Of what is appended now, in training.
  kernels::Precision precision() const;

  NetworkSpec spec_;  ///< of what is appended now
  kernels::Precision training_precision_;
  std::string prefix_ = {};
  Value start_ = 0;
  Convolved last_convolution_ = {};
  Initialiser initialise_;
  Network network_;
};

}  // namespace pixeldp::layers
