#pragma once

#include <optional>
#include <string>

#include "bench/device/rivals.hpp"
#include "bench/device/stopwatch.hpp"

namespace pixeldp::bench {

/// A speed's share of a ceiling.
struct Share {
  std::optional<double> value;
  std::string of;  ///< which ceiling, or why there is none
};

/// The highest rates that were measured on the device, per second; none where nothing could be.
struct CeilingRates {
  std::optional<double> copied_bytes;     ///< read and written
  std::optional<double> bf16_operations;  ///< by cuBLASLt
};

/// What `seconds` for this work are of the least that the ceilings allow: the longer of bytes by
/// the copy's bandwidth and, on tensor cores, operations by the bf16 product's rate, of which tf32
/// has half and int8 twice as much.
Share share_of(const KernelCase& work, double seconds, const CeilingRates& rates);

/// Measured when first asked for.
class Ceilings {
 public:
  /// A rate per second, or why there is none.
  struct Ceiling {
    Timing timing;
    double count = 0.0;  ///< bytes or operations of a run
    std::string obstacle;
  };

  Ceilings(const Stream& stream, Stopwatch& watch, CaseSize size);

  const Ceiling& copy();
  const Ceiling& l2_read();
  const Ceiling& bf16_product();
  const Ceiling& int8_product();
  /// Of both products: the extents of the square matrices.
  std::int64_t product_size() const;
  CeilingRates rates();

 private:
  Ceiling measure_copy();
  Ceiling measure_l2_read();
  Ceiling measure_product(ProductType type);
  const Ceiling& once(std::optional<Ceiling>& ceiling, const std::function<Ceiling()>& measure);

  Stream stream_;
  Stopwatch& watch_;
  CaseSize size_;
  std::optional<Ceiling> copy_, l2_read_, bf16_, int8_;
};

}  // namespace pixeldp::bench
