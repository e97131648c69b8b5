#pragma once

#include <span>
#include <string>

#include <nlohmann/json.hpp>

#include "pixeldp/attacks/attack_log.hpp"

namespace pixeldp::cli {

/// What attacks leave of a classifier: accuracy with and without them, and of attacks on certified
/// predictions the robust precision.
nlohmann::ordered_json attack_json(std::span<const AttackRecord> records, const AttackOptions& o);

/// The same for people; `where` says whose images these are.
void print_attack(const nlohmann::ordered_json& json, const AttackOptions& o,
                  const std::string& where);

}  // namespace pixeldp::cli
