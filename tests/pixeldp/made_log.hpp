#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "pixeldp/certificate_log.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/text_of.hpp"

// A small log of votes, and changes of its text.

namespace pixeldp::tests {

inline CertificateLogHeader argmax_header() {
  CertificateLogHeader header;
  header.model_sha256 = std::string(64, 'a');
  header.dataset = "mnist \"quoted\"\n";
  header.dataset_sha256 = std::string(64, '7');
  header.split = "test";
  header.calibration = {.mechanism = Mechanism::gaussian,
                        .attack_norm = AttackNorm::l2,
                        .construction = Construction{.bound = 0.1},
                        .noise_scale = 0.25372725,
                        .sensitivity = 1.0000000000000002};
  header.draws = 300;
  header.seed = std::numeric_limits<std::uint64_t>::max();
  header.ledger = only_look(header.options, header.draws);
  return header;
}

inline CertificateRecord argmax_record(std::int64_t image, double radius = 0.1) {
  CertificateRecord record;
  record.image = image;
  record.label = 2;
  record.prediction = 1;
  record.statistics.draws = 300;
  record.statistics.votes = {40, 250, 10};
  record.statistics.sums = {std::uint64_t{40} << 32, std::uint64_t{250} << 32,
                            std::uint64_t{10} << 32};
  record.statistics.squares = {7, std::uint64_t{240} << 32, 5};
  record.radius = radius;
  return record;
}

inline void write_text(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// A log of three images as text.
inline std::string valid_log() {
  TemporaryFolder folder;
  CertificateLogWriter writer = CertificateLogWriter::create(folder / "log.jsonl", argmax_header());
  for (const std::int64_t image : {0, 1, 5}) writer.append(argmax_record(image));
  return text_of(folder / "log.jsonl");
}

inline std::string with(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace pixeldp::tests
