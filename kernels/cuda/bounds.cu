/// For each image: the label, a lower bound of its expected score, an upper bound of all others',
/// and the radius that the two certify.
///
/// The formulas are those of kernels/formulas/bounds.hpp, in double precision, which the processor
/// uses as well; device_lower, device_upper and device_size keep the results from ever lying beyond
/// the processor's, and say why.
///
/// Layouts: draws and selected [images], votes, sums, squares [images, classes], dense; results
/// [images].
///
/// Work: a warp for each image. Classes are spread over its lanes: first to find the label and
/// whether the counts make sense, then the largest upper bound beside it. Bounds of votes rise with
/// the votes, so there only the most votes beside the label matter: of every three lanes
/// one makes the lower bound, one the upper and one the pairwise test, and the warp pays for one of
/// them. The points of a search for the best epsilon are spread over the lanes too; what remains
/// every lane computes for itself.
///
/// Fused: label, check, bounds, radius. Never written: bounds of labels.
///
/// Bytes: counts are read up to three times, all but the first from a cache, 8 per class (16 with
/// squares), and 32 written per image.
///
/// Operations: for each turn of 32 classes about 50 instructions in double precision for a bound by
/// the mean; for Clopper-Pearson with the paper's Gaussian certificate, 8500 for an image of 1000
/// draws and 24000 for one of a million (PTX; counted, not timed on a GPU).
#include "kernels/cuda/bounds.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operations.hpp"
#include "kernels/formulas/failure_shares.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

constexpr unsigned whole_warp = 0xffffffffu;
constexpr int warp_threads = 32;
constexpr int block_threads = warp_threads * BoundsGrid::block_warps;

/// A value that all lanes get: combine(a, b) over the lanes. The order makes no difference to
/// maxima and integers.
template <class T, class Combine>
__device__ __forceinline__ T over_warp(T value, const Combine& combine) {
  for (int bits = warp_threads / 2; bits > 0; bits /= 2)
    value = combine(value, __shfl_xor_sync(whole_warp, value, bits));
  return value;
}

struct Larger {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

struct Sum {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};

/// Tries the points of a search in all lanes at once: the first of the largest, as InTurn.
struct AcrossWarp {
  template <class Points>
  __device__ __forceinline__ SizeAt best(const Points& points) const {
    SizeAt best;
    int first = Points::count;
    for (int i = threadIdx.x; i < Points::count; i += warp_threads)
      if (const SizeAt here = points.at(i); here.size > best.size) best = here, first = i;
    for (int bits = warp_threads / 2; bits > 0; bits /= 2) {
      const double size = __shfl_xor_sync(whole_warp, best.size, bits);
      const double epsilon = __shfl_xor_sync(whole_warp, best.epsilon, bits);
      const int i = __shfl_xor_sync(whole_warp, first, bits);
      if (size > best.size || (size == best.size && i < first)) best = {size, epsilon}, first = i;
    }
    return best;
  }
};

/// The counts of one image.
struct ImageCounts {
  std::int64_t classes;
  std::uint64_t draws;
  const std::uint64_t* scores;   ///< votes or sums
  const std::uint64_t* squares;  ///< null for votes

  /// The lowest of the classes with the highest count.
  __device__ __forceinline__ std::int64_t top_label() const {
    std::uint64_t most = 0;
    std::int64_t label = classes;
    for (std::int64_t c = threadIdx.x; c < classes; c += warp_threads)
      if (label == classes || scores[c] > most) most = scores[c], label = c;
    for (int bits = warp_threads / 2; bits > 0; bits /= 2) {
      const std::uint64_t count = __shfl_xor_sync(whole_warp, most, bits);
      const std::int64_t c = __shfl_xor_sync(whole_warp, label, bits);
      if (count > most || (count == most && c < label)) most = count, label = c;
    }
    return label;
  }

  /// Whether `draws` draws can have left these counts.
  __device__ __forceinline__ bool consistent() const {
    bool good = draws <= most_draws;
    std::uint64_t total = 0;
    const std::uint64_t most = squares != nullptr ? draws << 32 : draws;
    for (std::int64_t c = threadIdx.x; c < classes; c += warp_threads) {
      good = good && scores[c] <= most;
      if (squares != nullptr)
        good = good && squares[c] <= scores[c] + draws;
      else
        total += scores[c];
    }
    if (!__all_sync(whole_warp, good)) return false;
    return squares != nullptr || over_warp(total, Sum()) == draws;
  }

