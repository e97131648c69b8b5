#pragma once

#include <string>

#include "tests/cli/program.hpp"
#include "tests/made_mnist.hpp"

namespace pixeldp::tests {

/// A made-up data set of 28x28 pictures and a configuration to train on it, made.yaml.
struct MadeWorkplace {
  TemporaryFolder folder;
  explicit MadeWorkplace(int steps = 24, std::uint32_t train_images = 256,
                         std::uint32_t test_images = 32) {
    write_made_mnist(folder.path(), train_images, test_images);
    write_file_atomically(folder / "made.yaml", made_mnist_config(folder.path(), steps));
  }
  Outcome run(const std::string& arguments, const std::string& prefix = "") const {
    return run_program(arguments, folder.path(), prefix);
  }
  /// Runs what has to succeed; returns its standard output.
  std::string done(const std::string& arguments, const std::string& variables = "") const {
    const Outcome outcome = run(arguments, variables);
    REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
    return outcome.output;
  }
  /// Ends with that status, says so and prints no result.
  void refused(const std::string& arguments, const std::string& part, int status) const {
    CAPTURE(arguments);
    const Outcome outcome = run(arguments);
    CHECK(outcome.status == status);
    CHECK(outcome.output.empty());
    CHECK_MESSAGE(outcome.errors.find(part) != std::string::npos, outcome.errors);
  }
  std::string data() const { return " --data '" + folder.path().string() + "'"; }
};

}  // namespace pixeldp::tests
