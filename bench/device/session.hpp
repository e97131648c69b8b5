#pragma once

#include <functional>
#include <string>

#include "bench/device/ceilings.hpp"
#include "bench/device/stopwatch.hpp"
#include "bench/report.hpp"

namespace pixeldp::bench {

/// What the parts of `bench device` may be told.
struct DeviceOptions {
  Device device;
  CaseSize size = CaseSize::full;
  int samples = 15;
  std::string source_folder;  ///< has configs/
};

/// What the parts of `bench device` share.
class Session {
 public:
  Session(const DeviceOptions& options, Report& report);

  const DeviceOptions& options() const { return options_; }
  bool full() const { return options_.size == CaseSize::full; }
  const Stream& stream() const { return stream_; }
  Stopwatch& watch() { return watch_; }
  Ceilings& ceilings() { return ceilings_; }
  Report& report() { return report_; }

  /// Calls `work`, which prints the line `what`. Where it fails, the report says so instead, and
  /// the next lines have their turn.
  void attempt(const std::string& what, const std::function<void()>& work);
  /// Prints a line, with what it took of a ceiling where that is known.
  void line(const std::string& what, const Timing& timing, double count, const std::string& unit,
            const Share& share);

 private:
  DeviceOptions options_;
  Report& report_;
  Stream stream_;
  Stopwatch watch_;
  Ceilings ceilings_;
};

// The parts.

/// What the device can do at best: copying, reading from L2, products by cuBLASLt.
void ceilings(Session& session);

/// Every kernel of kernel_cases.hpp, against the ceilings.
void kernels_alone(Session& session);

/// The convolutions of WRN-28-10, forward and backward, against cuDNN's.
void convolutions(Session& session);

/// The sampling loop of certify, from pixels to certificates, for the MNIST CNN and wide residual
/// networks.
void draws_on_device(Session& session);

/// Steps of training.
void training_on_device(Session& session);

}  // namespace pixeldp::bench
