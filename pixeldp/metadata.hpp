#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/error.hpp"
#include "engine/io/safetensors.hpp"
#include "engine/text.hpp"

namespace pixeldp {

/// Typed reading of a file's metadata. Throws Errors that name file and key where a value is
/// missing or no such thing.
class Metadata {
 public:
  /// The file must outlive this; `what` names it in errors.
  Metadata(const SafetensorsFile& file, std::string what) : file_(file), what_(std::move(what)) {}

  const std::string& what() const { return what_; }
  bool has(const std::string& key) const { return file_.metadata.contains(key); }
  const std::string& string(const std::string& key) const;
  bool boolean(const std::string& key) const;
  template <typename Number>
  Number number(const std::string& key) const {
    return parse<Number>(key, string(key));
  }

  /// The texts between separators; none where the key is missing.
  std::vector<std::string> parts(const std::string& key, char separator) const;
  /// Numbers with commas between them; none where the key is missing.
  std::vector<double> numbers(const std::string& key) const;
  /// "layer=scale" with commas between them.
  std::map<std::string, float> scales(const std::string& key) const;

 private:
  template <typename Number>
  Number parse(const std::string& key, std::string_view value) const {
    const auto number = parse_number<Number>(value);
    if (!number) fail("{}: metadata '{}' is '{}', not a number", what_, key, value);
    return *number;
  }

  const SafetensorsFile& file_;
  std::string what_;
};

}  // namespace pixeldp
