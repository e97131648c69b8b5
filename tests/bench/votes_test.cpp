#include "bench/votes.hpp"

#include <doctest/doctest.h>

#include "tests/throws_error.hpp"

namespace pixeldp::bench {
namespace {

CertificateLog log_of(std::vector<std::pair<std::int64_t, std::vector<std::uint64_t>>> votes) {
  CertificateLog log;
  for (auto& [image, counts] : votes) {
    CertificateRecord record{.image = image, .label = 0, .prediction = 0, .statistics = {}};
    for (std::size_t c = 0; c < counts.size(); ++c) {
      record.statistics.draws += counts[c];
      if (counts[c] > counts[static_cast<std::size_t>(record.prediction)])
        record.prediction = static_cast<int>(c);
    }
    record.radius = 0.125 * static_cast<double>(image);
    record.statistics.votes = std::move(counts);
    log.records.push_back(std::move(record));
  }
  return log;
}

TEST_CASE("votes that differ between two logs are counted, image by image") {
  const CertificateLog a = log_of({{0, {9, 1, 0}}, {1, {5, 4, 1}}, {7, {0, 0, 10}}});
  CertificateLog b = log_of({{1, {4, 5, 1}}, {0, {9, 1, 0}}, {8, {10, 0, 0}}, {7, {1, 2, 7}}});
  b.records.back().radius -= 0.25;
  const VoteDifference d = difference(a, b);
  CHECK(d.images == 3);
  CHECK(d.only_one == 1);
  CHECK(d.draws == 30);
  CHECK(d.votes == 4);
  CHECK(d.differing == 2);
  CHECK(d.predictions == 1);
  CHECK(d.radius == 0.25);
  CHECK(difference(a, a).votes == 0);
  CHECK_FAILS(difference(a, log_of({{1, {5, 5, 1}}})), "image 1: the logs do not both hold votes");
  CHECK_FAILS(difference(a, log_of({{1, {5, 5}}})), "image 1");
  CHECK_FAILS(difference(a, log_of({{2, {5, 5, 0}}})), "no image in common");
  CertificateLog another = a;
  another.header.seed = 5;
  CHECK_FAILS(difference(a, another), "not of the same draws:\nseed: ");
  another = a;
  another.header.function = {"bf16", "bf16", "tensor-core"};
  CHECK(difference(a, another).votes == 0);
  CertificateLog softmax = log_of({{1, {5, 4, 1}}});
  softmax.records[0].statistics.votes.clear();
  CHECK_FAILS(difference(a, softmax), "image 1");
}

}  // namespace
}  // namespace pixeldp::bench
