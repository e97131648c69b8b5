#include "pixeldp/metadata.hpp"

#include <algorithm>
#include <cmath>

namespace pixeldp {

const std::string& Metadata::string(const std::string& key) const {
  const auto found = file_.metadata.find(key);
  if (found == file_.metadata.end())
    fail("{}: metadata '{}' is missing: the file was not written by 'pixeldp train'", what_, key);
  return found->second;
}

bool Metadata::boolean(const std::string& key) const {
  const std::string& value = string(key);
  if (value != "true" && value != "false")
    fail("{}: metadata '{}' is '{}', not true or false", what_, key, value);
  return value == "true";
}

std::vector<std::string> Metadata::parts(const std::string& key, char separator) const {
  if (!has(key)) return {};
  const std::vector<std::string_view> views = split(string(key), separator);
  return {views.begin(), views.end()};
}

std::vector<double> Metadata::numbers(const std::string& key) const {
  std::vector<double> result;
  for (const std::string& part : parts(key, ',')) result.push_back(parse<double>(key, part));
  return result;
}

std::map<std::string, float> Metadata::scales(const std::string& key) const {
  std::map<std::string, float> result;
  if (string(key).empty()) return result;
  for (const std::string& part : parts(key, ',')) {
    const std::size_t equals = std::min(part.find('='), part.size());
    const auto scale =
        equals == part.size()
            ? 0.0f
            : parse_number<float>(std::string_view(part).substr(equals + 1)).value_or(0.0f);
    if (!std::isnormal(scale) || scale < 0 || !result.emplace(part.substr(0, equals), scale).second)
      fail(
          "{}: metadata '{}' has no scale of a layer's own, above 0, at '{}': 'pixeldp quantise "
          "RUN' makes them anew",
          what_, key, part);
  }
  return result;
}

}  // namespace pixeldp