  __device__ __forceinline__ ScoreInterval bounds_of(std::int64_t c, MeanBound bound,
                                                     double failure) const {
    return mean_bounds(bound,
                       squares != nullptr ? mean_of_sums(scores[c], squares[c], draws)
                                          : mean_of_votes(scores[c], draws),
                       draws, failure);
  }

  /// The lower bound of the label and the largest upper bound beside it.
  __device__ __forceinline__ ScoreInterval bounds_around(std::int64_t label, MeanBound bound,
                                                         const FailureShares& shares) const {
    if (is_of_votes(bound)) {
      std::uint64_t beside = 0;
      for (std::int64_t c = threadIdx.x; c < classes; c += warp_threads)
        if (c != label && scores[c] > beside) beside = scores[c];
      beside = over_warp(beside, Larger());
      const int part = threadIdx.x % 3;  // lower, upper, test
      const double side = bound_of_votes(bound, part == 1, part == 1 ? beside : scores[label],
                                         part == 2 ? scores[label] + beside : draws,
                                         part == 0   ? shares.lower
                                         : part == 1 ? shares.upper
                                                     : shares.test);
      const double tested = __shfl_sync(whole_warp, side, 2);
      if (shares.tested && !passes_pairwise_test(device_lower(tested))) return {};
      return {__shfl_sync(whole_warp, side, 0), __shfl_sync(whole_warp, side, 1)};
    }
    double highest = 0.0;
    for (std::int64_t c = threadIdx.x; c < classes; c += warp_threads)
      if (c != label) highest = Larger()(highest, bounds_of(c, bound, shares.upper).upper);
    return {bounds_of(label, bound, shares.lower).lower, over_warp(highest, Larger())};
  }
};

__global__ void __launch_bounds__(block_threads, 1)
    bounds_kernel(BoundsParams params, CountedDraws counted,
                  BoundedPrediction* __restrict__ results, unsigned long long* bad_image) {
  const std::int64_t image = std::int64_t{blockIdx.x} * BoundsGrid::block_warps + threadIdx.y;
  if (image >= params.images) return;
  const std::int64_t first = image * params.classes;
  const ImageCounts counts = {params.classes, counted.draws[image],
                              (params.softmax ? counted.sums : counted.votes) + first,
                              params.softmax ? counted.squares + first : nullptr};
  BoundedPrediction result;
  if (counts.draws != 0) {
    const bool same_draws = counted.selected == nullptr;
    const std::int64_t label = same_draws ? counts.top_label() : counted.selected[image];
    if (label >= 0 && label < params.classes && counts.consistent()) {
      const FailureShares shares =
          failure_shares(params.bound, params.alpha, params.classes, same_draws, params.softmax);
      const ScoreInterval bounds = counts.bounds_around(label, params.bound, shares);
      result.prediction = label;
      result.lower = device_lower(bounds.lower);
      result.upper =
          upper_beside(result.lower, device_upper(bounds.upper), params.classes, params.softmax);
      const double size = attack_size(params.rule, result.lower, result.upper, AcrossWarp());
      result.radius = radius_of(device_size(size), params.scale_per_sensitivity);
    } else if (threadIdx.x == 0) {
      atomicMin(bad_image, static_cast<unsigned long long>(image));
    }
  }
  if (threadIdx.x == 0) results[image] = result;
}

}  // namespace

void bound_predictions(const Stream& stream, const BoundsParams& params,
                       const CountedDraws& counted, BoundedPrediction* results,
                       std::uint64_t* bad_image) {
  const BoundsGrid grid = BoundsGrid::plan(params);
  if (params.images == 0) return;
  launch<bounds_kernel>(grid.blocks, dim3(warp_threads, BoundsGrid::block_warps), 0, native(stream),
                        params, counted, results, reinterpret_cast<unsigned long long*>(bad_image));
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
