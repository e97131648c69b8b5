#pragma once

#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

#include "engine/io/file.hpp"

namespace pixeldp::tests {

/// A log whose lines were changed, with the chain of somebody who knows how it is made: as
/// docs/certificate_log.md says it, with nothing of the engine but SHA-256. An incomplete last line
/// stays as it is.
inline std::string rechained(const std::string& log) {
  std::string text, chain;
  std::size_t start = 0;
  for (std::size_t end; (end = log.find('\n', start)) != std::string::npos; start = end + 1) {
    std::string line = log.substr(start, end - start);
    if (start == 0) {
      chain = sha256_hex(as_bytes(line));
    } else {
      line.resize(std::min(line.size(), line.rfind(", \"chain\": \"")));
      chain = sha256_hex(as_bytes(chain + line));
      line += ", \"chain\": \"" + chain + "\"}";
    }
    text += line + '\n';
  }
  return text + log.substr(start);
}

/// The same log as format 1 had it.
inline std::string in_format_1(const std::string& log) {
  using Json = nlohmann::ordered_json;
  std::istringstream lines(log);
  std::string text, line;
  std::getline(lines, line);
  Json header = Json::parse(line);
  const bool argmax = header["score_type"] == "argmax";
  header["format_version"] = 1;
  for (const char* key :
       {"source", "selected_by", "statistics", "stopping", "ledger", "variation", "prefix_error"})
    header.erase(key);
  text = header.dump() + '\n';
  while (std::getline(lines, line)) {
    const Json of_2 = Json::parse(line);
    Json of_1;
    for (const auto& [key, value] : of_2.items()) {
      if (key == "chain" || (key == "votes" && !argmax)) continue;
      if (argmax && (key == "sums" || key == "squares")) continue;
      of_1[key == "votes" ? "counts" : key] = value;
    }
    text += of_1.dump() + '\n';
  }
  return text;
}

}  // namespace pixeldp::tests
