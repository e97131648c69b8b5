#pragma once

#include <optional>

#include <nlohmann/json.hpp>

#include "pixeldp/calibration.hpp"
#include "pixeldp/precision.hpp"

namespace pixeldp {

// What the headers of logs have in common, in the order of its keys.

template <class Value>
nlohmann::ordered_json or_null(const std::optional<Value>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

template <class Value>
std::optional<Value> optional_of(const nlohmann::ordered_json& json) {
  return json.is_null() ? std::nullopt : std::optional(json.get<Value>());
}

/// What the noise scale was computed from; null where it was chosen itself.
inline nlohmann::ordered_json construction_keys(const Calibration& calibration) {
  const auto value = [&](double Construction::*member) {
    return calibration.construction ? nlohmann::ordered_json((*calibration.construction).*member)
                                    : nlohmann::ordered_json();
  };
  return {{"epsilon", value(&Construction::epsilon)},
          {"delta", value(&Construction::delta)},
          {"construction_bound", value(&Construction::bound)}};
}

/// What radii are charged. A key is not there where that is nothing: older logs stay as they are.
inline nlohmann::ordered_json charged_keys(const Calibration& calibration) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (calibration.variation != 0.0) json["variation"] = calibration.variation;
  if (calibration.prefix_error != 0.0) json["prefix_error"] = calibration.prefix_error;
  return json;
}

/// What was evaluated after the noise.
inline nlohmann::ordered_json function_keys(const BodyFunction& function) {
  return {{"precision", function.precision},
          {"residual_precision", function.residual_precision},
          {"algorithm", function.algorithm}};
}

}  // namespace pixeldp
