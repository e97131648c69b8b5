#include "pixeldp/network_sensitivity.hpp"

#include <cmath>
#include <limits>

#include "engine/error.hpp"
#include "layers/normalise.hpp"
#include "layers/standardise.hpp"

namespace pixeldp {
namespace {

/// A factor for each value, of which `factor` is the largest, changes no norm by more than that.
NormTable scaled(NormTable norms, double factor) {
  factor *= 1.0 + 4 * std::numeric_limits<double>::epsilon();  // rounded up
  for (auto& row : norms)
    for (double& norm : row) norm *= factor;
  return norms;
}

NormTable layer_norms(const Stream& stream, const layers::Layer& layer, const Shape& input,
                      SensitivityForm form) {
  if (const auto* conv = dynamic_cast<const layers::Conv2d*>(&layer)) {
    const auto& o = conv->options();
    // An activation of slope between 0 and 1 acts on each value alone and shrinks differences.
    if (o.activation.slope < 0.0f || o.activation.slope > 1.0f) {
      fail(
          "layer {} before the noise has an activation of slope {}: only slopes from 0 to 1 keep "
          "the sensitivity",
          conv->name(), o.activation.slope);
    }
    return conv_norms(layers::host_values(stream, conv->weight().value),
                      conv_geometry(*conv, input), form);
  }
  if (const auto* normalise = dynamic_cast<const layers::Normalise*>(&layer))
    return scaled(identity_norms(input.row_size()), normalise->largest_scale(stream));
  if (dynamic_cast<const layers::Standardise*>(&layer)) return standardise_norms(input.row_size());
  fail(
      "the sensitivity of layer {} is not known: convolutions, and what is done to images, may "
      "stand before the noise",
      layer.name());
}

}  // namespace

ConvGeometry conv_geometry(const layers::Conv2d& conv, const Shape& input) {
  const auto& o = conv.options();
  return {.in_h = input[1],
          .in_w = input[2],
          .in_c = o.in_c,
          .out_c = o.out_c,
          .kernel_h = o.kernel,
          .kernel_w = o.kernel,
          .stride = o.stride};
}

NormTable network_norms(const layers::Network& network, SensitivityForm form,
                        const Stream& stream) {
  const auto prefix = network.prefix();
  if (prefix.empty()) return identity_norms(network.input().row_size());
  NormTable norms{};
  for (std::size_t i = 0; i < prefix.size(); ++i) {
    const layers::Layer& layer = *prefix[i].layer;
    if (prefix[i].inputs != std::vector<layers::Value>{static_cast<layers::Value>(i)})
      fail("the sensitivity of layer {} is not known: before the noise one layer follows the other",
           layer.name());
    const Shape& input = network.graph.shape(prefix[i].inputs[0]);
    const NormTable next = layer_norms(stream, layer, input, form);
    norms = i == 0 ? next : compose(norms, next);
  }
  if (network.graph.nodes()[prefix.size()].inputs[0] != static_cast<layers::Value>(prefix.size()))
    fail("the sensitivity is not known: the noise does not read what stands last before it");
  return norms;
}

double network_sensitivity(const layers::Network& network, AttackNorm attack_norm,
                           Mechanism mechanism, SensitivityForm form, const Stream& stream) {
  return sensitivity_of(network_norms(network, form, stream), attack_norm, mechanism);
}

std::vector<Calibration> in_all_norms(const Calibration& calibration, const NormTable& norms) {
  std::vector<Calibration> all;
  for (const AttackNorm norm : attack_norms) {
    Calibration c = calibration;
    if (norm != calibration.attack_norm) {
      c.attack_norm = norm;
      c.sensitivity = largest_change(norms, norm, calibration.mechanism);
      c.construction.reset();  // the noise was made for the other norm
    }
    if (c.sensitivity > 0.0 && std::isfinite(c.sensitivity)) all.push_back(c);
  }
  return all;
}

std::vector<NoisePlace> noise_places(const layers::Network& network, SensitivityForm form,
                                     const Stream& stream) {
  NoisePlace here{"the image", identity_norms(network.input().row_size())};
  std::vector<NoisePlace> places = {here};
  const auto nodes = network.graph.nodes();
  bool first = true;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const layers::Layer& layer = *nodes[i].layer;
    if (nodes[i].inputs != std::vector<layers::Value>{static_cast<layers::Value>(i)}) break;
    if (&layer == network.noise) continue;
    const auto* conv = dynamic_cast<const layers::Conv2d*>(&layer);
    const bool of_image = dynamic_cast<const layers::Normalise*>(&layer) != nullptr ||
                          dynamic_cast<const layers::Standardise*>(&layer) != nullptr;
    if (!conv && !of_image) break;
    const Shape& input = network.graph.shape(nodes[i].inputs[0]);
    const NormTable next = layer_norms(stream, layer, input, form);
    here.norms = first ? next : compose(here.norms, next);
    here.after = layer.name();
    first = false;
    if (conv) {
      double squares = 0.0;
      for (const float w : layers::host_values(stream, conv->weight().value))
        squares += static_cast<double>(w) * w;
      const ConvGeometry g = conv_geometry(*conv, input);
      here.gain *= std::sqrt(squares * static_cast<double>(g.out_h() * g.out_w()) /
                             static_cast<double>(input.row_size()));
      places.push_back(here);
    } else if (const auto* normalise = dynamic_cast<const layers::Normalise*>(&layer)) {
      here.gain *= normalise->largest_scale(stream);
    } else {
      here.gain = std::numeric_limits<double>::quiet_NaN();  // each image has its own
      places = {here};                                       // and no noise comes before
    }
  }
  return places;
}

}  // namespace pixeldp
