#pragma once

#include "pixeldp/certificate_log.hpp"
#include "tests/fuzz/accept.hpp"

namespace pixeldp::fuzz {

inline void certificate_log(ByteView input) {
  const CertificateLog log = parse_certificate_log(as_text(input), "input");
  require(log.header.difference(log.header).empty());
  for (const CertificateRecord& record : log.records) {
    require(record.radius >= 0 && record.prediction < record.statistics.classes());
  }
}

}  // namespace pixeldp::fuzz
