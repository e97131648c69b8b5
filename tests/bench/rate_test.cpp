#include "bench/rate.hpp"

#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "bench/compare.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::bench {
namespace {

using nlohmann::json;

TEST_CASE("a rate is that of the median time, between those of the quartiles") {
  const Rate rate = rate_of({4.0, 1.0, 2.0, 5.0, 8.0});
  CHECK(rate.median == 0.25);
  CHECK(rate.low == 0.2);
  CHECK(rate.high == 0.5);
  const Rate once = rate_of({0.5});
  CHECK(once.median == 2.0);
  CHECK(once.low == 2.0);
  CHECK(once.high == 2.0);
  CHECK((once * 3.0).low == 6.0);
}

TEST_CASE("samples that are too short, too scattered or no times are invalid, and say so") {
  const Limits limits = {.shortest = 1e-5, .widest = 0.1};
  CHECK(why_invalid({1e-3, 1.01e-3, 1.02e-3, 1.03e-3, 9e-3}, limits) == "");
  CHECK(why_invalid({}, limits) == "nothing was timed");
  CHECK(why_invalid({9e-6, 9e-6, 9e-6}, limits).starts_with("too short: 9 us"));
  CHECK(why_invalid({1e-3, 1e-3, 1.2e-3, 1.5e-3, 1.5e-3}, limits).starts_with("too scattered"));
  CHECK(why_invalid({1e-3, 0.0, 1e-3}, limits).find("no time") != std::string::npos);
  CHECK(why_invalid({1e-3, std::nan(""), 1e-3}, limits).find("no time") != std::string::npos);
}

TEST_CASE("a change is told where the spreads allow it") {
  const Rate before = {100.0, 99.0, 101.0};
  CHECK(change_of(before, {100.0, 99.5, 100.5}) == Change::same);
  CHECK(change_of(before, {120.0, 118.0, 122.0}) == Change::faster);
  CHECK(change_of(before, {80.0, 79.0, 81.0}) == Change::slower);
  // Faster by the medians, but the quartiles nearly meet.
  CHECK(change_of(before, {120.0, 103.0, 130.0}) == Change::ambiguous);
  CHECK(change_of(before, {80.0, 60.0, 98.0}) == Change::ambiguous);
  CHECK(change_of(before, {100.0, 90.0, 110.0}) == Change::ambiguous);
  CHECK(change_of(before, {std::nan(""), std::nan(""), std::nan("")}) == Change::ambiguous);
  // Just within what is tolerated, and just beyond.
  CHECK(change_of({100.0, 100.0, 100.0}, {102.9, 102.9, 102.9}) == Change::same);
  CHECK(change_of({100.0, 100.0, 100.0}, {103.1, 103.1, 103.1}) == Change::faster);
  CHECK(change_of({103.1, 103.1, 103.1}, {100.0, 100.0, 100.0}) == Change::slower);
}

json line(const char* what, double rate, const char* invalid = "") {
  return {{"part", "p"}, {"what", what}, {"unit", "x/s"},     {"rate", rate},
          {"low", rate}, {"high", rate}, {"invalid", invalid}};
}

TEST_CASE("two reports are compared by the names of their lines") {
  const json before = {{"lines",
                        {line("a", 1.0), line("a", 7.0), line("b", 1.0), line("c", 1.0),
                         line("d", 1.0, "too short")}}};
  const json after = {
      {"lines", {line("b", 0.5), line("a", 2.0), line("d", 9.0), line("e", 1.0), line("c", 1.0)}}};
  const Comparison found = compare(before, after);
  REQUIRE(found.lines.size() == 4);
  CHECK(found.lines[0].what == "a");
  CHECK(found.lines[0].before == 1.0);  // the first of those of a name
  CHECK(found.lines[0].change == Change::faster);
  CHECK(found.lines[1].change == Change::slower);
  CHECK(found.lines[2].change == Change::same);
  CHECK(found.lines[3].change == Change::ambiguous);
  CHECK(found.lines[3].why == "the old one is invalid, too short");
  CHECK(found.only_before.empty());
  CHECK(found.only_after == std::vector<std::string>{"p: e, x/s"});
  CHECK(found.slower());
  CHECK(compare(after, before).only_before == std::vector<std::string>{"p: e, x/s"});
  CHECK_FALSE(compare(before, before).slower());
  json broken = after;
  broken["failed"] = {{{"part", "p"}, {"what", "a"}, {"error", "no memory"}}};
  CHECK(compare(before, broken).failed == std::vector<std::string>{"p: a: no memory"});
}

}  // namespace
}  // namespace pixeldp::bench
