#include "cli/noise_arguments.hpp"

#include <fmt/format.h>

#include "engine/error.hpp"
#include "engine/named.hpp"

namespace pixeldp::cli {

void NoiseArguments::add_to(CLI::App& command, const std::string& when) {
  command
      .add_option("--noise", mechanism,
                  "Noise in the image, before its normalisation, " + when +
                      ": gaussian (radii in the 2-norm) or laplace (1-norm)")
      ->check(CLI::IsMember(names_of(noise_mechanisms, name)));
  command
      .add_option("--sigma", sigma,
                  "Scale of that noise, pixels from 0 to 1: standard deviation of gaussian noise, "
                  "scale b of laplace noise (standard deviation 1.414 b)")
      ->type_name("S");
}

std::optional<InputNoise> NoiseArguments::noise() const {
  if (mechanism.empty() != !sigma)
    fail_usage("--noise and --sigma go together: the one says which noise, the other how much");
  if (!sigma) return std::nullopt;
  return InputNoise{.mechanism = parse_mechanism(mechanism), .scale = *sigma};
}

void NoiseArguments::give_to(Model& model, std::optional<kernels::Precision> precision) const {
  const auto given = noise();
  if (!given) return;
  give_input_noise(model, *given);
  if (precision == kernels::Precision::int8) {
    fail_usage(
        "--precision int8 takes scales that 'pixeldp quantise' measured with the model's noise, "
        "and model '{}' has none: use fp32 or bf16, or 'pixeldp import' weights with --noise",
        model.name);
  }
}

std::string noise_text(const Calibration& calibration) {
  return fmt::format("{}, scale {:.6g} in the image", name(calibration.mechanism),
                     calibration.noise_scale);
}

}  // namespace pixeldp::cli
