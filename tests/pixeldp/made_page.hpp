#pragma once

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "pixeldp/report/run.hpp"
#include "tests/pixeldp/made_run.hpp"

namespace pixeldp::report {

using tests::MadeRun;

/// A run in memory.
inline Run made(const std::string& name, const MadeRun& made_run) {
  Run run;
  run.name = name;
  run.log.header = tests::made_header(made_run);
  std::mt19937_64 random(made_run.seed);
  for (int image = 0; image < made_run.images; ++image) {
    run.log.records.push_back(tests::made_record(made_run, run.log.header, image, random));
  }
  run.others = other_certificates(run.log);
  return run;
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// Whether every element that is opened is closed in order, and every < and & is markup.
inline std::string markup_fault(std::string_view html) {
  std::vector<std::string> open;
  for (std::size_t i = 0; i < html.size(); ++i) {
    if (html[i] == '&') {
      const std::size_t end = html.find(';', i);
      if (end == std::string_view::npos || end - i > 6) return fmt::format("stray & at {}", i);
    }
    if (html[i] == '>') return fmt::format("stray > at {}", i);
    if (html[i] != '<') continue;
    const std::size_t end = html.find('>', i);
    if (end == std::string_view::npos) return "an element without end";
    const std::string_view tag = html.substr(i + 1, end - i - 1);
    i = end;
    const std::string element(tag.substr(0, tag.find_first_of(" \n/", tag[0] == '/' ? 1 : 0)));
    if (tag[0] == '!' || element == "meta" || tag.back() == '/') continue;
    if (tag[0] == '/') {
      if (open.empty() || "/" + open.back() != element) return fmt::format("{} at {}", tag, i);
      open.pop_back();
    } else {
      open.push_back(element);
    }
    if (element == "style") i = html.find("</style>", i) - 1;
  }
  return open.empty() ? "" : open.back() + " is not closed";
}

}  // namespace pixeldp::report
