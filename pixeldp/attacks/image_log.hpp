#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "engine/io/append_file.hpp"

namespace pixeldp {

/// Throws an Error unless a line is what this program writes of what it read of it.
void check_written_alike(const nlohmann::ordered_json& mine, const nlohmann::ordered_json& line);

/// A log of attacks: a header, then one flushed line of JSON for each image, so that a kill loses
/// at most the line being written.
class ImageLog {
 public:
  /// Takes a line and returns its image; what it throws gets the line's place.
  using Take = std::function<std::int64_t(const nlohmann::ordered_json& line)>;

  /// Starts a log, or goes on with one, whose lines `take` gets. Throws an Error where another
  /// process writes to it, where there is one of images already and `resume` is false (make_room,
  /// pixeldp/log_parts.hpp), where it was made under other conditions, which are listed, and for
  /// damage other than a last line cut short, with file and line.
  ImageLog(std::filesystem::path path, const nlohmann::ordered_json& header, bool resume,
           const Take& take);

  void append(const nlohmann::ordered_json& line);

  /// Keys and both values of what two headers differ in, each after the end of a line.
  static std::string difference(const nlohmann::ordered_json& log,
                                const nlohmann::ordered_json& mine);

 private:
  std::filesystem::path path_;
  AppendFile file_;
};

}  // namespace pixeldp
