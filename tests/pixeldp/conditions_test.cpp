#include "pixeldp/conditions.hpp"

#include <string>

#include <doctest/doctest.h>

#include "tests/pixeldp/made_run.hpp"

namespace pixeldp {

TEST_CASE("conditions are said in one line") {
  CertificateLogHeader header = tests::made_header({.kind = CertificateKind::exact});
  CHECK(
      conditions_text(header) ==
      "exact certificate, clopper-pearson bounds of argmax scores, alpha 0.05 per prediction, 300 "
      "draws, fp32 after the noise");
  header.selection_draws = 10;
  header.function.precision = "int8";
  CHECK(
      conditions_text(header).ends_with("300 draws and 10 others for the label, int8 after the "
                                        "noise"));
  CHECK(conditions_text(tests::made_header({.mechanism = Mechanism::none})) ==
        "no noise and nothing certified, fp32");
}

TEST_CASE("numbers are printed to six digits that claim no more than they hold") {
  for (const double value : {0.1, 0.3, 1.0 / 3, 0.9999999, 0.123456, 7.25e-9, 3.5e7, 0x1.8p-1000}) {
    CAPTURE(value);
    CHECK(std::stod(rounded(value, true)) <= value);
    CHECK(std::stod(rounded(value, false)) >= value);
    CHECK(std::stod(rounded(value, true)) > value * (1 - 1.1e-5));
    CHECK(std::stod(rounded(value, false)) < value * (1 + 1.1e-5));
  }
  CHECK(rounded(0.25, true) == "0.25");
  CHECK(rounded(0.25, false) == "0.25");
  CHECK(rounded(0.0, true) == "0");
  CHECK(rounded(0.37099, true, 3) == "0.37");
  CHECK(rounded(0.37099, false, 3) == "0.371");
  CHECK(rounded(99.96, false, 3) == "100");
  CHECK(rounded(0.99999999, true) == "0.999999");
  CHECK(rounded(0.99999999, false) == "1");
  CHECK(rounded(5e-324, true) == "0");
  CHECK(rounded(5e-324, false) == "2.22508e-308");
}

}  // namespace pixeldp
