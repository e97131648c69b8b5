#include "trainers/reconstruction.hpp"

#include <cmath>

namespace pixeldp {

double reconstruction_loss(std::span<const float> image, std::span<const float> target, float shift,
                           std::span<float> gradient) {
  const auto difference = [&](std::size_t i) { return double{image[i]} - (target[i] - shift); };
  double squares = 0.0;
  for (std::size_t i = 0; i < image.size(); ++i) squares += difference(i) * difference(i);
  const auto count = static_cast<double>(image.size());
  const double loss = std::sqrt(squares / count);
  const double factor = loss > 0.0 ? 1.0 / (count * loss) : 0.0;
  for (std::size_t i = 0; i < image.size(); ++i)
    gradient[i] = static_cast<float>(factor * difference(i));
  return loss;
}

}  // namespace pixeldp
